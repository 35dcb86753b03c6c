// A matrix product whose sides both arrive at run time.
func.func @main(%lhs: tensor<128x64xf32>, %rhs: tensor<64x256xf32>) -> tensor<128x256xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<128x256xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<128x256xf32>) -> tensor<128x256xf32>
  %product = linalg.matmul ins(%lhs, %rhs : tensor<128x64xf32>, tensor<64x256xf32>) outs(%init : tensor<128x256xf32>) -> tensor<128x256xf32>
  return %product : tensor<128x256xf32>
}
