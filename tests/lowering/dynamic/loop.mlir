// A power iteration: the host counts and adds up a scalar, every round multiplies, scales by that scalar and branches.
func.func @main(%matrix: tensor<?x?xf32>, %rounds: tensor<i32>) -> (tensor<?x?xf32>, tensor<f32>) {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = tensor.dim %matrix, %c0 : tensor<?x?xf32>
  %count = tensor.extract %rounds[] : tensor<i32>
  %upper = arith.index_cast %count : i32 to index
  %empty = tensor.empty(%n, %n) : tensor<?x?xf32>
  %start = linalg.fill ins(%half : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %result, %total = scf.for %i = %c0 to %upper step %c1 iter_args(%power = %start, %sum = %zero) -> (tensor<?x?xf32>, f32) {
    %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
    %product = linalg.matmul ins(%matrix, %power : tensor<?x?xf32>, tensor<?x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
    %next = arith.addf %sum, %half : f32
    %index = arith.index_cast %i : index to i32
    %float = arith.sitofp %index : i32 to f32
    %odd = arith.cmpf ogt, %float, %half : f32
    %scaled = scf.if %odd -> (tensor<?x?xf32>) {
      %halved = linalg.generic {
          indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m, n)>],
          iterator_types = ["parallel", "parallel"]}
        ins(%product : tensor<?x?xf32>) outs(%empty : tensor<?x?xf32>) {
      ^bb0(%value: f32, %out: f32):
        %part = arith.mulf %value, %next : f32
        linalg.yield %part : f32
      } -> tensor<?x?xf32>
      scf.yield %halved : tensor<?x?xf32>
    } else {
      scf.yield %product : tensor<?x?xf32>
    }
    scf.yield %scaled, %next : tensor<?x?xf32>, f32
  }
  %tensor = tensor.from_elements %total : tensor<f32>
  return %result, %tensor : tensor<?x?xf32>, tensor<f32>
}
