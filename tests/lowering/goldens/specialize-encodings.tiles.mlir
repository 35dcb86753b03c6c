// TARGET: tiles
//
// With everything in tiles the bias-like factor is tiled as the columns of the result; what is read at 0 stays outermost.

"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<1x6x4xf32>) -> tensor<1x6x5xf32>}> ({
  ^bb0(%x: tensor<1x6x4xf32>):
    %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
    %w = "tosa.const"() <{values = dense<0.5> : tensor<1x4x3xf32>}> : () -> tensor<1x4x3xf32>
    %v = "tosa.const"() <{values = dense<0.25> : tensor<1x3x5xf32>}> : () -> tensor<1x3x5xf32>
    %scale = "tosa.const"() <{values = dense<[[[1.0, 2.0, 3.0]]]> : tensor<1x1x3xf32>}> : () -> tensor<1x1x3xf32>
    %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %0 = "tosa.matmul"(%x, %w, %zero, %zero) : (tensor<1x6x4xf32>, tensor<1x4x3xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x3xf32>
    %1 = "tosa.mul"(%0, %scale, %shift) : (tensor<1x6x3xf32>, tensor<1x1x3xf32>, tensor<1xi8>) -> tensor<1x6x3xf32>
    %2 = "tosa.matmul"(%1, %v, %zero, %zero) : (tensor<1x6x3xf32>, tensor<1x3x5xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x6x5xf32>
    "func.return"(%2) : (tensor<1x6x5xf32>) -> ()
  }) : () -> ()
}) : () -> ()

// CHECK-DAG:  [[RHS:#\w+]] = #encoding.layout<inner_dims_pos = [2, 1], inner_tiles = [4, 2], outer_dims_perm = [0, 2, 1]>
// CHECK-DAG:  [[FACTOR:#\w+]] = #encoding.layout<inner_dims_pos = [2], inner_tiles = [4], outer_dims_perm = [0, 1, 2]>
// CHECK-DAG:  [[LHS:#\w+]] = #encoding.layout<inner_dims_pos = [1, 2], inner_tiles = [4, 2], outer_dims_perm = [0, 1, 2]>
// CHECK:      encoding.set_encoding %w : tensor<1x4x3xf32> -> tensor<1x4x3xf32, [[RHS]]>
// CHECK:      encoding.set_encoding %scale : tensor<1x1x3xf32> -> tensor<1x1x3xf32, [[FACTOR]]>
// CHECK:      encoding.set_encoding %x : tensor<1x6x4xf32> -> tensor<1x6x4xf32, [[LHS]]>
