// A broadcast dimension is read at 0, a one-element constant is a scalar of the body.
func.func @main(%x: tensor<2x3x4xf32>, %y: tensor<2x1x4xf32>) -> tensor<2x3x4xf32> {
  %half = "tosa.const"() <{values = dense<0.5> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %sum = "tosa.add"(%x, %y) : (tensor<2x3x4xf32>, tensor<2x1x4xf32>) -> tensor<2x3x4xf32>
  %product = "tosa.mul"(%sum, %half, %shift) : (tensor<2x3x4xf32>, tensor<1x1x1xf32>, tensor<1xi8>) -> tensor<2x3x4xf32>
  return %product : tensor<2x3x4xf32>
}

// CHECK-LABEL: func.func @main
// CHECK: %[[V0:[0-9]+]] = tensor.empty() : tensor<2x3x4xf32>
// CHECK: %sum = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, 0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x, %y : tensor<2x3x4xf32>, tensor<2x1x4xf32>) outs(%[[V0]] : tensor<2x3x4xf32>) {
// CHECK: %[[V1:[0-9]+]] = arith.addf %[[V2:[0-9]+]], %[[V3:[0-9]+]] : f32
// CHECK: linalg.yield %[[V1]] : f32
// CHECK: } -> tensor<2x3x4xf32>
// CHECK: %[[V4:[0-9]+]] = tensor.empty() : tensor<2x3x4xf32>
// CHECK: %product = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%sum : tensor<2x3x4xf32>) outs(%[[V4]] : tensor<2x3x4xf32>) {
// CHECK: %[[V5:[0-9]+]] = arith.constant 5.000000e-01 : f32
// CHECK: %[[V6:[0-9]+]] = arith.mulf %[[V7:[0-9]+]], %[[V5]] : f32
// CHECK: linalg.yield %[[V6]] : f32
// CHECK: } -> tensor<2x3x4xf32>
// CHECK: func.return %product : tensor<2x3x4xf32>
