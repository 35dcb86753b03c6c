// PRECISION: tf32
//
// Contractions of f32 say what their sides may be rounded to; no type changes. That of integers says nothing.

device.declare @gpu = "cuda-emulator@sm_80"
func.func @main(%a: tensor<3x5xf32>, %b: tensor<5x7xf32>, %c: tensor<3x5xi8>, %d: tensor<5x7xi8>)
    -> (tensor<3x7xf32>, tensor<3x7xi32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<3x7xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<3x7xf32>) -> tensor<3x7xf32>
  %floats = linalg.matmul ins(%a, %b : tensor<3x5xf32>, tensor<5x7xf32>)
    outs(%init : tensor<3x7xf32>) -> tensor<3x7xf32>
  %nothing = arith.constant 0 : i32
  %room = tensor.empty() : tensor<3x7xi32>
  %start = linalg.fill ins(%nothing : i32) outs(%room : tensor<3x7xi32>) -> tensor<3x7xi32>
  %integers = linalg.matmul ins(%c, %d : tensor<3x5xi8>, tensor<5x7xi8>)
    outs(%start : tensor<3x7xi32>) -> tensor<3x7xi32>
  return %floats, %integers : tensor<3x7xf32>, tensor<3x7xi32>
}

// CHECK-NOT:  tensor<{{.*}}tf32>
// CHECK:      linalg.matmul {encoding.multiply_type = tf32} ins({{.*}} : tensor<3x5xf32>, tensor<5x7xf32>)
// CHECK:      linalg.matmul ins({{.*}}tensor<3x5xi8>
