// Constants collect their encodings. The set behind the second, separate element-wise dispatch moves in front of it,
// where it meets the unset of the first contraction: the addend is set instead, and nothing is packed in between.

"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<1x6x4xf32>, tensor<1x6x1xf32>) -> tensor<1x6x5xf32>}> ({
  ^bb0(%x: tensor<1x6x4xf32>, %y: tensor<1x6x1xf32>):
    %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
    %w = "tosa.const"() <{values = dense<0.5> : tensor<1x4x3xf32>}> : () -> tensor<1x4x3xf32>
    %u = "tosa.const"() <{values = dense<0.5> : tensor<1x1x1xf32>}> : () -> tensor<1x1x1xf32>
    %v = "tosa.const"() <{values = dense<0.25> : tensor<1x3x5xf32>}> : () -> tensor<1x3x5xf32>
    %0 = "tosa.matmul"(%x, %w, %zero, %zero) : (tensor<1x6x4xf32>, tensor<1x4x3xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x3xf32>
    %1 = "tosa.matmul"(%y, %u, %zero, %zero) : (tensor<1x6x1xf32>, tensor<1x1x1xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x1xf32>
    %2 = "tosa.add"(%0, %1) : (tensor<1x6x3xf32>, tensor<1x6x1xf32>) -> tensor<1x6x3xf32>
    %3 = "tosa.matmul"(%2, %v, %zero, %zero) : (tensor<1x6x3xf32>, tensor<1x3x5xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x5xf32>
    "func.return"(%3) : (tensor<1x6x5xf32>) -> ()
  }) : () -> ()
}) : () -> ()

// CHECK:      %w = "tosa.const"
// CHECK-NEXT: encoding.set_encoding %w
// CHECK:      %v = "tosa.const"
// CHECK-NEXT: encoding.set_encoding %v
// CHECK:      [[A:%\d+]] = "dispatch.region"
// CHECK:      [[A1:%\d+]] = encoding.unset_encoding [[A]]
// CHECK-NEXT: [[A2:%\d+]] = encoding.set_encoding [[A1]]
// CHECK:      [[B:%\d+]] = "dispatch.region"
// CHECK:      [[B1:%\d+]] = encoding.unset_encoding [[B]]
// CHECK-NEXT: [[B2:%\d+]] = encoding.set_encoding [[B1]]
// CHECK-NEXT: [[C:%\d+]] = "dispatch.region"([[A2]], [[B2]])
// CHECK-NOT:  encoding.set_encoding
// CHECK:      "dispatch.region"([[C]],
