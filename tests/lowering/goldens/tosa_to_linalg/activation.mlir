func.func @main(%x: tensor<8xf32>, %i: tensor<8xi8>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xi8>) {
  %table = "tosa.const"() <{values = dense<1> : tensor<256xi8>}> : () -> tensor<256xi8>
  %relu6 = "tosa.clamp"(%x) <{min_val = 0.0 : f32, max_val = 6.0 : f32}> : (tensor<8xf32>) -> tensor<8xf32>
  %sigmoid = "tosa.sigmoid"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  %look_up = "tosa.table"(%i, %table) : (tensor<8xi8>, tensor<256xi8>) -> tensor<8xi8>
  return %relu6, %sigmoid, %look_up : tensor<8xf32>, tensor<8xf32>, tensor<8xi8>
}

// CHECK-LABEL: func.func @main
// CHECK: %table = "tosa.const"() {{.*}} : () -> tensor<256xi8>
// CHECK: %[[V0:[0-9]+]] = tensor.empty() : tensor<8xf32>
// CHECK: %relu6 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%[[V0]] : tensor<8xf32>) {
// CHECK: %[[V1:[0-9]+]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[V2:[0-9]+]] = arith.maximumf %[[V3:[0-9]+]], %[[V1]] : f32
// CHECK: %[[V4:[0-9]+]] = arith.constant 6.000000e+00 : f32
// CHECK: %[[V5:[0-9]+]] = arith.minimumf %[[V2]], %[[V4]] : f32
// CHECK: linalg.yield %[[V5]] : f32
// CHECK: } -> tensor<8xf32>
// CHECK: %[[V6:[0-9]+]] = tensor.empty() : tensor<8xf32>
// CHECK: %sigmoid = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%[[V6]] : tensor<8xf32>) {
// CHECK: %[[V7:[0-9]+]] = arith.constant 1.000000e+00 : f32
// CHECK: %[[V8:[0-9]+]] = arith.negf %[[V9:[0-9]+]] : f32
// CHECK: %[[V10:[0-9]+]] = math.exp %[[V8]] : f32
// CHECK: %[[V11:[0-9]+]] = arith.addf %[[V7]], %[[V10]] : f32
// CHECK: %[[V12:[0-9]+]] = arith.divf %[[V7]], %[[V11]] : f32
// CHECK: linalg.yield %[[V12]] : f32
// CHECK: } -> tensor<8xf32>
// CHECK: %[[V13:[0-9]+]] = tensor.empty() : tensor<8xi8>
// CHECK: %look_up = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%i : tensor<8xi8>) outs(%[[V13]] : tensor<8xi8>) {
// CHECK: %[[V14:[0-9]+]] = arith.extsi %[[V15:[0-9]+]] : i8 to i32
// CHECK: %[[V16:[0-9]+]] = arith.constant 128 : i32
// CHECK: %[[V17:[0-9]+]] = arith.addi %[[V14]], %[[V16]] : i32
// CHECK: %[[V18:[0-9]+]] = arith.index_cast %[[V17]] : i32 to index
// CHECK: %[[V19:[0-9]+]] = tensor.extract %table[%[[V18]]] : tensor<256xi8>
// CHECK: linalg.yield %[[V19]] : i8
// CHECK: } -> tensor<8xi8>
// CHECK: func.return %relu6, %sigmoid, %look_up : tensor<8xf32>, tensor<8xf32>, tensor<8xi8>
