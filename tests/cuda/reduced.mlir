// Dispatches of f32 that --precision bf16 has kernels of their own for.

func.func @attention_bf16(%q: tensor<12x128x64xf32>, %k: tensor<12x64x128xf32>, %v: tensor<12x128x64xf32>) -> tensor<12x128x64xf32> {
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %x = tosa.matmul %q, %k, %zp, %zp : (tensor<12x128x64xf32>, tensor<12x64x128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<12x128x128xf32>
  %0 = tosa.reduce_max %x {axis = 2 : i32} : (tensor<12x128x128xf32>) -> tensor<12x128x1xf32>
  %1 = tosa.sub %x, %0 : (tensor<12x128x128xf32>, tensor<12x128x1xf32>) -> tensor<12x128x128xf32>
  %2 = tosa.exp %1 : (tensor<12x128x128xf32>) -> tensor<12x128x128xf32>
  %3 = tosa.reduce_sum %2 {axis = 2 : i32} : (tensor<12x128x128xf32>) -> tensor<12x128x1xf32>
  %4 = tosa.reciprocal %3 : (tensor<12x128x1xf32>) -> tensor<12x128x1xf32>
  %5 = tosa.mul %2, %4, %shift : (tensor<12x128x128xf32>, tensor<12x128x1xf32>, tensor<1xi8>) -> tensor<12x128x128xf32>
  %6 = tosa.matmul %5, %v, %zp, %zp : (tensor<12x128x128xf32>, tensor<12x128x64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<12x128x64xf32>
  return %6 : tensor<12x128x64xf32>
}
