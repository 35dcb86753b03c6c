// TARGET: tiles
//
// The host computes how many tiles cover what only a call knows; a dispatch is told so.

func.func @main(%x: tensor<?x6xf32>, %y: tensor<6x?xf32>, %bias: tensor<?xf32>) -> tensor<?x?xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x6xf32>
  %n = tensor.dim %y, %c1 : tensor<6x?xf32>
  %empty = tensor.empty(%m, %n) : tensor<?x?xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %product = linalg.matmul ins(%x, %y : tensor<?x6xf32>, tensor<6x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
  %sum = linalg.generic {
      indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]}
    ins(%product, %bias : tensor<?x?xf32>, tensor<?xf32>) outs(%empty : tensor<?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<?x?xf32>
  return %sum : tensor<?x?xf32>
}

// CHECK-DAG:  [[M1:%[0-9a-z_]+]] = arith.ceildivsi %m,
// CHECK-DAG:  [[N1:%[0-9a-z_]+]] = arith.ceildivsi %n,
// CHECK:      "dispatch.region"({{.*}}, [[M1]], [[N1]], [[M1]], [[N1]])
// CHECK:        [[EMPTY:%[0-9a-z_]+]] = tensor.empty({{.*}}) : tensor<?x?x4x4xf32>
// CHECK:        linalg.mmt4d ins({{.*}} : tensor<?x3x4x2xf32>, tensor<?x3x4x2xf32>)
// CHECK:        linalg.generic {{.*}} : tensor<?x?x4x4xf32>, tensor<?x4xf32>)
// CHECK:      "dispatch.region"({{.*}}, %m, %n, %m, %n)
// CHECK:        linalg.unpack {{.*}} : tensor<?x?x4x4xf32> -> tensor<?x?xf32>
