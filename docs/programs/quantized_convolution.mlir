// A 3x3 convolution of int8 with zero points, its 32-bit sums brought back to int8: what a quantised layer is in TOSA.
func.func @main(%image: tensor<1x16x16x8xi8>) -> tensor<1x16x16x24xi8> {
  %filter = "tosa.const"() <{values = dense<3> : tensor<24x3x3x8xi8>}> : () -> tensor<24x3x3x8xi8>
  %bias = "tosa.const"() <{values = dense<100> : tensor<24xi32>}> : () -> tensor<24xi32>
  %image_zp = "tosa.const"() <{values = dense<-5> : tensor<1xi8>}> : () -> tensor<1xi8>
  %filter_zp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %sums = tosa.conv2d %image, %filter, %bias, %image_zp, %filter_zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x16x16x8xi8>, tensor<24x3x3x8xi8>, tensor<24xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x16x16x24xi32>
  %multiplier = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %shift = "tosa.const"() <{values = dense<37> : tensor<1xi8>}> : () -> tensor<1xi8>
  %sums_zp = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %result_zp = "tosa.const"() <{values = dense<-128> : tensor<1xi8>}> : () -> tensor<1xi8>
  %result = tosa.rescale %sums, %multiplier, %shift, %sums_zp, %result_zp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x16x16x24xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x16x16x24xi8>
  return %result : tensor<1x16x16x24xi8>
}
