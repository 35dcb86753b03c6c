// PRECISION: bf16
//
// Contractions read bf16 and sum in f32; what a dispatch hands on is rounded where it is computed and widened where it is
// read. The input and the weights are rounded by regions of their own, the padding with its source; the output is not.

"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<1x8x8x4xf32>) -> tensor<1x8x8x16xf32>}> ({
  ^bb0(%x: tensor<1x8x8x4xf32>):
    %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
    %bias = "tosa.const"() <{values = dense<[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0]> : tensor<16xf32>}> : () -> tensor<16xf32>
    %w = "tosa.const"() <{values = dense<0.5> : tensor<16x3x3x4xf32>}> : () -> tensor<16x3x3x4xf32>
    %v = "tosa.const"() <{values = dense<0.25> : tensor<16x1x1x16xf32>}> : () -> tensor<16x1x1x16xf32>
    %0 = "tosa.conv2d"(%x, %w, %bias, %zero, %zero) <{pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, acc_type = f32}> : (tensor<1x8x8x4xf32>, tensor<16x3x3x4xf32>, tensor<16xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x8x8x16xf32>
    %1 = "tosa.clamp"(%0) <{min_val = 0.0 : f32, max_val = 6.0 : f32}> : (tensor<1x8x8x16xf32>) -> tensor<1x8x8x16xf32>
    %2 = "tosa.conv2d"(%1, %v, %bias, %zero, %zero) <{pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, acc_type = f32}> : (tensor<1x8x8x16xf32>, tensor<16x1x1x16xf32>, tensor<16xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x8x8x16xf32>
    %3 = "tosa.add"(%2, %1) : (tensor<1x8x8x16xf32>, tensor<1x8x8x16xf32>) -> tensor<1x8x8x16xf32>
    "func.return"(%3) : (tensor<1x8x8x16xf32>) -> ()
  }) : () -> ()
}) : () -> ()

// CHECK:      [[X:%\d+]] = "dispatch.region"(%x)
// CHECK:        arith.truncf {{.*}} {scalar.flushes_subnormals} : f32 to bf16
// CHECK:      }) : (tensor<1x8x8x4xf32>) -> tensor<1x8x8x4xbf16>
// CHECK:      [[W:%\d+]] = "dispatch.region"(%w)
// CHECK:      [[FIRST:%\d+]] = "dispatch.region"([[X]], [[W]], %bias)
// CHECK:        tensor.pad
// CHECK:          arith.constant 0.000000e+00 : bf16
// CHECK:        linalg.conv_2d_nhwc_fhwc{{.*}} : tensor<1x10x10x4xbf16>, tensor<16x3x3x4xbf16>) outs({{.*}} : tensor<1x8x8x16xf32>)
// CHECK:          arith.minimumf
// CHECK-NEXT:     arith.truncf
// CHECK-NEXT:     linalg.yield {{.*}} : bf16
// CHECK:      -> tensor<1x8x8x16xbf16>
// CHECK:      linalg.matmul{{.*}} : tensor<64x16xbf16>, tensor<16x16xbf16>) outs({{.*}} : tensor<64x16xf32>)
// CHECK:          arith.extf {{.*}} : bf16 to f32
// CHECK:          arith.addf
// CHECK:          linalg.yield {{.*}} : f32
