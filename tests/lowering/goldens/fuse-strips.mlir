// The pointwise convolution makes 1.6 MB: it is computed in strips with the depthwise one that reads them.

"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<1x112x112x16xf32>) -> tensor<1x112x112x32xf32>}> ({
  ^bb0(%x: tensor<1x112x112x16xf32>):
    %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
    %bias = "tosa.const"() <{values = dense<1.0> : tensor<32xf32>}> : () -> tensor<32xf32>
    %w = "tosa.const"() <{values = dense<0.5> : tensor<32x1x1x16xf32>}> : () -> tensor<32x1x1x16xf32>
    %v = "tosa.const"() <{values = dense<0.25> : tensor<3x3x32x1xf32>}> : () -> tensor<3x3x32x1xf32>
    %0 = "tosa.conv2d"(%x, %w, %bias, %zero, %zero) <{pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, acc_type = f32}> : (tensor<1x112x112x16xf32>, tensor<32x1x1x16xf32>, tensor<32xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x112x112x32xf32>
    %1 = "tosa.clamp"(%0) <{min_val = 0.0 : f32, max_val = 6.0 : f32}> : (tensor<1x112x112x32xf32>) -> tensor<1x112x112x32xf32>
    %2 = "tosa.depthwise_conv2d"(%1, %v, %bias, %zero, %zero) <{pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, acc_type = f32}> : (tensor<1x112x112x32xf32>, tensor<3x3x32x1xf32>, tensor<32xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x112x112x32xf32>
    "func.return"(%2) : (tensor<1x112x112x32xf32>) -> ()
  }) : () -> ()
}) : () -> ()

// CHECK:      "dispatch.region"(%{{.*}}) <{device = "cpu"}> ({
// CHECK:      [[SUMS:%\d+]] = "tiled.matmul"
// CHECK:      [[PIXELS:%\d+]] = linalg.generic
// CHECK:      [[IMAGE:%\d+]] = tensor.expand_shape [[PIXELS]]
// CHECK:      [[PADDED:%\d+]] = tensor.pad [[IMAGE]]
// CHECK:      linalg.depthwise_conv_2d_nhwc_hwcm {{.*}} ins([[PADDED]]
// CHECK:      linalg.generic
// CHECK-NOT:  dispatch.region
