// TOSA of unknown sizes.
!matrix = tensor<?x?xf32>

func.func @elementwise(%a: !matrix, %b: !matrix) -> (!matrix, tensor<?x?xi32>, tensor<?x?xi1>) {
  %0 = tosa.add %a, %b : (!matrix, !matrix) -> !matrix
  %1 = tosa.clamp %0 {max_val = 3.0 : f32, min_val = -1.0 : f32} : (!matrix) -> !matrix
  %2 = tosa.cast %1 : (!matrix) -> tensor<?x?xi32>
  %3 = tosa.greater %a, %b : (!matrix, !matrix) -> tensor<?x?xi1>
  return %1, %2, %3 : !matrix, tensor<?x?xi32>, tensor<?x?xi1>
}

func.func @row_bias(%a: !matrix, %b: tensor<1x?xf32>) -> !matrix {
  %0 = tosa.add %a, %b : (!matrix, tensor<1x?xf32>) -> !matrix
  return %0 : !matrix
}

func.func @matmul(%a: tensor<?x?x?xf32>, %b: tensor<?x?x?xf32>) -> tensor<?x?x?xf32> {
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %0 = tosa.matmul %a, %b, %zp, %zp : (tensor<?x?x?xf32>, tensor<?x?x?xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<?x?x?xf32>
  return %0 : tensor<?x?x?xf32>
}

func.func @reductions(%a: !matrix) -> (tensor<?x1xf32>, tensor<1x?xf32>) {
  %0 = tosa.reduce_sum %a {axis = 1 : i32} : (!matrix) -> tensor<?x1xf32>
  %1 = tosa.reduce_max %a {axis = 0 : i32} : (!matrix) -> tensor<1x?xf32>
  return %0, %1 : tensor<?x1xf32>, tensor<1x?xf32>
}

func.func @concatenated(%a: !matrix, %b: !matrix) -> !matrix {
  %0 = tosa.concat %a, %b {axis = 0 : i32} : (!matrix, !matrix) -> !matrix
  return %0 : !matrix
}

func.func @padded(%a: !matrix) -> !matrix {
  %amounts = "tosa.const_shape"() <{values = dense<[1, 2, 0, 3]> : tensor<4xindex>}> : () -> !tosa.shape<4>
  %value = "tosa.const"() <{values = dense<7.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %0 = tosa.pad %a, %amounts, %value : (!matrix, !tosa.shape<4>, tensor<1xf32>) -> !matrix
  return %0 : !matrix
}

func.func @transposed(%a: tensor<?x?x3xf32>) -> tensor<3x?x?xf32> {
  %0 = tosa.transpose %a {perms = array<i32: 2, 0, 1>} : (tensor<?x?x3xf32>) -> tensor<3x?x?xf32>
  return %0 : tensor<3x?x?xf32>
}

func.func @reshaped(%a: tensor<?x6xf32>) -> (tensor<?x2x3xf32>, tensor<?xf32>) {
  %s0 = "tosa.const_shape"() <{values = dense<[-1, 2, 3]> : tensor<3xindex>}> : () -> !tosa.shape<3>
  %0 = tosa.reshape %a, %s0 : (tensor<?x6xf32>, !tosa.shape<3>) -> tensor<?x2x3xf32>
  %s1 = "tosa.const_shape"() <{values = dense<[-1]> : tensor<1xindex>}> : () -> !tosa.shape<1>
  %1 = tosa.reshape %a, %s1 : (tensor<?x6xf32>, !tosa.shape<1>) -> tensor<?xf32>
  return %0, %1 : tensor<?x2x3xf32>, tensor<?xf32>
}

// TOSA between operations of linalg and arith.
func.func @mixed(%a: !matrix, %b: !matrix) -> !matrix {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %b, %c1 : !matrix
  %empty = tensor.empty(%m, %n) : !matrix
  %init = linalg.fill ins(%zero : f32) outs(%empty : !matrix) -> !matrix
  %0 = linalg.matmul ins(%a, %b : !matrix, !matrix) outs(%init : !matrix) -> !matrix
  %1 = tosa.clamp %0 {max_val = 6.0 : f32, min_val = 0.0 : f32} : (!matrix) -> !matrix
  %2 = arith.addf %1, %1 : !matrix
  return %2 : !matrix
}
