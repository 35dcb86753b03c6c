// One multiplier and shift per channel are operands read along the last dimension.
func.func @main(%x: tensor<4x2xi32>) -> tensor<4x2xi8> {
  %m = "tosa.const"() <{values = dense<[1073741824, 1200000000]> : tensor<2xi32>}> : () -> tensor<2xi32>
  %s = "tosa.const"() <{values = dense<[35, 36]> : tensor<2xi8>}> : () -> tensor<2xi8>
  %izp = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %ozp = "tosa.const"() <{values = dense<5> : tensor<1xi8>}> : () -> tensor<1xi8>
  %y = "tosa.rescale"(%x, %m, %s, %izp, %ozp) <{scale32 = true, rounding_mode = #tosa.rounding_mode<DOUBLE_ROUND>,
      per_channel = true, input_unsigned = false, output_unsigned = false}>
      : (tensor<4x2xi32>, tensor<2xi32>, tensor<2xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<4x2xi8>
  return %y : tensor<4x2xi8>
}

// CHECK-LABEL: func.func @main
// CHECK: %m = "tosa.const"() {{.*}} : () -> tensor<2xi32>
// CHECK: %s = "tosa.const"() {{.*}} : () -> tensor<2xi8>
// CHECK: %[[V0:[0-9]+]] = tensor.empty() : tensor<4x2xi8>
// CHECK: %y = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%x, %m, %s : tensor<4x2xi32>, tensor<2xi32>, tensor<2xi8>) outs(%[[V0]] : tensor<4x2xi8>) {
// CHECK: %[[V1:[0-9]+]] = "tosa.apply_scale"(%[[V2:[0-9]+]], %[[V3:[0-9]+]], %[[V4:[0-9]+]]) <{rounding_mode = #tosa.rounding_mode<DOUBLE_ROUND>, high_half}> : (i32, i32, i8) -> i32
// CHECK: %[[V5:[0-9]+]] = arith.constant 5 : i32
// CHECK: %[[V6:[0-9]+]] = arith.addi %[[V1]], %[[V5]] : i32
// CHECK: %[[V7:[0-9]+]] = arith.constant -128 : i32
// CHECK: %[[V8:[0-9]+]] = arith.maxsi %[[V6]], %[[V7]] : i32
// CHECK: %[[V9:[0-9]+]] = arith.constant 127 : i32
// CHECK: %[[V10:[0-9]+]] = arith.minsi %[[V8]], %[[V9]] : i32
// CHECK: %[[V11:[0-9]+]] = arith.trunci %[[V10]] : i32 to i8
// CHECK: linalg.yield %[[V11]] : i8
// CHECK: } -> tensor<4x2xi8>
// CHECK: func.return %y : tensor<4x2xi8>
