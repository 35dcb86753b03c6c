func.func @main(%x: tensor<2x3x4xf32>) -> (tensor<6x2x2xf32>, tensor<4x3x2xf32>, tensor<2x3x4xf32>, tensor<2x6x4xf32>, tensor<1x2x3xf32>) {
  %shape = "tosa.const_shape"() <{values = dense<[6, 2, 2]> : tensor<3xindex>}> : () -> !tosa.shape<3>
  %multiples = "tosa.const_shape"() <{values = dense<[1, 2, 1]> : tensor<3xindex>}> : () -> !tosa.shape<3>
  %start = "tosa.const_shape"() <{values = dense<[1, 0, 1]> : tensor<3xindex>}> : () -> !tosa.shape<3>
  %size = "tosa.const_shape"() <{values = dense<[1, 2, 3]> : tensor<3xindex>}> : () -> !tosa.shape<3>
  %reshape = "tosa.reshape"(%x, %shape) : (tensor<2x3x4xf32>, !tosa.shape<3>) -> tensor<6x2x2xf32>
  %transpose = "tosa.transpose"(%x) <{perms = array<i32: 2, 1, 0>}> : (tensor<2x3x4xf32>) -> tensor<4x3x2xf32>
  %reverse = "tosa.reverse"(%x) <{axis = 2 : i32}> : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %tile = "tosa.tile"(%x, %multiples) : (tensor<2x3x4xf32>, !tosa.shape<3>) -> tensor<2x6x4xf32>
  %slice = "tosa.slice"(%x, %start, %size) : (tensor<2x3x4xf32>, !tosa.shape<3>, !tosa.shape<3>) -> tensor<1x2x3xf32>
  return %reshape, %transpose, %reverse, %tile, %slice : tensor<6x2x2xf32>, tensor<4x3x2xf32>, tensor<2x3x4xf32>, tensor<2x6x4xf32>, tensor<1x2x3xf32>
}

// CHECK-LABEL: func.func @main
// CHECK: %[[V0:[0-9]+]] = tensor.collapse_shape %x {{\[\[}}0 : i64, 1 : i64], [2 : i64{{\]\]}} : tensor<2x3x4xf32> into tensor<6x4xf32>
// CHECK: %reshape = tensor.expand_shape %[[V0]] {{\[\[}}0 : i64], [1 : i64, 2 : i64{{\]\]}} output_shape [6, 2, 2] : tensor<6x4xf32> into tensor<6x2x2xf32>
// CHECK: %[[V1:[0-9]+]] = tensor.empty() : tensor<4x3x2xf32>
// CHECK: %transpose = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d2, d1, d0)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : tensor<2x3x4xf32>) outs(%[[V1]] : tensor<4x3x2xf32>) {
// CHECK: linalg.yield %[[V2:[0-9]+]] : f32
// CHECK: } -> tensor<4x3x2xf32>
// CHECK: %[[V3:[0-9]+]] = tensor.empty() : tensor<2x3x4xf32>
// CHECK: %reverse = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, ((d2 * -1) + 3))>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%x : tensor<2x3x4xf32>) outs(%[[V3]] : tensor<2x3x4xf32>) {
// CHECK: linalg.yield %[[V4:[0-9]+]] : f32
// CHECK: } -> tensor<2x3x4xf32>
// CHECK: %[[V5:[0-9]+]] = tensor.empty() : tensor<2x2x3x4xf32>
// CHECK: %[[V6:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%x : tensor<2x3x4xf32>) outs(%[[V5]] : tensor<2x2x3x4xf32>) {
// CHECK: linalg.yield %[[V7:[0-9]+]] : f32
// CHECK: } -> tensor<2x2x3x4xf32>
// CHECK: %tile = tensor.collapse_shape %[[V6]] {{\[\[}}0 : i64], [1 : i64, 2 : i64], [3 : i64{{\]\]}} : tensor<2x2x3x4xf32> into tensor<2x6x4xf32>
// CHECK: %slice = tensor.extract_slice %x[1, 0, 1] [1, 2, 3] [1, 1, 1] : tensor<2x3x4xf32> to tensor<1x2x3xf32>
// CHECK: func.return %reshape, %transpose, %reverse, %tile, %slice : tensor<6x2x2xf32>, tensor<4x3x2xf32>, tensor<2x3x4xf32>, tensor<2x6x4xf32>, tensor<1x2x3xf32>
