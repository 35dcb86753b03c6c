// The mean over height and width is one reduction; the reduced dimensions are written at 0.
func.func @main(%x: tensor<1x7x7x8xf32>, %y: tensor<3x5xf32>) -> (tensor<1x1x1x8xf32>, tensor<3xi32>) {
  %rows = "tosa.reduce_sum"(%x) <{axis = 1 : i32}> : (tensor<1x7x7x8xf32>) -> tensor<1x1x7x8xf32>
  %sum = "tosa.reduce_sum"(%rows) <{axis = 2 : i32}> : (tensor<1x1x7x8xf32>) -> tensor<1x1x1x8xf32>
  %best = "tosa.argmax"(%y) <{axis = 1 : i32}> : (tensor<3x5xf32>) -> tensor<3xi32>
  return %sum, %best : tensor<1x1x1x8xf32>, tensor<3xi32>
}

// CHECK-LABEL: func.func @main
// CHECK: %[[V0:[0-9]+]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[V1:[0-9]+]] = tensor.empty() : tensor<1x1x1x8xf32>
// CHECK: %[[V2:[0-9]+]] = linalg.fill ins(%[[V0]] : f32) outs(%[[V1]] : tensor<1x1x1x8xf32>) -> tensor<1x1x1x8xf32>
// CHECK: %sum = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, 0, 0, d3)>], iterator_types = ["parallel", "reduction", "reduction", "parallel"]} ins(%x : tensor<1x7x7x8xf32>) outs(%[[V2]] : tensor<1x1x1x8xf32>) {
// CHECK: %[[V3:[0-9]+]] = arith.addf %[[V4:[0-9]+]], %[[V5:[0-9]+]] : f32
// CHECK: linalg.yield %[[V3]] : f32
// CHECK: } -> tensor<1x1x1x8xf32>
// CHECK: %[[V6:[0-9]+]] = arith.constant 0 : i32
// CHECK: %[[V7:[0-9]+]] = tensor.empty() : tensor<3xi32>
// CHECK: %[[V8:[0-9]+]] = linalg.fill ins(%[[V6]] : i32) outs(%[[V7]] : tensor<3xi32>) -> tensor<3xi32>
// CHECK: %[[V9:[0-9]+]] = arith.constant 0xff800000 : f32
// CHECK: %[[V10:[0-9]+]] = tensor.empty() : tensor<3xf32>
// CHECK: %[[V11:[0-9]+]] = linalg.fill ins(%[[V9]] : f32) outs(%[[V10]] : tensor<3xf32>) -> tensor<3xf32>
// CHECK: %best, %[[V12:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%y : tensor<3x5xf32>) outs(%[[V8]], %[[V11]] : tensor<3xi32>, tensor<3xf32>) {
// CHECK: %[[V13:[0-9]+]] = arith.cmpf ogt, %[[V14:[0-9]+]], %[[V15:[0-9]+]] : f32
// CHECK: %[[V16:[0-9]+]] = arith.cmpf uno, %[[V14]], %[[V14]] : f32
// CHECK: %[[V17:[0-9]+]] = arith.cmpf ord, %[[V15]], %[[V15]] : f32
// CHECK: %[[V18:[0-9]+]] = arith.andi %[[V16]], %[[V17]] : i1
// CHECK: %[[V19:[0-9]+]] = arith.ori %[[V13]], %[[V18]] : i1
// CHECK: %[[V20:[0-9]+]] = linalg.index 1 : index
// CHECK: %[[V21:[0-9]+]] = arith.index_cast %[[V20]] : index to i32
// CHECK: %[[V22:[0-9]+]] = arith.select %[[V19]], %[[V21]], %[[V23:[0-9]+]] : i32
// CHECK: %[[V24:[0-9]+]] = arith.select %[[V19]], %[[V14]], %[[V15]] : f32
// CHECK: linalg.yield %[[V22]], %[[V24]] : i32, f32
// CHECK: } -> (tensor<3xi32>, tensor<3xf32>)
// CHECK: func.return %sum, %best : tensor<1x1x1x8xf32>, tensor<3xi32>
