// The rows of a convolution's result are shared out: each part reads the rows that its window covers, of which one is
// padding at the top or at the bottom only, and the whole filter. They lie behind each other, in rows of their source.
// PLACE: conv*=wide|narrow

device.declare @wide = "cpu@x86-64-v4:1"
device.declare @narrow = "cpu@x86-64-v2:1"

func.func @main(%x: tensor<1x10x8x4xf32>) -> tensor<1x10x8x16xf32> {
  %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %bias = "tosa.const"() <{values = dense<1.0> : tensor<16xf32>}> : () -> tensor<16xf32>
  %w = "tosa.const"() <{values = dense<0.5> : tensor<16x3x3x4xf32>}> : () -> tensor<16x3x3x4xf32>
  %y = "tosa.conv2d"(%x, %w, %bias, %zero, %zero) <{pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, acc_type = f32}> : (tensor<1x10x8x4xf32>, tensor<16x3x3x4xf32>, tensor<16xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x10x8x16xf32>
  return %y : tensor<1x10x8x16xf32>
}

// CHECK:      [[TOP:%[0-9a-z_]+]] = tensor.extract_slice %x[0, 0, 0, 0] [1, 7, 8, 4] [1, 1, 1, 1] : tensor<1x10x8x4xf32> to tensor<1x7x8x4xf32>
// CHECK-NEXT: [[ABOVE:%[0-9a-z_]+]] = "dispatch.region"([[TOP]], %w)
// CHECK:      tensor.pad {{.*}} low[0, 1, 1, 0] high[0, 0, 1, 0]
// CHECK:      : tensor<1x7x8x4xf32> to tensor<1x8x10x4xf32>
// CHECK:      {device.affinity = @wide} : (tensor<1x7x8x4xf32>, tensor<16x3x3x4xf32>) -> tensor<1x6x8x16xf32>
// CHECK-NEXT: [[BOTTOM:%[0-9a-z_]+]] = tensor.extract_slice %x[0, 5, 0, 0] [1, 5, 8, 4] [1, 1, 1, 1] : tensor<1x10x8x4xf32> to tensor<1x5x8x4xf32>
// CHECK-NEXT: [[BELOW:%[0-9a-z_]+]] = "dispatch.region"([[BOTTOM]], %w)
// CHECK:      tensor.pad {{.*}} low[0, 0, 1, 0] high[0, 1, 1, 0]
// CHECK:      {device.affinity = @narrow} : (tensor<1x5x8x4xf32>, tensor<16x3x3x4xf32>) -> tensor<1x4x8x16xf32>
// CHECK-NEXT: tensor.concat dim(1) [[ABOVE]], [[BELOW]] : (tensor<1x6x8x16xf32>, tensor<1x4x8x16xf32>) -> tensor<1x10x8x16xf32>
