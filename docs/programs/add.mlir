// The first program that IREE ran on a GPU: four sums.
func.func @add(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %empty = tensor.empty() : tensor<4xf32>
  %sum = linalg.generic {
      indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
      iterator_types = ["parallel"]}
      ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%empty : tensor<4xf32>) {
    ^bb0(%x: f32, %y: f32, %unused: f32):
      %z = arith.addf %x, %y : f32
      linalg.yield %z : f32
  } -> tensor<4xf32>
  return %sum : tensor<4xf32>
}
