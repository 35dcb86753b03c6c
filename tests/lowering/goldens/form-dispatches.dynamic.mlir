// Sizes go into a dispatch by value, and again as those of its result. What the program takes for equal is checked once,
// the bias having its size from elsewhere.

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

// CHECK-DAG:  [[B:%[0-9a-z_]+]] = tensor.dim %bias
// CHECK-DAG:  %n = tensor.dim %y
// CHECK-DAG:  %m = tensor.dim %x
// CHECK:      [[EQUAL:%[0-9a-z_]+]] = arith.cmpi eq, %n, [[B]]
// CHECK-NEXT: dispatch.check [[EQUAL]], "linalg.generic: {{.*}}which must be equal", %n, [[B]]
// CHECK-NEXT: %sum = "dispatch.region"(%x, %y, %m, %n, %bias, %m, %n)
// CHECK-NEXT: ^bb0([[X:%[0-9a-z_]+]]: tensor<?x6xf32>, [[Y:%[0-9a-z_]+]]: tensor<6x?xf32>, [[M:%[0-9a-z_]+]]: index, [[N:%[0-9a-z_]+]]: index,
// CHECK:        tensor.empty([[M]], [[N]])
// CHECK:        linalg.matmul ins([[X]], [[Y]]
// CHECK:        linalg.generic
// CHECK:      func.return %sum
