// The padded average divides by the number of elements inside the image, a table by position.
func.func @main(%x: tensor<1x4x4x2xi8>, %y: tensor<1x4x4x2xf32>) -> (tensor<1x2x2x2xf32>, tensor<1x5x5x2xi8>) {
  %zp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %max = "tosa.max_pool2d"(%y) <{kernel = array<i64: 2, 2>, stride = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>}>
      : (tensor<1x4x4x2xf32>) -> tensor<1x2x2x2xf32>
  %mean = "tosa.avg_pool2d"(%x, %zp, %zp) <{kernel = array<i64: 2, 2>, stride = array<i64: 1, 1>,
      pad = array<i64: 1, 1, 1, 1>, acc_type = i32}> : (tensor<1x4x4x2xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x5x5x2xi8>
  return %max, %mean : tensor<1x2x2x2xf32>, tensor<1x5x5x2xi8>
}

// CHECK-LABEL: func.func @main
// CHECK: %[[V0:[0-9]+]] = tensor.empty() : tensor<2x2xf32>
// CHECK: %[[V1:[0-9]+]] = arith.constant 0xff800000 : f32
// CHECK: %[[V2:[0-9]+]] = tensor.empty() : tensor<1x2x2x2xf32>
// CHECK: %[[V3:[0-9]+]] = linalg.fill ins(%[[V1]] : f32) outs(%[[V2]] : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
// CHECK: %max = linalg.pooling_nhwc_max {strides = dense<2> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>} ins(%y, %[[V0]] : tensor<1x4x4x2xf32>, tensor<2x2xf32>) outs(%[[V3]] : tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
// CHECK: %[[V4:[0-9]+]] = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {
// CHECK: %[[V5:[0-9]+]] = arith.constant 0 : i8
// CHECK: tensor.yield %[[V5]] : i8
// CHECK: } : tensor<1x4x4x2xi8> to tensor<1x6x6x2xi8>
// CHECK: %[[V6:[0-9]+]] = tensor.empty() : tensor<2x2xi32>
// CHECK: %[[V7:[0-9]+]] = arith.constant 0 : i32
// CHECK: %[[V8:[0-9]+]] = tensor.empty() : tensor<1x5x5x2xi32>
// CHECK: %[[V9:[0-9]+]] = linalg.fill ins(%[[V7]] : i32) outs(%[[V8]] : tensor<1x5x5x2xi32>) -> tensor<1x5x5x2xi32>
// CHECK: %[[V10:[0-9]+]] = linalg.pooling_nhwc_sum {strides = dense<1> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>} ins(%[[V4]], %[[V6]] : tensor<1x6x6x2xi8>, tensor<2x2xi32>) outs(%[[V9]] : tensor<1x5x5x2xi32>) -> tensor<1x5x5x2xi32>
// CHECK: %[[V11:[0-9]+]] = "tosa.const"() {{.*}} : () -> tensor<5x5xi32>
// CHECK: %[[V12:[0-9]+]] = "tosa.const"() {{.*}} : () -> tensor<5x5xi8>
// CHECK: %[[V13:[0-9]+]] = tensor.empty() : tensor<1x5x5x2xi8>
// CHECK: %mean = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>], iterator_types = ["parallel", "parallel", "parallel", "parallel"]} ins(%[[V10]], %[[V11]], %[[V12]] : tensor<1x5x5x2xi32>, tensor<5x5xi32>, tensor<5x5xi8>) outs(%[[V13]] : tensor<1x5x5x2xi8>) {
// CHECK: %[[V14:[0-9]+]] = "tosa.apply_scale"(%[[V15:[0-9]+]], %[[V16:[0-9]+]], %[[V17:[0-9]+]]) <{rounding_mode = #tosa.rounding_mode<SINGLE_ROUND>}> : (i32, i32, i8) -> i32
// CHECK: %[[V18:[0-9]+]] = arith.constant -128 : i32
// CHECK: %[[V19:[0-9]+]] = arith.maxsi %[[V14]], %[[V18]] : i32
// CHECK: %[[V20:[0-9]+]] = arith.constant 127 : i32
// CHECK: %[[V21:[0-9]+]] = arith.minsi %[[V19]], %[[V20]] : i32
// CHECK: %[[V22:[0-9]+]] = arith.trunci %[[V21]] : i32 to i8
// CHECK: linalg.yield %[[V22]] : i8
// CHECK: } -> tensor<1x5x5x2xi8>
// CHECK: func.return %max, %mean : tensor<1x2x2x2xf32>, tensor<1x5x5x2xi8>
