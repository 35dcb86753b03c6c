// Rows and columns of the neighbours are tables, so that the body divides nothing.
func.func @main(%x: tensor<1x4x4x8xi8>) -> tensor<1x8x8x8xi8> {
  %scale = "tosa.const_shape"() <{values = dense<[4, 2, 4, 2]> : tensor<4xindex>}> : () -> !tosa.shape<4>
  %offset = "tosa.const_shape"() <{values = dense<[-1, -1]> : tensor<2xindex>}> : () -> !tosa.shape<2>
  %border = "tosa.const_shape"() <{values = dense<[1, 1]> : tensor<2xindex>}> : () -> !tosa.shape<2>
  %y = "tosa.resize"(%x, %scale, %offset, %border) <{mode = #tosa.resize_mode<NEAREST_NEIGHBOR>}>
      : (tensor<1x4x4x8xi8>, !tosa.shape<4>, !tosa.shape<2>, !tosa.shape<2>) -> tensor<1x8x8x8xi8>
  return %y : tensor<1x8x8x8xi8>
}

// CHECK-LABEL: func.func @main
// CHECK: %[[V0:[0-9]+]] = "tosa.const"() {{.*}} : () -> tensor<8xi32>
// CHECK: %[[V1:[0-9]+]] = "tosa.const"() {{.*}} : () -> tensor<8xi32>
// CHECK: %[[V2:[0-9]+]] = tensor.empty() : tensor<1x8x8x8xi8>
// CHECK: %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d1)>, affine_map<(d0, d1, d2, d3) -> (d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%[[V0]], %[[V1]] : tensor<8xi32>, tensor<8xi32>) outs(%[[V2]] : tensor<1x8x8x8xi8>) {
// CHECK: %[[V3:[0-9]+]] = linalg.index 0 : index
// CHECK: %[[V4:[0-9]+]] = arith.index_cast %[[V5:[0-9]+]] : i32 to index
// CHECK: %[[V6:[0-9]+]] = arith.index_cast %[[V7:[0-9]+]] : i32 to index
// CHECK: %[[V8:[0-9]+]] = linalg.index 3 : index
// CHECK: %[[V9:[0-9]+]] = tensor.extract %x[%[[V3]], %[[V4]], %[[V6]], %[[V8]]] : tensor<1x4x4x8xi8>
// CHECK: linalg.yield %[[V9]] : i8
// CHECK: } -> tensor<1x8x8x8xi8>
// CHECK: func.return %y : tensor<1x8x8x8xi8>
