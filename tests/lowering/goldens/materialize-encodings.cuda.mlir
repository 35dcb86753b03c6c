// PRECISION: tf32
//
// Right sides for tensor cores: tiles of n0 columns of 64 bytes of k each, 64 bytes, 32 halves or 16 floats; the left
// side and the result stay in rows.

device.declare @gpu = "cuda-emulator@sm_80"
func.func @main(%a: tensor<100x70xf16>, %b: tensor<70x40xf16>, %c: tensor<100x70xi8>, %d: tensor<70x40xi8>,
                %e: tensor<100x70xf32>, %f: tensor<70x40xf32>)
    -> (tensor<100x40xf32>, tensor<100x40xi32>, tensor<100x40xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<100x40xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<100x40xf32>) -> tensor<100x40xf32>
  %nothing = arith.constant 0 : i32
  %room = tensor.empty() : tensor<100x40xi32>
  %start = linalg.fill ins(%nothing : i32) outs(%room : tensor<100x40xi32>) -> tensor<100x40xi32>
  %halves = linalg.matmul ins(%a, %b : tensor<100x70xf16>, tensor<70x40xf16>)
    outs(%init : tensor<100x40xf32>) -> tensor<100x40xf32>
  %bytes = linalg.matmul ins(%c, %d : tensor<100x70xi8>, tensor<70x40xi8>)
    outs(%start : tensor<100x40xi32>) -> tensor<100x40xi32>
  %floats = linalg.matmul ins(%e, %f : tensor<100x70xf32>, tensor<70x40xf32>)
    outs(%init : tensor<100x40xf32>) -> tensor<100x40xf32>
  return %halves, %bytes, %floats : tensor<100x40xf32>, tensor<100x40xi32>, tensor<100x40xf32>
}

// CHECK: linalg.pack {{.*}} outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [32, 32] into {{.*}} -> tensor<2x3x32x32xf16>
// CHECK: "tiled.matmul"{{.*}} (tensor<100x70xf16>, tensor<2x3x32x32xf16>) -> tensor<100x40xf32>
// CHECK: inner_tiles = [32, 64] into {{.*}} -> tensor<2x2x32x64xi8>
// CHECK: "tiled.matmul"{{.*}} (tensor<100x70xi8>, tensor<2x2x32x64xi8>) -> tensor<100x40xi32>
// CHECK: inner_tiles = [32, 16] into {{.*}} -> tensor<2x5x32x16xf32>
// CHECK: "tiled.matmul"{{.*}}multiply_type = tf32}{{.*}} (tensor<100x70xf32>, tensor<2x5x32x16xf32>) -> tensor<100x40xf32>
