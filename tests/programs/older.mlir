// Operations by names that MLIR has given up since: element-wise ones, transposed products, packing of the tensor dialect.
#km = affine_map<(m, n, k) -> (k, m)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>
!matrix = tensor<?x?xf32>

func.func @named(%a: !matrix, %b: !matrix) -> (!matrix, !matrix) {
  %0 = linalg.add ins(%a, %b : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %1 = linalg.mul ins(%0, %b : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %2 = linalg.sub ins(%1, %a : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %3 = linalg.max ins(%2, %b : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %4 = linalg.square ins(%3 : !matrix) outs(%a : !matrix) -> !matrix
  %5 = linalg.elementwise kind=#linalg.elementwise_kind<negf> ins(%4 : !matrix) outs(%a : !matrix) -> !matrix
  %6 = linalg.map { arith.minimumf } ins(%5, %a : !matrix, !matrix) outs(%b : !matrix)
  %7 = linalg.map ins(%6 : !matrix) outs(%b : !matrix)
    (%x: f32) {
      %8 = arith.addf %x, %x : f32
      linalg.yield %8 : f32
    }
  return %5, %7 : !matrix, !matrix
}

func.func @named_transposes(%a: !matrix, %at: !matrix, %b: !matrix, %bt: !matrix, %c: !matrix) -> (!matrix, !matrix, !matrix, !matrix) {
  %0 = linalg.matmul_transpose_a ins(%at, %b : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  %1 = linalg.matmul_transpose_b ins(%a, %bt : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  %2 = linalg.matmul indexing_maps = [#km, #nk, #mn] ins(%at, %bt : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  %3 = linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, #nk, #mn] ins(%a, %bt : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  return %0, %1, %2, %3 : !matrix, !matrix, !matrix, !matrix
}

func.func @permuted(%a: tensor<8x6xf32>) -> (tensor<3x2x2x4xf32>, tensor<8x6xf32>) {
  %empty = tensor.empty() : tensor<3x2x2x4xf32>
  %rows = tensor.empty() : tensor<8x6xf32>
  %0 = tensor.pack %a outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [2, 4] into %empty
      : tensor<8x6xf32> -> tensor<3x2x2x4xf32>
  %1 = tensor.unpack %0 outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [2, 4] into %rows
      : tensor<3x2x2x4xf32> -> tensor<8x6xf32>
  return %0, %1 : tensor<3x2x2x4xf32>, tensor<8x6xf32>
}
