// The packed filter and the bias with both corrections (5 * 81 - 128 * 81 = -9963) are constants; nothing of them is left to do.

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

// CHECK-DAG:  [[TILES:%\d+]] = "tosa.const"() {{.*}} -> tensor<1x7x16x4xi8>
// CHECK-DAG:  [[BIAS:%\d+]] = "tosa.const"() <{values = dense<[-9963, -9962, -9961, -9960, -9959, -9958, -9957, -9956]>
// CHECK:      "dispatch.region"(%x, [[TILES]], [[BIAS]])
// CHECK-NOT:  dispatch.region
