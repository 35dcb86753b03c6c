// A pointwise convolution and a ReLU6, the smallest program that goes through every phase: deploy docs/example.mlir
func.func @main(%image: tensor<1x8x8x16xf32> {ml_program.identifier = "image"})
    -> (tensor<1x8x8x40xf32> {ml_program.identifier = "features"}) {
  %filter = "tosa.const"() <{values = dense<0.5> : tensor<40x1x1x16xf32>}> : () -> tensor<40x1x1x16xf32>
  %bias = "tosa.const"() <{values = dense<-1.0> : tensor<40xf32>}> : () -> tensor<40xf32>
  %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %sums = tosa.conv2d %image, %filter, %bias, %zero, %zero {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x8x8x16xf32>, tensor<40x1x1x16xf32>, tensor<40xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x8x8x40xf32>
  %features = tosa.clamp %sums {max_val = 6.0 : f32, min_val = 0.0 : f32} : (tensor<1x8x8x40xf32>) -> tensor<1x8x8x40xf32>
  return %features : tensor<1x8x8x40xf32>
}
