// Reshapes of unknown sizes around a computation, parts taken and put together.
func.func @main(%values: tensor<?x6xf32>, %other: tensor<?x4xf32>) -> (tensor<?xf32>, tensor<?x10xf32>) {
  %c0 = arith.constant 0 : index
  %one = arith.constant 1.0 : f32
  %m = tensor.dim %values, %c0 : tensor<?x6xf32>
  %cube = tensor.expand_shape %values [[0], [1, 2]] output_shape [%m, 2, 3] : tensor<?x6xf32> into tensor<?x2x3xf32>
  %empty = tensor.empty(%m) : tensor<?x2x3xf32>
  %more = linalg.generic {
      indexing_maps = [affine_map<(a, b, c) -> (a, b, c)>, affine_map<(a, b, c) -> (a, b, c)>],
      iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%cube : tensor<?x2x3xf32>) outs(%empty : tensor<?x2x3xf32>) {
  ^bb0(%value: f32, %out: f32):
    %sum = arith.addf %value, %one : f32
    linalg.yield %sum : f32
  } -> tensor<?x2x3xf32>
  %flat = tensor.collapse_shape %more [[0, 1, 2]] : tensor<?x2x3xf32> into tensor<?xf32>
  %rows = tensor.collapse_shape %more [[0], [1, 2]] : tensor<?x2x3xf32> into tensor<?x6xf32>
  %joined = tensor.concat dim(1) %rows, %other : (tensor<?x6xf32>, tensor<?x4xf32>) -> tensor<?x10xf32>
  return %flat, %joined : tensor<?xf32>, tensor<?x10xf32>
}
