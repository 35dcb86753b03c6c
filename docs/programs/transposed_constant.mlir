// Any number of rows times a constant that lies transposed, [N, K], as fully connected layers store it; then a ReLU.
func.func @main(%lhs: tensor<?x64xf32>) -> tensor<?x40xf32> {
  %weights = arith.constant dense<0.5> : tensor<40x64xf32>
  %zero = arith.constant 0.0 : f32
  %axis = arith.constant 0 : index
  %rows = tensor.dim %lhs, %axis : tensor<?x64xf32>
  %empty = tensor.empty(%rows) : tensor<?x40xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x40xf32>) -> tensor<?x40xf32>
  %product = linalg.matmul
    indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%lhs, %weights : tensor<?x64xf32>, tensor<40x64xf32>) outs(%init : tensor<?x40xf32>) -> tensor<?x40xf32>
  %result = linalg.generic {
      indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]}
    ins(%product : tensor<?x40xf32>) outs(%empty : tensor<?x40xf32>) {
  ^bb0(%value: f32, %out: f32):
    %relu = arith.maximumf %value, %zero : f32
    linalg.yield %relu : f32
  } -> tensor<?x40xf32>
  return %result : tensor<?x40xf32>
}
