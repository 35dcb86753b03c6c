// The four phases of stride 2 are channels of one convolution, then interleaved.
func.func @main(%x: tensor<1x4x4x8xf32>) -> tensor<1x8x8x3xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<3x2x2x8xf32>}> : () -> tensor<3x2x2x8xf32>
  %bias = "tosa.const"() <{values = dense<1.5> : tensor<3xf32>}> : () -> tensor<3xf32>
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %y = "tosa.transpose_conv2d"(%x, %w, %bias, %zp, %zp) <{acc_type = f32, out_pad = array<i64: 0, 0, 0, 0>,
      stride = array<i64: 2, 2>}>
      : (tensor<1x4x4x8xf32>, tensor<3x2x2x8xf32>, tensor<3xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x8x8x3xf32>
  return %y : tensor<1x8x8x3xf32>
}

// CHECK-LABEL: func.func @main
// CHECK: %w = "tosa.const"() {{.*}} : () -> tensor<3x2x2x8xf32>
// CHECK: %bias = "tosa.const"() {{.*}} : () -> tensor<3xf32>
// CHECK: %[[V0:[0-9]+]] = tensor.empty() : tensor<2x2x3x1x1x8xf32>
// CHECK: %[[V1:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4, d5) -> (d2, ((d3 * -2) + d0), ((d4 * -2) + d1), d5)>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d3, d4, d5)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%w : tensor<3x2x2x8xf32>) outs(%[[V0]] : tensor<2x2x3x1x1x8xf32>) {
// CHECK: linalg.yield %[[V2:[0-9]+]] : f32
// CHECK: } -> tensor<2x2x3x1x1x8xf32>
// CHECK: %[[V3:[0-9]+]] = tensor.collapse_shape %[[V1]] {{\[\[}}0 : i64, 1 : i64, 2 : i64], [3 : i64], [4 : i64], [5 : i64{{\]\]}} : tensor<2x2x3x1x1x8xf32> into tensor<12x1x1x8xf32>
// CHECK: %[[V4:[0-9]+]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[V5:[0-9]+]] = tensor.empty() : tensor<1x4x4x12xf32>
// CHECK: %[[V6:[0-9]+]] = linalg.fill ins(%[[V4]] : f32) outs(%[[V5]] : tensor<1x4x4x12xf32>) -> tensor<1x4x4x12xf32>
// CHECK: %[[V7:[0-9]+]] = linalg.conv_2d_nhwc_fhwc {strides = dense<1> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>} ins(%x, %[[V3]] : tensor<1x4x4x8xf32>, tensor<12x1x1x8xf32>) outs(%[[V6]] : tensor<1x4x4x12xf32>) -> tensor<1x4x4x12xf32>
// CHECK: %[[V8:[0-9]+]] = tensor.empty() : tensor<2x2x3xf32>
// CHECK: %[[V9:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%bias : tensor<3xf32>) outs(%[[V8]] : tensor<2x2x3xf32>) {
// CHECK: linalg.yield %[[V10:[0-9]+]] : f32
// CHECK: } -> tensor<2x2x3xf32>
// CHECK: %[[V11:[0-9]+]] = tensor.collapse_shape %[[V9]] {{\[\[}}0 : i64, 1 : i64, 2 : i64{{\]\]}} : tensor<2x2x3xf32> into tensor<12xf32>
// CHECK: %[[V12:[0-9]+]] = tensor.empty() : tensor<1x4x4x12xf32>
// CHECK: %[[V13:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%[[V7]], %[[V11]] : tensor<1x4x4x12xf32>, tensor<12xf32>) outs(%[[V12]] : tensor<1x4x4x12xf32>) {
// CHECK: %[[V14:[0-9]+]] = arith.addf %[[V15:[0-9]+]], %[[V16:[0-9]+]] : f32
// CHECK: linalg.yield %[[V14]] : f32
// CHECK: } -> tensor<1x4x4x12xf32>
// CHECK: %[[V17:[0-9]+]] = tensor.expand_shape %[[V13]] {{\[\[}}0 : i64], [1 : i64], [2 : i64], [3 : i64, 4 : i64, 5 : i64{{\]\]}} output_shape [1, 4, 4, 2, 2, 3] : tensor<1x4x4x12xf32> into tensor<1x4x4x2x2x3xf32>
// CHECK: %[[V18:[0-9]+]] = tensor.empty() : tensor<1x4x2x4x2x3xf32>
// CHECK: %[[V19:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d3, d2, d4, d5)>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2, d3, d4, d5)>], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "parallel"]} ins(%[[V17]] : tensor<1x4x4x2x2x3xf32>) outs(%[[V18]] : tensor<1x4x2x4x2x3xf32>) {
// CHECK: linalg.yield %[[V20:[0-9]+]] : f32
// CHECK: } -> tensor<1x4x2x4x2x3xf32>
// CHECK: %[[V21:[0-9]+]] = tensor.collapse_shape %[[V19]] {{\[\[}}0 : i64], [1 : i64], [2 : i64], [3 : i64, 4 : i64, 5 : i64{{\]\]}} : tensor<1x4x2x4x2x3xf32> into tensor<1x4x2x24xf32>
// CHECK: %[[V22:[0-9]+]] = tensor.collapse_shape %[[V21]] {{\[\[}}0 : i64], [1 : i64, 2 : i64], [3 : i64{{\]\]}} : tensor<1x4x2x24xf32> into tensor<1x8x24xf32>
// CHECK: %y = tensor.expand_shape %[[V22]] {{\[\[}}0 : i64], [1 : i64], [2 : i64, 3 : i64{{\]\]}} output_shape [1, 8, 8, 3] : tensor<1x8x24xf32> into tensor<1x8x8x3xf32>
// CHECK: func.return %y : tensor<1x8x8x3xf32>
