// Sums, products and extrema over one dimension, over several, over all; row sums; means; softmax by generics and by name.
#id = affine_map<(i, j) -> (i, j)>
#i = affine_map<(i, j) -> (i)>
#j = affine_map<(i, j) -> (j)>
!matrix = tensor<?x?xf32>
!cube = tensor<?x?x?xf32>

func.func @row_sums(%a: !matrix) -> tensor<?xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : !matrix
  %empty = tensor.empty(%m) : tensor<?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  %0 = linalg.generic {indexing_maps = [#id, #i], iterator_types = ["parallel", "reduction"]}
      ins(%a : !matrix) outs(%init : tensor<?xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %1 = arith.addf %x, %sum : f32
    linalg.yield %1 : f32
  } -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// What the sums start from is an argument.
func.func @column_sums(%a: !matrix, %start: tensor<?xf32>) -> tensor<?xf32> {
  %0 = linalg.generic {indexing_maps = [#id, #j], iterator_types = ["reduction", "parallel"]}
      ins(%a : !matrix) outs(%start : tensor<?xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %1 = arith.addf %x, %sum : f32
    linalg.yield %1 : f32
  } -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

func.func @whole(%a: !matrix) -> (tensor<f32>, f32) {
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %empty = tensor.empty() : tensor<f32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<f32>) -> tensor<f32>
  %low = linalg.fill ins(%least : f32) outs(%empty : tensor<f32>) -> tensor<f32>
  %0 = linalg.generic {indexing_maps = [#id, affine_map<(i, j) -> ()>], iterator_types = ["reduction", "reduction"]}
      ins(%a : !matrix) outs(%init : tensor<f32>) {
  ^bb0(%x: f32, %sum: f32):
    %1 = arith.addf %x, %sum : f32
    linalg.yield %1 : f32
  } -> tensor<f32>
  %2 = linalg.reduce { arith.maximumf } ins(%a : !matrix) outs(%low : tensor<f32>) dimensions = [0, 1]
  %3 = tensor.extract %2[] : tensor<f32>
  return %0, %3 : tensor<f32>, f32
}

func.func @cube(%a: !cube, %ik: !matrix, %j: tensor<?xf32>) -> (!matrix, tensor<?xf32>) {
  %0 = linalg.reduce { arith.addf } ins(%a : !cube) outs(%ik : !matrix) dimensions = [1]
  %1 = linalg.reduce ins(%a : !cube) outs(%j : tensor<?xf32>) dimensions = [0, 2]
    (%x: f32, %most: f32) {
      %2 = arith.maximumf %x, %most : f32
      linalg.yield %2 : f32
    }
  return %0, %1 : !matrix, tensor<?xf32>
}

// Two results of one walk: the sum and the largest of each row, of squares.
func.func @two_results(%a: !matrix, %sums: tensor<?xf32>, %largest: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %0:2 = linalg.generic {indexing_maps = [#id, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%a : !matrix) outs(%sums, %largest : tensor<?xf32>, tensor<?xf32>) {
  ^bb0(%x: f32, %sum: f32, %most: f32):
    %1 = arith.mulf %x, %x : f32
    %2 = arith.addf %1, %sum : f32
    %3 = arith.maximumf %1, %most : f32
    linalg.yield %2, %3 : f32, f32
  } -> (tensor<?xf32>, tensor<?xf32>)
  return %0#0, %0#1 : tensor<?xf32>, tensor<?xf32>
}

// The position of the largest element of each row: a reduction with two accumulators that depend on each other.
func.func @argmax(%a: !matrix) -> tensor<?xi32> {
  %c0 = arith.constant 0 : index
  %least = arith.constant 0xFF800000 : f32
  %first = arith.constant 0 : i32
  %m = tensor.dim %a, %c0 : !matrix
  %ef = tensor.empty(%m) : tensor<?xf32>
  %ei = tensor.empty(%m) : tensor<?xi32>
  %values = linalg.fill ins(%least : f32) outs(%ef : tensor<?xf32>) -> tensor<?xf32>
  %places = linalg.fill ins(%first : i32) outs(%ei : tensor<?xi32>) -> tensor<?xi32>
  %0:2 = linalg.generic {indexing_maps = [#id, #i, #i], iterator_types = ["parallel", "reduction"]}
      ins(%a : !matrix) outs(%values, %places : tensor<?xf32>, tensor<?xi32>) {
  ^bb0(%x: f32, %value: f32, %place: i32):
    %1 = linalg.index 1 : index
    %2 = arith.index_cast %1 : index to i32
    %3 = arith.cmpf ogt, %x, %value : f32
    %4 = arith.select %3, %x, %value : f32
    %5 = arith.select %3, %2, %place : i32
    linalg.yield %4, %5 : f32, i32
  } -> (tensor<?xf32>, tensor<?xi32>)
  return %0#1 : tensor<?xi32>
}

func.func @softmax(%a: !matrix) -> (!matrix, !matrix) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %m = tensor.dim %a, %c0 : !matrix
  %rows = tensor.empty(%m) : tensor<?xf32>
  %low = linalg.fill ins(%least : f32) outs(%rows : tensor<?xf32>) -> tensor<?xf32>
  %none = linalg.fill ins(%zero : f32) outs(%rows : tensor<?xf32>) -> tensor<?xf32>
  %largest = linalg.generic {indexing_maps = [#id, #i], iterator_types = ["parallel", "reduction"]}
      ins(%a : !matrix) outs(%low : tensor<?xf32>) {
  ^bb0(%x: f32, %most: f32):
    %0 = arith.maximumf %x, %most : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %exponentials = linalg.generic {indexing_maps = [#id, #i, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %largest : !matrix, tensor<?xf32>) outs(%a : !matrix) {
  ^bb0(%x: f32, %most: f32, %out: f32):
    %0 = arith.subf %x, %most : f32
    %1 = math.exp %0 : f32
    linalg.yield %1 : f32
  } -> !matrix
  %sums = linalg.generic {indexing_maps = [#id, #i], iterator_types = ["parallel", "reduction"]}
      ins(%exponentials : !matrix) outs(%none : tensor<?xf32>) {
  ^bb0(%x: f32, %sum: f32):
    %0 = arith.addf %x, %sum : f32
    linalg.yield %0 : f32
  } -> tensor<?xf32>
  %shares = linalg.generic {indexing_maps = [#id, #i, #id], iterator_types = ["parallel", "parallel"]}
      ins(%exponentials, %sums : !matrix, tensor<?xf32>) outs(%a : !matrix) {
  ^bb0(%x: f32, %sum: f32, %out: f32):
    %0 = arith.divf %x, %sum : f32
    linalg.yield %0 : f32
  } -> !matrix
  %named = linalg.softmax dimension(1) ins(%a : !matrix) outs(%a : !matrix) -> !matrix
  return %shares, %named : !matrix, !matrix
}
