// Every operand says which operand of which contraction it is, the bias as part of the result. The filter is a matrix.

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

// CHECK-DAG:  [[FILTER:#\w+]] = #encoding.encoding<operand_index = 1, op_type = conv_2d, element_types = [f32, f32, f32]
// CHECK:      [[W:%\d+]] = tensor.collapse_shape %w {{.*}} into tensor<16x36xf32>
// CHECK:      encoding.set_encoding %x
// CHECK:      [[SET:%\d+]] = encoding.set_encoding [[W]] : tensor<16x36xf32> -> tensor<16x36xf32, [[FILTER]]>
// CHECK:      encoding.set_encoding %bias
// CHECK:      [[R:%\d+]] = "dispatch.region"({{.*}}, [[SET]], {{.*}})
// CHECK:        tensor.expand_shape
// CHECK:        linalg.conv_2d_nhwc_fhwc
// CHECK:      encoding.unset_encoding [[R]]
// CHECK:      linalg.matmul
// CHECK:      encoding.unset_encoding
