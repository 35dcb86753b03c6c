// Matrix products: by name, as generics with either operand transposed, with an accumulator, batched, of vectors, chained.
#mk = affine_map<(m, n, k) -> (m, k)>
#km = affine_map<(m, n, k) -> (k, m)>
#kn = affine_map<(m, n, k) -> (k, n)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
#nm = affine_map<(m, n, k) -> (n, m)>
!matrix = tensor<?x?xf32>

func.func @static(%a: tensor<4x8xf32>, %b: tensor<8x4xf32>) -> tensor<4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x4xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x4xf32>) -> tensor<4x4xf32>
  %0 = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x4xf32>) outs(%init : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}

func.func @accumulate(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.matmul ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  return %0 : !matrix
}

func.func @generic_nn(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> !matrix
  return %0 : !matrix
}

func.func @generic_nt(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.generic {indexing_maps = [#mk, #nk, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %1, %sum : f32
    linalg.yield %2 : f32
  } -> !matrix
  return %0 : !matrix
}

func.func @generic_tn(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.generic {indexing_maps = [#km, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %y, %x : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> !matrix
  return %0 : !matrix
}

func.func @generic_tt(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.generic {indexing_maps = [#km, #nk, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> !matrix
  return %0 : !matrix
}

// The result is written transposed.
func.func @generic_transposed_result(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.generic {indexing_maps = [#mk, #kn, #nm], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> !matrix
  return %0 : !matrix
}

// The loops in another order: sums first.
func.func @generic_outer_reduction(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.generic {indexing_maps = [affine_map<(k, m, n) -> (m, k)>, affine_map<(k, m, n) -> (k, n)>, affine_map<(k, m, n) -> (m, n)>],
      iterator_types = ["reduction", "parallel", "parallel"]} ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> !matrix
  return %0 : !matrix
}

func.func @mapped(%a: !matrix, %at: !matrix, %b: !matrix, %bt: !matrix, %c: !matrix) -> (!matrix, !matrix, !matrix, !matrix) {
  %0 = linalg.matmul indexing_maps = [#km, #kn, #mn] ins(%at, %b : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  %1 = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%a, %bt : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  %2 = linalg.matmul indexing_maps = [#km, #nk, #mn] ins(%at, %bt : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  %3 = linalg.contract indexing_maps = [#mk, #nk, #mn] ins(%a, %bt : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  return %0, %1, %2, %3 : !matrix, !matrix, !matrix, !matrix
}

func.func @vectors(%a: !matrix, %x: tensor<?xf32>, %y: tensor<?xf32>, %start: tensor<f32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<f32>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %a, %c1 : !matrix
  %em = tensor.empty(%m) : tensor<?xf32>
  %en = tensor.empty(%n) : tensor<?xf32>
  %zm = linalg.fill ins(%zero : f32) outs(%em : tensor<?xf32>) -> tensor<?xf32>
  %zn = linalg.fill ins(%zero : f32) outs(%en : tensor<?xf32>) -> tensor<?xf32>
  %0 = linalg.matvec ins(%a, %x : !matrix, tensor<?xf32>) outs(%zm : tensor<?xf32>) -> tensor<?xf32>
  %1 = linalg.vecmat ins(%y, %a : tensor<?xf32>, !matrix) outs(%zn : tensor<?xf32>) -> tensor<?xf32>
  %2 = linalg.dot ins(%x, %x : tensor<?xf32>, tensor<?xf32>) outs(%start : tensor<f32>) -> tensor<f32>
  return %0, %1, %2 : tensor<?xf32>, tensor<?xf32>, tensor<f32>
}

func.func @batched(%a: tensor<?x?x?xf32>, %b: tensor<?x?x?xf32>, %c: tensor<?x?x?xf32>) -> (tensor<?x?x?xf32>, tensor<?x?xf32>) {
  %zero = arith.constant 0.0 : f32
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %0 = linalg.batch_matmul ins(%a, %b : tensor<?x?x?xf32>, tensor<?x?x?xf32>) outs(%c : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %m = tensor.dim %a, %c1 : tensor<?x?x?xf32>
  %n = tensor.dim %b, %c2 : tensor<?x?x?xf32>
  %empty = tensor.empty(%m, %n) : !matrix
  %init = linalg.fill ins(%zero : f32) outs(%empty : !matrix) -> !matrix
  %1 = linalg.batch_reduce_matmul ins(%a, %b : tensor<?x?x?xf32>, tensor<?x?x?xf32>) outs(%init : !matrix) -> !matrix
  return %0, %1 : tensor<?x?x?xf32>, !matrix
}

func.func @batch_vectors(%a: tensor<3x5x7xf32>, %x: tensor<3x7xf32>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = linalg.batch_matvec ins(%a, %x : tensor<3x5x7xf32>, tensor<3x7xf32>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// Two loops of each kind: attention's products over batch and heads, and a sum over two dimensions.
func.func @many_loops(%a: tensor<2x3x5x4x8xf32>, %b: tensor<2x3x4x8x6x2xf32>) -> tensor<2x3x5x6x2xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x3x5x6x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x3x5x6x2xf32>) -> tensor<2x3x5x6x2xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(b, h, m, n, o, k, l) -> (b, h, m, k, l)>,
        affine_map<(b, h, m, n, o, k, l) -> (b, h, k, l, n, o)>, affine_map<(b, h, m, n, o, k, l) -> (b, h, m, n, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
      ins(%a, %b : tensor<2x3x5x4x8xf32>, tensor<2x3x4x8x6x2xf32>) outs(%init : tensor<2x3x5x6x2xf32>) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<2x3x5x6x2xf32>
  return %0 : tensor<2x3x5x6x2xf32>
}

// matmul, bias and ReLU, matmul: no layout changes between the two.
func.func @chain(%a: !matrix, %b: !matrix, %bias: tensor<?xf32>, %d: !matrix) -> !matrix {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %b, %c1 : !matrix
  %o = tensor.dim %d, %c1 : !matrix
  %e0 = tensor.empty(%m, %n) : !matrix
  %z0 = linalg.fill ins(%zero : f32) outs(%e0 : !matrix) -> !matrix
  %0 = linalg.matmul ins(%a, %b : !matrix, !matrix) outs(%z0 : !matrix) -> !matrix
  %1 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%0, %bias : !matrix, tensor<?xf32>) outs(%e0 : !matrix) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %3 = arith.addf %x, %y : f32
    %4 = arith.maximumf %3, %zero : f32
    linalg.yield %4 : f32
  } -> !matrix
  %e1 = tensor.empty(%m, %o) : !matrix
  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : !matrix) -> !matrix
  %2 = linalg.matmul ins(%1, %d : !matrix, !matrix) outs(%z1 : !matrix) -> !matrix
  return %2 : !matrix
}

// The weights are a constant, transposed.
func.func @constant_weights(%a: tensor<?x3xf32>) -> tensor<?x2xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %w = arith.constant dense<[[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]]> : tensor<2x3xf32>
  %m = tensor.dim %a, %c0 : tensor<?x3xf32>
  %empty = tensor.empty(%m) : tensor<?x2xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x2xf32>) -> tensor<?x2xf32>
  %0 = linalg.matmul indexing_maps = [#mk, #nk, #mn] ins(%a, %w : tensor<?x3xf32>, tensor<2x3xf32>) outs(%init : tensor<?x2xf32>) -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}
