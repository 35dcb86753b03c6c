// A padded int8 convolution: padding with the zero point, raw products, and the zero point's share in the bias.
func.func @main(%x: tensor<1x8x8x3xi8>) -> tensor<1x8x8x16xi32> {
  %w = "tosa.const"() <{values = dense<1> : tensor<16x3x3x3xi8>}> : () -> tensor<16x3x3x3xi8>
  %bias = "tosa.const"() <{values = dense<7> : tensor<16xi32>}> : () -> tensor<16xi32>
  %izp = "tosa.const"() <{values = dense<-128> : tensor<1xi8>}> : () -> tensor<1xi8>
  %wzp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %y = "tosa.conv2d"(%x, %w, %bias, %izp, %wzp) <{acc_type = i32, pad = array<i64: 1, 1, 1, 1>,
      stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>}>
      : (tensor<1x8x8x3xi8>, tensor<16x3x3x3xi8>, tensor<16xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x8x8x16xi32>
  return %y : tensor<1x8x8x16xi32>
}

// CHECK-LABEL: func.func @main
// CHECK: %w = "tosa.const"() {{.*}} : () -> tensor<16x3x3x3xi8>
// CHECK: %bias = "tosa.const"() {{.*}} : () -> tensor<16xi32>
// CHECK: %[[V0:[0-9]+]] = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
// CHECK: %[[V1:[0-9]+]] = arith.constant -128 : i8
// CHECK: tensor.yield %[[V1]] : i8
// CHECK: } : tensor<1x8x8x3xi8> to tensor<1x10x10x3xi8>
// CHECK: %[[V2:[0-9]+]] = arith.constant 0 : i32
// CHECK: %[[V3:[0-9]+]] = tensor.empty() : tensor<1x8x8x16xi32>
// CHECK: %[[V4:[0-9]+]] = linalg.fill ins(%[[V2]] : i32) outs(%[[V3]] : tensor<1x8x8x16xi32>) -> tensor<1x8x8x16xi32>
// CHECK: %[[V5:[0-9]+]] = linalg.conv_2d_nhwc_fhwc {strides = dense<1> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>} ins(%[[V0]], %w : tensor<1x10x10x3xi8>, tensor<16x3x3x3xi8>) outs(%[[V4]] : tensor<1x8x8x16xi32>) -> tensor<1x8x8x16xi32>
// CHECK: %[[V6:[0-9]+]] = arith.constant 0 : i32
// CHECK: %[[V7:[0-9]+]] = tensor.empty() : tensor<16xi32>
// CHECK: %[[V8:[0-9]+]] = linalg.fill ins(%[[V6]] : i32) outs(%[[V7]] : tensor<16xi32>) -> tensor<16xi32>
// CHECK: %[[V9:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0)>], iterator_types = ["parallel", "reduction", "reduction", "reduction"]} ins(%w : tensor<16x3x3x3xi8>) outs(%[[V8]] : tensor<16xi32>) {
// CHECK: %[[V10:[0-9]+]] = arith.extsi %[[V11:[0-9]+]] : i8 to i32
// CHECK: %[[V12:[0-9]+]] = arith.addi %[[V13:[0-9]+]], %[[V10]] : i32
// CHECK: linalg.yield %[[V12]] : i32
// CHECK: } -> tensor<16xi32>
// CHECK: %[[V14:[0-9]+]] = tensor.empty() : tensor<16xi32>
// CHECK: %[[V15:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} ins(%[[V9]], %bias : tensor<16xi32>, tensor<16xi32>) outs(%[[V14]] : tensor<16xi32>) {
// CHECK: %[[V16:[0-9]+]] = arith.constant 128 : i32
// CHECK: %[[V17:[0-9]+]] = arith.muli %[[V18:[0-9]+]], %[[V16]] : i32
// CHECK: %[[V19:[0-9]+]] = arith.addi %[[V17]], %[[V20:[0-9]+]] : i32
// CHECK: linalg.yield %[[V19]] : i32
// CHECK: } -> tensor<16xi32>
// CHECK: %[[V21:[0-9]+]] = tensor.empty() : tensor<1x8x8x16xi32>
// CHECK: %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%[[V5]], %[[V15]] : tensor<1x8x8x16xi32>, tensor<16xi32>) outs(%[[V21]] : tensor<1x8x8x16xi32>) {
// CHECK: %[[V22:[0-9]+]] = arith.addi %[[V23:[0-9]+]], %[[V24:[0-9]+]] : i32
// CHECK: linalg.yield %[[V22]] : i32
// CHECK: } -> tensor<1x8x8x16xi32>
// CHECK: func.return %y : tensor<1x8x8x16xi32>
