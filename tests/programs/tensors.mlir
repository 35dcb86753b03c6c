// Moving and making tensors: slices, padding, concatenation, reshapes, casts, generated and gathered elements.
!matrix = tensor<?x?xf32>

func.func @slices(%a: !matrix, %row: index, %count: index) -> (!matrix, tensor<?xf32>, !matrix) {
  %c1 = arith.constant 1 : index
  %n = tensor.dim %a, %c1 : !matrix
  %0 = tensor.extract_slice %a[%row, 0] [%count, %n] [1, 1] : !matrix to !matrix
  %1 = tensor.extract_slice %a[%row, 0] [1, %n] [1, 1] : !matrix to tensor<?xf32>
  %2 = tensor.insert_slice %1 into %a[0, 0] [1, %n] [1, 1] : tensor<?xf32> into !matrix
  return %0, %1, %2 : !matrix, tensor<?xf32>, !matrix
}

func.func @strided(%a: tensor<8x6xf32>) -> (tensor<4x2xf32>, tensor<8x6xf32>) {
  %0 = tensor.extract_slice %a[1, 0] [4, 2] [2, 3] : tensor<8x6xf32> to tensor<4x2xf32>
  %1 = tensor.insert_slice %0 into %a[0, 1] [4, 2] [2, 3] : tensor<4x2xf32> into tensor<8x6xf32>
  return %0, %1 : tensor<4x2xf32>, tensor<8x6xf32>
}

func.func @padded(%a: !matrix, %low: index, %value: f32) -> (!matrix, !matrix) {
  %one = arith.constant 1.0 : f32
  %0 = tensor.pad %a low[%low, 1] high[2, %low] {
  ^bb0(%i: index, %j: index):
    tensor.yield %one : f32
  } : !matrix to !matrix
  %1 = tensor.pad %a low[0, 1] high[%low, 0] {
  ^bb0(%i: index, %j: index):
    tensor.yield %value : f32
  } : !matrix to !matrix
  return %0, %1 : !matrix, !matrix
}

func.func @reshaped(%a: tensor<?x6xf32>, %shape: tensor<2xindex>) -> (tensor<?xf32>, tensor<?x2x3xf32>, !matrix) {
  %c0 = arith.constant 0 : index
  %m = tensor.dim %a, %c0 : tensor<?x6xf32>
  %0 = tensor.collapse_shape %a [[0, 1]] : tensor<?x6xf32> into tensor<?xf32>
  %1 = tensor.expand_shape %a [[0], [1, 2]] output_shape [%m, 2, 3] : tensor<?x6xf32> into tensor<?x2x3xf32>
  %2 = tensor.reshape %a(%shape) : (tensor<?x6xf32>, tensor<2xindex>) -> !matrix
  return %0, %1, %2 : tensor<?xf32>, tensor<?x2x3xf32>, !matrix
}

func.func @generated(%m: index, %v: f32) -> (tensor<?x3xf32>, tensor<?xf32>, tensor<2x2xf32>, tensor<3xindex>) {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = tensor.generate %m {
  ^bb0(%i: index, %j: index):
    %k = arith.muli %i, %j : index
    %l = arith.index_cast %k : index to i64
    %x = arith.sitofp %l : i64 to f32
    tensor.yield %x : f32
  } : tensor<?x3xf32>
  %1 = tensor.splat %v[%m] : tensor<?xf32>
  %2 = tensor.from_elements %v, %zero, %zero, %v : tensor<2x2xf32>
  %3 = tensor.insert %zero into %2[%c0, %c0] : tensor<2x2xf32>
  %rank = tensor.rank %0 : tensor<?x3xf32>
  %4 = tensor.from_elements %rank, %m, %c1 : tensor<3xindex>
  return %0, %1, %3, %4 : tensor<?x3xf32>, tensor<?xf32>, tensor<2x2xf32>, tensor<3xindex>
}

func.func @gathered(%a: !matrix, %indices: tensor<?x1xi32>) -> (tensor<?x?xf32>, tensor<?xf32>) {
  %c0 = arith.constant 0 : index
  %0 = tensor.gather %a[%indices] gather_dims([0]) : (!matrix, tensor<?x1xi32>) -> !matrix
  %m = tensor.dim %indices, %c0 : tensor<?x1xi32>
  %empty = tensor.empty(%m) : tensor<?xf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(i) -> (i, 0)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%indices : tensor<?x1xi32>) outs(%empty : tensor<?xf32>) {
  ^bb0(%at: i32, %out: f32):
    %i = arith.index_cast %at : i32 to index
    %x = tensor.extract %a[%i, %c0] : !matrix
    linalg.yield %x : f32
  } -> tensor<?xf32>
  return %0, %1 : !matrix, tensor<?xf32>
}

func.func @bits(%a: tensor<?xf32>) -> tensor<?xi32> {
  %0 = tensor.bitcast %a : tensor<?xf32> to tensor<?xi32>
  return %0 : tensor<?xi32>
}

func.func @concatenated(%a: !matrix, %b: !matrix) -> (!matrix, !matrix) {
  %0 = tensor.concat dim(0) %a, %b : (!matrix, !matrix) -> !matrix
  %1 = tensor.concat dim(1) %0, %0, %0 : (!matrix, !matrix, !matrix) -> !matrix
  return %0, %1 : !matrix, !matrix
}

func.func @cast(%a: !matrix) -> (tensor<4x?xf32>, !matrix) {
  %0 = tensor.cast %a : !matrix to tensor<4x?xf32>
  %1 = arith.addf %0, %0 : tensor<4x?xf32>
  %2 = tensor.cast %1 : tensor<4x?xf32> to !matrix
  return %0, %2 : tensor<4x?xf32>, !matrix
}

// A tensor with nothing in it, and one that is passed through.
func.func @untouched(%a: !matrix) -> (!matrix, tensor<0x3xi8>) {
  %0 = arith.constant dense<> : tensor<0x3xi8>
  return %a, %0 : !matrix, tensor<0x3xi8>
}
