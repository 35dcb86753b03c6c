// The transposition of the right side is in the indexing map; the zero points come in by row and column sums.
func.func @main(%a: tensor<4x5x8xi8>, %b: tensor<4x6x8xi8>) -> tensor<4x5x6xi32> {
  %azp = "tosa.const"() <{values = dense<3> : tensor<1xi8>}> : () -> tensor<1xi8>
  %bzp = "tosa.const"() <{values = dense<2> : tensor<1xi8>}> : () -> tensor<1xi8>
  %t = "tosa.transpose"(%b) <{perms = array<i32: 0, 2, 1>}> : (tensor<4x6x8xi8>) -> tensor<4x8x6xi8>
  %y = "tosa.matmul"(%a, %t, %azp, %bzp) : (tensor<4x5x8xi8>, tensor<4x8x6xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<4x5x6xi32>
  return %y : tensor<4x5x6xi32>
}

// CHECK-LABEL: func.func @main
// CHECK: %[[V0:[0-9]+]] = arith.constant 0 : i32
// CHECK: %[[V1:[0-9]+]] = tensor.empty() : tensor<4x5x6xi32>
// CHECK: %[[V2:[0-9]+]] = linalg.fill ins(%[[V0]] : i32) outs(%[[V1]] : tensor<4x5x6xi32>) -> tensor<4x5x6xi32>
// CHECK: %[[V3:[0-9]+]] = linalg.batch_matmul indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>] ins(%a, %b : tensor<4x5x8xi8>, tensor<4x6x8xi8>) outs(%[[V2]] : tensor<4x5x6xi32>) -> tensor<4x5x6xi32>
// CHECK: %[[V4:[0-9]+]] = arith.constant 0 : i32
// CHECK: %[[V5:[0-9]+]] = tensor.empty() : tensor<4x6xi32>
// CHECK: %[[V6:[0-9]+]] = linalg.fill ins(%[[V4]] : i32) outs(%[[V5]] : tensor<4x6xi32>) -> tensor<4x6xi32>
// CHECK: %[[V7:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%b : tensor<4x6x8xi8>) outs(%[[V6]] : tensor<4x6xi32>) {
// CHECK: %[[V8:[0-9]+]] = arith.extsi %[[V9:[0-9]+]] : i8 to i32
// CHECK: %[[V10:[0-9]+]] = arith.addi %[[V11:[0-9]+]], %[[V8]] : i32
// CHECK: linalg.yield %[[V10]] : i32
// CHECK: } -> tensor<4x6xi32>
// CHECK: %[[V12:[0-9]+]] = tensor.empty() : tensor<4x6xi32>
// CHECK: %[[V13:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%[[V7]] : tensor<4x6xi32>) outs(%[[V12]] : tensor<4x6xi32>) {
// CHECK: %[[V14:[0-9]+]] = arith.constant -3 : i32
// CHECK: %[[V15:[0-9]+]] = arith.muli %[[V16:[0-9]+]], %[[V14]] : i32
// CHECK: %[[V17:[0-9]+]] = arith.constant 48 : i32
// CHECK: %[[V18:[0-9]+]] = arith.addi %[[V15]], %[[V17]] : i32
// CHECK: linalg.yield %[[V18]] : i32
// CHECK: } -> tensor<4x6xi32>
// CHECK: %[[V19:[0-9]+]] = arith.constant 0 : i32
// CHECK: %[[V20:[0-9]+]] = tensor.empty() : tensor<4x5xi32>
// CHECK: %[[V21:[0-9]+]] = linalg.fill ins(%[[V19]] : i32) outs(%[[V20]] : tensor<4x5xi32>) -> tensor<4x5xi32>
// CHECK: %[[V22:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%a : tensor<4x5x8xi8>) outs(%[[V21]] : tensor<4x5xi32>) {
// CHECK: %[[V23:[0-9]+]] = arith.extsi %[[V24:[0-9]+]] : i8 to i32
// CHECK: %[[V25:[0-9]+]] = arith.addi %[[V26:[0-9]+]], %[[V23]] : i32
// CHECK: linalg.yield %[[V25]] : i32
// CHECK: } -> tensor<4x5xi32>
// CHECK: %[[V27:[0-9]+]] = tensor.empty() : tensor<4x5xi32>
// CHECK: %[[V28:[0-9]+]] = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%[[V22]] : tensor<4x5xi32>) outs(%[[V27]] : tensor<4x5xi32>) {
// CHECK: %[[V29:[0-9]+]] = arith.constant -2 : i32
// CHECK: %[[V30:[0-9]+]] = arith.muli %[[V31:[0-9]+]], %[[V29]] : i32
// CHECK: linalg.yield %[[V30]] : i32
// CHECK: } -> tensor<4x5xi32>
// CHECK: %[[V32:[0-9]+]] = tensor.empty() : tensor<4x5x6xi32>
// CHECK: %y = linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], iterator_types = ["parallel", "parallel", "parallel"]} ins(%[[V3]], %[[V13]], %[[V28]] : tensor<4x5x6xi32>, tensor<4x6xi32>, tensor<4x5xi32>) outs(%[[V32]] : tensor<4x5x6xi32>) {
// CHECK: %[[V33:[0-9]+]] = arith.addi %[[V34:[0-9]+]], %[[V35:[0-9]+]] : i32
// CHECK: %[[V36:[0-9]+]] = arith.addi %[[V33]], %[[V37:[0-9]+]] : i32
// CHECK: linalg.yield %[[V36]] : i32
// CHECK: } -> tensor<4x5x6xi32>
// CHECK: func.return %y : tensor<4x5x6xi32>
