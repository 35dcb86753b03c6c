// Data tiling by hand: pack, mmt4d, unpack; with padding, with an outer permutation, batched.
!matrix = tensor<?x?xf32>

func.func @packed(%a: tensor<5x7xf32>) -> tensor<2x2x4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<2x2x4x4xf32>
  %0 = linalg.pack %a padding_value(%zero : f32) inner_dims_pos = [0, 1] inner_tiles = [4, 4] into %empty
      : tensor<5x7xf32> -> tensor<2x2x4x4xf32>
  return %0 : tensor<2x2x4x4xf32>
}

func.func @permuted(%a: tensor<8x6xf32>) -> (tensor<3x2x2x4xf32>, tensor<8x6xf32>) {
  %empty = tensor.empty() : tensor<3x2x2x4xf32>
  %rows = tensor.empty() : tensor<8x6xf32>
  %0 = linalg.pack %a outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [2, 4] into %empty
      : tensor<8x6xf32> -> tensor<3x2x2x4xf32>
  %1 = linalg.unpack %0 outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [2, 4] into %rows
      : tensor<3x2x2x4xf32> -> tensor<8x6xf32>
  return %0, %1 : tensor<3x2x2x4xf32>, tensor<8x6xf32>
}

func.func @matmul(%a: tensor<17x33xf32>, %b: tensor<33x9xf32>) -> tensor<17x9xf32> {
  %zero = arith.constant 0.0 : f32
  %ea = tensor.empty() : tensor<3x33x8x1xf32>
  %eb = tensor.empty() : tensor<1x33x16x1xf32>
  %ec = tensor.empty() : tensor<3x1x8x16xf32>
  %rows = tensor.empty() : tensor<17x9xf32>
  %lhs = linalg.pack %a padding_value(%zero : f32) inner_dims_pos = [0, 1] inner_tiles = [8, 1] into %ea
      : tensor<17x33xf32> -> tensor<3x33x8x1xf32>
  %rhs = linalg.pack %b padding_value(%zero : f32) outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [16, 1] into %eb
      : tensor<33x9xf32> -> tensor<1x33x16x1xf32>
  %init = linalg.fill ins(%zero : f32) outs(%ec : tensor<3x1x8x16xf32>) -> tensor<3x1x8x16xf32>
  %0 = linalg.mmt4d ins(%lhs, %rhs : tensor<3x33x8x1xf32>, tensor<1x33x16x1xf32>) outs(%init : tensor<3x1x8x16xf32>) -> tensor<3x1x8x16xf32>
  %1 = linalg.unpack %0 inner_dims_pos = [0, 1] inner_tiles = [8, 16] into %rows : tensor<3x1x8x16xf32> -> tensor<17x9xf32>
  return %1 : tensor<17x9xf32>
}

func.func @mmt4d(%a: tensor<?x?x4x2xi8>, %b: tensor<?x?x3x2xi8>, %c: tensor<?x?x4x3xi32>) -> tensor<?x?x4x3xi32> {
  %0 = linalg.mmt4d ins(%a, %b : tensor<?x?x4x2xi8>, tensor<?x?x3x2xi8>) outs(%c : tensor<?x?x4x3xi32>) -> tensor<?x?x4x3xi32>
  return %0 : tensor<?x?x4x3xi32>
}

func.func @batch_mmt4d(%a: tensor<2x1x3x4x2xf32>, %b: tensor<2x2x3x5x2xf32>, %c: tensor<2x1x2x4x5xf32>) -> tensor<2x1x2x4x5xf32> {
  %0 = linalg.batch_mmt4d ins(%a, %b : tensor<2x1x3x4x2xf32>, tensor<2x2x3x5x2xf32>) outs(%c : tensor<2x1x2x4x5xf32>) -> tensor<2x1x2x4x5xf32>
  return %0 : tensor<2x1x2x4x5xf32>
}

func.func @dynamic(%a: !matrix) -> (tensor<?x?x4x2xf32>, !matrix) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c4 = arith.constant 4 : index
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %a, %c1 : !matrix
  %outer = arith.ceildivui %m, %c4 : index
  %inner = arith.ceildivui %n, %c2 : index
  %empty = tensor.empty(%outer, %inner) : tensor<?x?x4x2xf32>
  %0 = linalg.pack %a padding_value(%zero : f32) inner_dims_pos = [0, 1] inner_tiles = [4, 2] into %empty
      : !matrix -> tensor<?x?x4x2xf32>
  %rows = tensor.empty(%m, %n) : !matrix
  %1 = linalg.unpack %0 inner_dims_pos = [0, 1] inner_tiles = [4, 2] into %rows : tensor<?x?x4x2xf32> -> !matrix
  return %0, %1 : tensor<?x?x4x2xf32>, !matrix
}
