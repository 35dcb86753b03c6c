func.func @main(%values: tensor<1x100x8xf32>, %indices: tensor<1x5xi32>) -> tensor<1x5x8xf32> {
  %y = "tosa.gather"(%values, %indices) : (tensor<1x100x8xf32>, tensor<1x5xi32>) -> tensor<1x5x8xf32>
  return %y : tensor<1x5x8xf32>
}

// CHECK-LABEL: func.func @main
// CHECK: %[[V0:[0-9]+]] = tensor.empty() : tensor<1x5x8xf32>
// CHECK: %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%indices : tensor<1x5xi32>) outs(%[[V0]] : tensor<1x5x8xf32>) {
// CHECK: %[[V1:[0-9]+]] = linalg.index 0 : index
// CHECK: %[[V2:[0-9]+]] = arith.index_cast %[[V3:[0-9]+]] : i32 to index
// CHECK: %[[V4:[0-9]+]] = linalg.index 2 : index
// CHECK: %[[V5:[0-9]+]] = tensor.extract %values[%[[V1]], %[[V2]], %[[V4]]] : tensor<1x100x8xf32>
// CHECK: linalg.yield %[[V5]] : f32
// CHECK: } -> tensor<1x5x8xf32>
// CHECK: func.return %y : tensor<1x5x8xf32>
