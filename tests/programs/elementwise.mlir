// Element by element: static and dynamic, in generics, in arithmetic on whole tensors, by named operations and maps.
#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>
#trait = {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
!matrix = tensor<?x?xf32>

func.func @static_add(%a: tensor<10xf32>, %b: tensor<10xf32>) -> tensor<10xf32> {
  %empty = tensor.empty() : tensor<10xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%a, %b : tensor<10xf32>, tensor<10xf32>) outs(%empty : tensor<10xf32>) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %0 = arith.addf %x, %y : f32
    linalg.yield %0 : f32
  } -> tensor<10xf32>
  return %sum : tensor<10xf32>
}

func.func @dynamic_add(%a: !matrix, %b: !matrix) -> !matrix {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %a, %c1 : !matrix
  %empty = tensor.empty(%m, %n) : !matrix
  %sum = linalg.generic #trait ins(%a, %b : !matrix, !matrix) outs(%empty : !matrix) {
  ^bb0(%x: f32, %y: f32, %out: f32):
    %0 = arith.addf %x, %y : f32
    linalg.yield %0 : f32
  } -> !matrix
  return %sum : !matrix
}

// The second operand is passed where the result goes.
func.func @input_in_outs(%a: !matrix, %b: !matrix) -> !matrix {
  %sum = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a : !matrix) outs(%b : !matrix) {
  ^bb0(%x: f32, %out: f32):
    %0 = arith.addf %x, %out : f32
    linalg.yield %0 : f32
  } -> !matrix
  return %sum : !matrix
}

// A chain of generics, one of which broadcasts a row and captures a scalar.
func.func @fused_chain(%a: !matrix, %bias: tensor<?xf32>, %scale: f32) -> !matrix {
  %zero = arith.constant 0.0 : f32
  %scaled = linalg.generic {indexing_maps = [#id, affine_map<(d0, d1) -> ()>, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a, %scale : !matrix, f32) outs(%a : !matrix) {
  ^bb0(%x: f32, %s: f32, %out: f32):
    %0 = arith.mulf %x, %s : f32
    linalg.yield %0 : f32
  } -> !matrix
  %biased = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%scaled, %bias : !matrix, tensor<?xf32>) outs(%a : !matrix) {
  ^bb0(%x: f32, %b: f32, %out: f32):
    %0 = arith.addf %x, %b : f32
    linalg.yield %0 : f32
  } -> !matrix
  %relu = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%biased : !matrix) outs(%a : !matrix) {
  ^bb0(%x: f32, %out: f32):
    %0 = arith.maximumf %x, %zero : f32
    linalg.yield %0 : f32
  } -> !matrix
  return %relu : !matrix
}

func.func @whole_tensors(%a: !matrix, %b: !matrix) -> (!matrix, tensor<?x?xi1>, tensor<?x?xi32>) {
  %0 = arith.mulf %a, %b : !matrix
  %1 = arith.cmpf olt, %0, %a : !matrix
  %2 = arith.select %1, %0, %a : tensor<?x?xi1>, !matrix
  %3 = math.absf %2 : !matrix
  %4 = arith.fptosi %3 : !matrix to tensor<?x?xi32>
  return %3, %1, %4 : !matrix, tensor<?x?xi1>, tensor<?x?xi32>
}

// Where the elements stand: row * 100 + column, and the element where they are equal.
func.func @indices(%a: !matrix) -> (tensor<?x?xindex>, !matrix) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %hundred = arith.constant 100 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %a, %c1 : !matrix
  %empty = tensor.empty(%m, %n) : tensor<?x?xindex>
  %0, %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%a : !matrix) outs(%empty, %a : tensor<?x?xindex>, !matrix) {
  ^bb0(%x: f32, %out: index, %out2: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %2 = arith.muli %i, %hundred : index
    %3 = arith.addi %2, %j : index
    %4 = arith.cmpi eq, %i, %j : index
    %5 = arith.select %4, %x, %zero : f32
    linalg.yield %3, %5 : index, f32
  } -> (tensor<?x?xindex>, !matrix)
  return %0, %1 : tensor<?x?xindex>, !matrix
}

func.func @constants(%a: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xi64>) {
  %0 = arith.constant dense<[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]> : tensor<2x3xf32>
  %1 = arith.constant dense<2.5> : tensor<2x3xf32>
  %2 = arith.mulf %a, %0 : tensor<2x3xf32>
  %3 = arith.addf %2, %1 : tensor<2x3xf32>
  %4 = arith.constant dense<[[-1, 0, 1], [2, 3, 9223372036854775807]]> : tensor<2x3xi64>
  return %3, %4 : tensor<2x3xf32>, tensor<2x3xi64>
}

func.func @named(%a: !matrix, %b: !matrix) -> (!matrix, !matrix) {
  %0 = linalg.elementwise <add> ins(%a, %b : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %1 = linalg.elementwise <mul> ins(%0, %b : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %2 = linalg.elementwise <sub> ins(%1, %a : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %3 = linalg.elementwise <max_signed> ins(%2, %b : !matrix, !matrix) outs(%a : !matrix) -> !matrix
  %4 = linalg.elementwise <square> ins(%3 : !matrix) outs(%a : !matrix) -> !matrix
  %5 = linalg.elementwise <negf> ins(%4 : !matrix) outs(%a : !matrix) -> !matrix
  %6 = linalg.map { arith.minimumf } ins(%5, %a : !matrix, !matrix) outs(%b : !matrix)
  %7 = linalg.map ins(%6 : !matrix) outs(%b : !matrix)
    (%x: f32, %out: f32) {
      %8 = arith.addf %x, %x : f32
      linalg.yield %8 : f32
    }
  return %5, %7 : !matrix, !matrix
}

// A result that is written transposed, and a transposition, a broadcast and a copy by name.
func.func @moved(%a: !matrix, %row: tensor<?xf32>) -> (!matrix, !matrix, !matrix) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %a, %c0 : !matrix
  %n = tensor.dim %a, %c1 : !matrix
  %empty = tensor.empty(%n, %m) : !matrix
  %0 = linalg.generic {indexing_maps = [#id, affine_map<(d0, d1) -> (d1, d0)>], iterator_types = ["parallel", "parallel"]}
      ins(%a : !matrix) outs(%empty : !matrix) {
  ^bb0(%x: f32, %out: f32):
    linalg.yield %x : f32
  } -> !matrix
  %1 = linalg.transpose ins(%a : !matrix) outs(%empty : !matrix) permutation = [1, 0]
  %2 = linalg.map { arith.addf } ins(%0, %1 : !matrix, !matrix) outs(%empty : !matrix)
  %3 = linalg.broadcast ins(%row : tensor<?xf32>) outs(%a : !matrix) dimensions = [0]
  %4 = linalg.copy ins(%3 : !matrix) outs(%a : !matrix) -> !matrix
  return %2, %3, %4 : !matrix, !matrix, !matrix
}
