// A softmax on a GPU: what four dispatches did is one, whose rows stay in registers. Only the last result leaves it.

device.declare @gpu = "cuda-emulator@sm_80"
func.func @main(%x: tensor<12x128xf32>) -> tensor<12x128xf32> {
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = tosa.reduce_max %x {axis = 1 : i32} : (tensor<12x128xf32>) -> tensor<12x1xf32>
  %1 = tosa.sub %x, %0 : (tensor<12x128xf32>, tensor<12x1xf32>) -> tensor<12x128xf32>
  %2 = tosa.exp %1 : (tensor<12x128xf32>) -> tensor<12x128xf32>
  %3 = tosa.reduce_sum %2 {axis = 1 : i32} : (tensor<12x128xf32>) -> tensor<12x1xf32>
  %4 = tosa.reciprocal %3 : (tensor<12x1xf32>) -> tensor<12x1xf32>
  %5 = tosa.mul %2, %4, %shift : (tensor<12x128xf32>, tensor<12x1xf32>, tensor<1xi8>) -> tensor<12x128xf32>
  return %5 : tensor<12x128xf32>
}

// CHECK:      "dispatch.region"(%x) <{device = "{{.*}}"}> ({
// CHECK:      [[GREATEST:%\d+]] = linalg.generic
// CHECK:      arith.maximumf
// CHECK:      [[WEIGHTS:%\d+]] = linalg.generic {{.*}} ins(%{{.*}}, [[GREATEST]]
// CHECK:      math.exp
// CHECK:      [[TOTAL:%\d+]] = linalg.generic {{.*}} ins([[WEIGHTS]]
// CHECK:      [[INVERSE:%\d+]] = linalg.generic {{.*}} ins([[TOTAL]]
// CHECK:      [[RESULT:%\d+]] = linalg.generic {{.*}} ins([[WEIGHTS]], [[INVERSE]]
// CHECK:      "dispatch.yield"([[RESULT]])
// CHECK-NOT:  dispatch.region
