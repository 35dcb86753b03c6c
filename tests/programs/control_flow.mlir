// scf around linalg, helper functions, several results, scalars in and out.
#id = affine_map<(i, j) -> (i, j)>
!matrix = tensor<?x?xf32>

func.func private @product(%a: !matrix, %b: !matrix) -> !matrix {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %b, %c1 : !matrix
  %empty = tensor.empty(%m, %n) : !matrix
  %init = linalg.fill ins(%zero : f32) outs(%empty : !matrix) -> !matrix
  %0 = linalg.matmul ins(%a, %b : !matrix, !matrix) outs(%init : !matrix) -> !matrix
  return %0 : !matrix
}

func.func private @square(%a: !matrix) -> !matrix {
  %0 = func.call @product(%a, %a) : (!matrix, !matrix) -> !matrix
  return %0 : !matrix
}

func.func @calls(%a: !matrix) -> (!matrix, !matrix) {
  %0 = call @square(%a) : (!matrix) -> !matrix
  %1 = call @product(%0, %a) : (!matrix, !matrix) -> !matrix
  return %0, %1 : !matrix, !matrix
}

func.func @power(%a: !matrix, %start: !matrix, %count: index) -> !matrix {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = scf.for %i = %c0 to %count step %c1 iter_args(%p = %start) -> (!matrix) {
    %1 = func.call @product(%p, %a) : (!matrix, !matrix) -> !matrix
    scf.yield %1 : !matrix
  }
  return %0 : !matrix
}

// Rows of a matrix, one after the other, summed into a vector with their number as weight; and the last weight.
func.func @rows(%a: !matrix) -> (tensor<?xf32>, i32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %none = arith.constant 0 : i32
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %a, %c1 : !matrix
  %empty = tensor.empty(%n) : tensor<?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?xf32>) -> tensor<?xf32>
  %0:2 = scf.for %i = %c0 to %m step %c1 iter_args(%sum = %init, %last = %none) -> (tensor<?xf32>, i32) {
    %row = tensor.extract_slice %a[%i, 0] [1, %n] [1, 1] : !matrix to tensor<?xf32>
    %weight = arith.index_cast %i : index to i32
    %factor = arith.sitofp %weight : i32 to f32
    %1 = linalg.generic {indexing_maps = [affine_map<(j) -> (j)>, affine_map<(j) -> (j)>], iterator_types = ["parallel"]}
        ins(%row : tensor<?xf32>) outs(%sum : tensor<?xf32>) {
    ^bb0(%x: f32, %s: f32):
      %2 = arith.mulf %x, %factor : f32
      %3 = arith.addf %2, %s : f32
      linalg.yield %3 : f32
    } -> tensor<?xf32>
    scf.yield %1, %weight : tensor<?xf32>, i32
  }
  return %0#0, %0#1 : tensor<?xf32>, i32
}

func.func @choose(%which: i1, %a: !matrix, %b: !matrix) -> (!matrix, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0:2 = scf.if %which -> (!matrix, index) {
    %1 = arith.addf %a, %b : !matrix
    %m = tensor.dim %a, %c0 : !matrix
    scf.yield %1, %m : !matrix, index
  } else {
    %n = tensor.dim %a, %c1 : !matrix
    scf.yield %b, %n : !matrix, index
  }
  return %0#0, %0#1 : !matrix, index
}

// Doubles until the sum of all elements is at least a limit; how often.
func.func @doubled(%a: tensor<4xf32>, %limit: f32) -> (tensor<4xf32>, i32) {
  %none = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %zero = arith.constant 0.0 : f32
  %0:2 = scf.while (%x = %a, %count = %none) : (tensor<4xf32>, i32) -> (tensor<4xf32>, i32) {
    %empty = tensor.empty() : tensor<f32>
    %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<f32>) -> tensor<f32>
    %sum = linalg.reduce { arith.addf } ins(%x : tensor<4xf32>) outs(%init : tensor<f32>) dimensions = [0]
    %total = tensor.extract %sum[] : tensor<f32>
    %again = arith.cmpf olt, %total, %limit : f32
    scf.condition(%again) %x, %count : tensor<4xf32>, i32
  } do {
  ^bb0(%x: tensor<4xf32>, %count: i32):
    %1 = arith.addf %x, %x : tensor<4xf32>
    %2 = arith.addi %count, %one : i32
    scf.yield %1, %2 : tensor<4xf32>, i32
  }
  return %0#0, %0#1 : tensor<4xf32>, i32
}

func.func @scalars(%a: f32, %n: i32, %i: index) -> (f32, i32, index, i1) {
  %0 = arith.sitofp %n : i32 to f32
  %1 = arith.mulf %a, %0 : f32
  %2 = math.sqrt %1 : f32
  %c7 = arith.constant 7 : i32
  %3 = arith.remsi %n, %c7 : i32
  %4 = arith.addi %i, %i : index
  %5 = arith.cmpf oge, %a, %1 : f32
  return %2, %3, %4, %5 : f32, i32, index, i1
}
