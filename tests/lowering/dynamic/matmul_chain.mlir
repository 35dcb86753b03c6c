// Two products of any number of rows with a ReLU and a bias between, and a check of what the bias' size must be.
func.func @main(%lhs: tensor<?x?xf32>, %rhs: tensor<?x?xf32>, %bias: tensor<?xf32>, %last: tensor<?x7xf32>) -> tensor<?x7xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %lhs, %c0 : tensor<?x?xf32>
  %n = tensor.dim %rhs, %c1 : tensor<?x?xf32>
  %empty = tensor.empty(%m, %n) : tensor<?x?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %product = linalg.matmul ins(%lhs, %rhs : tensor<?x?xf32>, tensor<?x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
  %relu = linalg.generic {
      indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]}
    ins(%product, %bias : tensor<?x?xf32>, tensor<?xf32>) outs(%empty : tensor<?x?xf32>) {
  ^bb0(%value: f32, %b: f32, %out: f32):
    %sum = arith.addf %value, %b : f32
    %max = arith.maximumf %sum, %zero : f32
    linalg.yield %max : f32
  } -> tensor<?x?xf32>
  %empty2 = tensor.empty(%m) : tensor<?x7xf32>
  %init2 = linalg.fill ins(%zero : f32) outs(%empty2 : tensor<?x7xf32>) -> tensor<?x7xf32>
  %result = linalg.matmul ins(%relu, %last : tensor<?x?xf32>, tensor<?x7xf32>) outs(%init2 : tensor<?x7xf32>) -> tensor<?x7xf32>
  return %result : tensor<?x7xf32>
}
