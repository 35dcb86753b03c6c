// A matmul written as a generic with its right operand transposed, that adds to an argument, through a helper function;
// a vector times a matrix; arithmetic on whole tensors; a scalar argument and a scalar result.
#lhs = affine_map<(d0, d1, d2) -> (d0, d2)>
#rhs = affine_map<(d0, d1, d2) -> (d1, d2)>
#out = affine_map<(d0, d1, d2) -> (d0, d1)>
func.func private @product(%a: tensor<?x8xf32>, %b: tensor<4x8xf32>, %c: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = linalg.generic {indexing_maps = [#lhs, #rhs, #out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<?x8xf32>, tensor<4x8xf32>) outs(%c : tensor<?x4xf32>) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
func.func @main(%a: tensor<?x8xf32>, %b: tensor<4x8xf32>, %c: tensor<?x4xf32>, %v: tensor<8xf32>, %scale: f32)
    -> (tensor<?x4xf32>, tensor<4xf32>, f32) {
  %0 = func.call @product(%a, %b, %c) : (tensor<?x8xf32>, tensor<4x8xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %1 = arith.negf %0 : tensor<?x4xf32>
  %zero = arith.constant 0.0 : f32
  %2 = tensor.empty() : tensor<4xf32>
  %3 = linalg.fill ins(%zero : f32) outs(%2 : tensor<4xf32>) -> tensor<4xf32>
  %4 = linalg.matvec ins(%b, %v : tensor<4x8xf32>, tensor<8xf32>) outs(%3 : tensor<4xf32>) -> tensor<4xf32>
  %5 = arith.addf %scale, %scale : f32
  return %1, %4, %5 : tensor<?x4xf32>, tensor<4xf32>, f32
}

// CHECK-NOT: @product
// CHECK: func.func @main(
// CHECK-SAME: %scale: tensor<f32>) -> (tensor<?x4xf32>, tensor<4xf32>, tensor<f32>)
// CHECK: %[[S:.*]] = tensor.extract %scale[] : tensor<f32>
// CHECK: linalg.fill
// CHECK: linalg.matmul indexing_maps = [#map0, #map1, #map2] ins(%a, %b : tensor<?x8xf32>, tensor<4x8xf32>)
// CHECK: linalg.generic {{.*}} ins(%c, {{.*}} : tensor<?x4xf32>, tensor<?x4xf32>)
// CHECK: arith.addf
// CHECK: linalg.generic
// CHECK: arith.negf {{.*}} : f32
// CHECK: tensor.expand_shape %v {{.*}} : tensor<8xf32> into tensor<8x1xf32>
// CHECK: linalg.matmul
// CHECK: tensor.collapse_shape {{.*}} : tensor<4x1xf32> into tensor<4xf32>
// CHECK: arith.addf %[[S]], %[[S]] : f32
// CHECK: tensor.from_elements {{.*}} : tensor<f32>
