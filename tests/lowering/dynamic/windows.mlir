// Elements read at indices that are computed: every one twice, and sums over windows of three, which must lie inside.
func.func @main(%values: tensor<?xf32>, %into: tensor<?xf32>, %sums: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %doubled = linalg.generic {
      indexing_maps = [affine_map<(i) -> (i floordiv 2)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
    ins(%values : tensor<?xf32>) outs(%into : tensor<?xf32>) {
  ^bb0(%value: f32, %out: f32):
    linalg.yield %value : f32
  } -> tensor<?xf32>
  %window = tensor.empty() : tensor<3xf32>
  %summed = linalg.generic {
      indexing_maps = [affine_map<(i, k) -> (i + k)>, affine_map<(i, k) -> (k)>, affine_map<(i, k) -> (i)>],
      iterator_types = ["parallel", "reduction"]}
    ins(%values, %window : tensor<?xf32>, tensor<3xf32>) outs(%sums : tensor<?xf32>) {
  ^bb0(%value: f32, %tap: f32, %sum: f32):
    %next = arith.addf %value, %sum : f32
    linalg.yield %next : f32
  } -> tensor<?xf32>
  return %doubled, %summed : tensor<?xf32>, tensor<?xf32>
}
