// A reduction takes in the element-wise producer that only it reads, and the consumer in its own, reduced space. Consumers
// in the full space start a dispatch; one result that several read is yielded beside the others.

"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<4x16xf32>) -> (tensor<4x16xf32>, tensor<4x16xf32>)}> ({
  ^bb0(%x: tensor<4x16xf32>):
    %zero = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %n = "tosa.const"() <{values = dense<0.0625> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %0 = "tosa.mul"(%x, %x, %zero) : (tensor<4x16xf32>, tensor<4x16xf32>, tensor<1xi8>) -> tensor<4x16xf32>
    %1 = "tosa.reduce_sum"(%0) <{axis = 1 : i32}> : (tensor<4x16xf32>) -> tensor<4x1xf32>
    %2 = "tosa.mul"(%1, %n, %zero) : (tensor<4x1xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<4x1xf32>
    %3 = "tosa.sub"(%x, %2) : (tensor<4x16xf32>, tensor<4x1xf32>) -> tensor<4x16xf32>
    %4 = "tosa.exp"(%3) : (tensor<4x16xf32>) -> tensor<4x16xf32>
    "func.return"(%3, %4) : (tensor<4x16xf32>, tensor<4x16xf32>) -> ()
  }) : () -> ()
}) : () -> ()

// CHECK:      [[MEAN:%\d+]] = "dispatch.region"(%x)
// CHECK:        linalg.generic {{.*}}"reduction"
// CHECK:          arith.mulf
// CHECK-NEXT:     arith.addf
// CHECK:        linalg.generic {{.*}}"parallel", "parallel"]
// CHECK:          arith.mulf
// CHECK:      [[OUT:%\d+]], [[EXP:%\d+]] = "dispatch.region"(%x, [[MEAN]])
// CHECK:          [[D:%\d+]] = arith.subf
// CHECK-NEXT:     [[E:%\d+]] = math.exp [[D]]
// CHECK-NEXT:     linalg.yield [[D]], [[E]]
// CHECK:      func.return [[OUT]], [[EXP]]
