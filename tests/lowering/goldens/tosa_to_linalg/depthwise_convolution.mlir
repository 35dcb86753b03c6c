func.func @main(%x: tensor<1x9x9x4xf32>) -> tensor<1x4x4x8xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<3x3x4x2xf32>}> : () -> tensor<3x3x4x2xf32>
  %bias = "tosa.const"() <{values = dense<1.5> : tensor<8xf32>}> : () -> tensor<8xf32>
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %y = "tosa.depthwise_conv2d"(%x, %w, %bias, %zp, %zp) <{acc_type = f32, pad = array<i64: 0, 0, 0, 0>,
      stride = array<i64: 2, 2>, dilation = array<i64: 1, 1>}>
      : (tensor<1x9x9x4xf32>, tensor<3x3x4x2xf32>, tensor<8xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x4x4x8xf32>
  return %y : tensor<1x4x4x8xf32>
}

// CHECK-LABEL: func.func @main
// CHECK: %w = "tosa.const"() {{.*}} : () -> tensor<3x3x4x2xf32>
// CHECK: %bias = "tosa.const"() {{.*}} : () -> tensor<8xf32>
// CHECK: %[[V0:[0-9]+]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[V1:[0-9]+]] = tensor.empty() : tensor<1x4x4x4x2xf32>
// CHECK: %[[V2:[0-9]+]] = linalg.fill ins(%[[V0]] : f32) outs(%[[V1]] : tensor<1x4x4x4x2xf32>) -> tensor<1x4x4x4x2xf32>
// CHECK: %[[V3:[0-9]+]] = linalg.depthwise_conv_2d_nhwc_hwcm {strides = dense<2> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>} ins(%x, %w : tensor<1x9x9x4xf32>, tensor<3x3x4x2xf32>) outs(%[[V2]] : tensor<1x4x4x4x2xf32>) -> tensor<1x4x4x4x2xf32>
// CHECK: %[[V4:[0-9]+]] = tensor.collapse_shape %[[V3]] {{\[\[}}0 : i64], [1 : i64], [2 : i64], [3 : i64, 4 : i64{{\]\]}} : tensor<1x4x4x4x2xf32> into tensor<1x4x4x8xf32>
// CHECK: %[[V5:[0-9]+]] = tensor.empty() : tensor<1x4x4x8xf32>
// CHECK: %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%[[V4]], %bias : tensor<1x4x4x8xf32>, tensor<8xf32>) outs(%[[V5]] : tensor<1x4x4x8xf32>) {
// CHECK: %[[V6:[0-9]+]] = arith.addf %[[V7:[0-9]+]], %[[V8:[0-9]+]] : f32
// CHECK: linalg.yield %[[V6]] : f32
// CHECK: } -> tensor<1x4x4x8xf32>
// CHECK: func.return %y : tensor<1x4x4x8xf32>
