// One matrix of weights, used on a GPU and on a CPU: each device's product has a copy in tiles of its own.
device.declare @gpu = "cuda-emulator@sm_80"
device.declare @host = "cpu@x86-64-v4:1"

func.func @products(%a: tensor<64x128xbf16>, %b: tensor<64x128xbf16>) -> (tensor<64x96xf32>, tensor<64x96xf32>) {
  %weights = "tosa.const"() <{values = dense<0.5> : tensor<128x96xbf16>}> : () -> tensor<128x96xbf16>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<64x96xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<64x96xf32>) -> tensor<64x96xf32>
  %first = linalg.matmul {device.affinity = @gpu}
    ins(%a, %weights : tensor<64x128xbf16>, tensor<128x96xbf16>) outs(%init : tensor<64x96xf32>) -> tensor<64x96xf32>
  %second = linalg.matmul {device.affinity = @host}
    ins(%b, %weights : tensor<64x128xbf16>, tensor<128x96xbf16>) outs(%init : tensor<64x96xf32>) -> tensor<64x96xf32>
  return %first, %second : tensor<64x96xf32>, tensor<64x96xf32>
}
