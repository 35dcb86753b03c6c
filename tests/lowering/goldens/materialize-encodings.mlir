// The filter is packed; the convolution absorbs its padding, with the zero point as value. VNNI multiplies unsigned by signed:
// the left side is read with offset 128, which the sums of the filter, joined with the bias, take off again.

"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<1x8x8x3xi8>) -> tensor<1x4x4x8xi32>}> ({
  ^bb0(%x: tensor<1x8x8x3xi8>):
    %zp = "tosa.const"() <{values = dense<-5> : tensor<1xi8>}> : () -> tensor<1xi8>
    %zero = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %bias = "tosa.const"() <{values = dense<[0, 1, 2, 3, 4, 5, 6, 7]> : tensor<8xi32>}> : () -> tensor<8xi32>
    %w = "tosa.const"() <{values = dense<3> : tensor<8x3x3x3xi8>}> : () -> tensor<8x3x3x3xi8>
    %0 = "tosa.conv2d"(%x, %w, %bias, %zp, %zero) <{pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>, dilation = array<i64: 1, 1>, acc_type = i32}> : (tensor<1x8x8x3xi8>, tensor<8x3x3x3xi8>, tensor<8xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x4x4x8xi32>
    "func.return"(%0) : (tensor<1x4x4x8xi32>) -> ()
  }) : () -> ()
}) : () -> ()

// CHECK:      [[BIAS:%\d+]] = "dispatch.region"({{.*}}, %bias)
// CHECK:      [[F:%\d+]] = tensor.collapse_shape %w {{.*}} into tensor<8x27xi8>
// CHECK:      [[TILES:%\d+]] = "dispatch.region"([[F]])
// CHECK:        linalg.pack {{.*}} padding_value({{.*}} : i8) outer_dims_perm = [0, 1] inner_dims_pos = [0, 1] inner_tiles = [16, 4]
// CHECK:      [[SUMS:%\d+]] = "dispatch.region"([[F]], [[BIAS]])
// CHECK:        arith.constant -128 : i32
// CHECK:      "dispatch.region"(%x, [[TILES]], [[SUMS]])
// CHECK-NOT:    tensor.pad
// CHECK:        "tiled.conv_2d"({{.*}}) <{kernel = array<i64: 3, 3>, strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pad = array<i64: 0, 1, 0, 1>, pad_value = -5 : i8, rows = {{\d+}} : i64, lhs_offset = 128 : i64}> : (tensor<1x8x8x3xi8>, tensor<1x7x16x4xi8>) -> tensor<1x4x4x8xi32>
// CHECK:        linalg.generic
// CHECK-NEXT:   ^bb0({{.*}}: i32, {{.*}}: i32, {{.*}}: i32):
