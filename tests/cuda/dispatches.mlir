// One function for each kind of dispatch, of sizes that models have: what NVIDIA's assembler reports of them is a golden.
!f32 = tensor<?x?xf32>

func.func @matmul_f32(%a: tensor<512x768xf32>) -> tensor<512x3072xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<768x3072xf32>}> : () -> tensor<768x3072xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<512x3072xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<512x3072xf32>) -> tensor<512x3072xf32>
  %0 = linalg.matmul ins(%a, %w : tensor<512x768xf32>, tensor<768x3072xf32>) outs(%init : tensor<512x3072xf32>) -> tensor<512x3072xf32>
  return %0 : tensor<512x3072xf32>
}

func.func @matmul_f16(%a: tensor<512x768xf16>) -> tensor<512x3072xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<768x3072xf16>}> : () -> tensor<768x3072xf16>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<512x3072xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<512x3072xf32>) -> tensor<512x3072xf32>
  %0 = linalg.matmul ins(%a, %w : tensor<512x768xf16>, tensor<768x3072xf16>) outs(%init : tensor<512x3072xf32>) -> tensor<512x3072xf32>
  return %0 : tensor<512x3072xf32>
}

func.func @matmul_bf16(%a: tensor<512x768xbf16>) -> tensor<512x3072xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<768x3072xbf16>}> : () -> tensor<768x3072xbf16>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<512x3072xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<512x3072xf32>) -> tensor<512x3072xf32>
  %0 = linalg.matmul ins(%a, %w : tensor<512x768xbf16>, tensor<768x3072xbf16>) outs(%init : tensor<512x3072xf32>) -> tensor<512x3072xf32>
  return %0 : tensor<512x3072xf32>
}

func.func @matmul_i8(%a: tensor<512x768xi8>) -> tensor<512x3072xi32> {
  %w = "tosa.const"() <{values = dense<3> : tensor<768x3072xi8>}> : () -> tensor<768x3072xi8>
  %zero = arith.constant 0 : i32
  %empty = tensor.empty() : tensor<512x3072xi32>
  %init = linalg.fill ins(%zero : i32) outs(%empty : tensor<512x3072xi32>) -> tensor<512x3072xi32>
  %0 = linalg.matmul ins(%a, %w : tensor<512x768xi8>, tensor<768x3072xi8>) outs(%init : tensor<512x3072xi32>) -> tensor<512x3072xi32>
  return %0 : tensor<512x3072xi32>
}

func.func @matmul_two_inputs_bf16(%a: tensor<1024x1024xbf16>, %b: tensor<1024x1024xbf16>) -> tensor<1024x1024xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1024x1024xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
  %0 = linalg.matmul ins(%a, %b : tensor<1024x1024xbf16>, tensor<1024x1024xbf16>) outs(%init : tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
  return %0 : tensor<1024x1024xf32>
}

func.func @matmul_any_size_f32(%a: !f32, %b: !f32, %c: !f32) -> !f32 {
  %0 = linalg.matmul ins(%a, %b : !f32, !f32) outs(%c : !f32) -> !f32
  return %0 : !f32
}

func.func @matvec_f32(%a: tensor<1x1024xf32>) -> tensor<1x1000xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<1024x1000xf32>}> : () -> tensor<1024x1000xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1x1000xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x1000xf32>) -> tensor<1x1000xf32>
  %0 = linalg.matmul ins(%a, %w : tensor<1x1024xf32>, tensor<1024x1000xf32>) outs(%init : tensor<1x1000xf32>) -> tensor<1x1000xf32>
  return %0 : tensor<1x1000xf32>
}

func.func @batch_matmul_f32(%a: tensor<12x128x64xf32>, %b: tensor<12x64x128xf32>) -> tensor<12x128x128xf32> {
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %0 = tosa.matmul %a, %b, %zp, %zp : (tensor<12x128x64xf32>, tensor<12x64x128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<12x128x128xf32>
  return %0 : tensor<12x128x128xf32>
}

func.func @convolution_f32(%x: tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<128x3x3x128xf32>}> : () -> tensor<128x3x3x128xf32>
  %bias = "tosa.const"() <{values = dense<-1.0> : tensor<128xf32>}> : () -> tensor<128xf32>
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %0 = tosa.conv2d %x, %w, %bias, %zp, %zp {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x28x28x128xf32>, tensor<128x3x3x128xf32>, tensor<128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x28x28x128xf32>
  %1 = tosa.clamp %0 {max_val = 6.0 : f32, min_val = 0.0 : f32} : (tensor<1x28x28x128xf32>) -> tensor<1x28x28x128xf32>
  return %1 : tensor<1x28x28x128xf32>
}

func.func @first_convolution_f32(%x: tensor<1x224x224x3xf32>) -> tensor<1x112x112x32xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<32x3x3x3xf32>}> : () -> tensor<32x3x3x3xf32>
  %bias = "tosa.const"() <{values = dense<-1.0> : tensor<32xf32>}> : () -> tensor<32xf32>
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %0 = tosa.conv2d %x, %w, %bias, %zp, %zp {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>} : (tensor<1x224x224x3xf32>, tensor<32x3x3x3xf32>, tensor<32xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x112x112x32xf32>
  return %0 : tensor<1x112x112x32xf32>
}

func.func @convolution_i8(%x: tensor<1x28x28x128xi8>) -> tensor<1x28x28x128xi8> {
  %w = "tosa.const"() <{values = dense<3> : tensor<128x3x3x128xi8>}> : () -> tensor<128x3x3x128xi8>
  %bias = "tosa.const"() <{values = dense<100> : tensor<128xi32>}> : () -> tensor<128xi32>
  %x_zp = "tosa.const"() <{values = dense<-5> : tensor<1xi8>}> : () -> tensor<1xi8>
  %w_zp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %sums = tosa.conv2d %x, %w, %bias, %x_zp, %w_zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x28x28x128xi8>, tensor<128x3x3x128xi8>, tensor<128xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x28x28x128xi32>
  %multiplier = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %shift = "tosa.const"() <{values = dense<37> : tensor<1xi8>}> : () -> tensor<1xi8>
  %sums_zp = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %zp = "tosa.const"() <{values = dense<-128> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = tosa.rescale %sums, %multiplier, %shift, %sums_zp, %zp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x28x28x128xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x28x28x128xi8>
  return %0 : tensor<1x28x28x128xi8>
}

func.func @depthwise_f32(%x: tensor<1x56x56x144xf32>) -> tensor<1x56x56x144xf32> {
  %w = "tosa.const"() <{values = dense<0.5> : tensor<3x3x144x1xf32>}> : () -> tensor<3x3x144x1xf32>
  %bias = "tosa.const"() <{values = dense<-1.0> : tensor<144xf32>}> : () -> tensor<144xf32>
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %0 = tosa.depthwise_conv2d %x, %w, %bias, %zp, %zp {acc_type = f32, dilation = array<i64: 1, 1>, pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>} : (tensor<1x56x56x144xf32>, tensor<3x3x144x1xf32>, tensor<144xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<1x56x56x144xf32>
  return %0 : tensor<1x56x56x144xf32>
}

func.func @depthwise_i8(%x: tensor<1x56x56x144xi8>) -> tensor<1x28x28x144xi8> {
  %w = "tosa.const"() <{values = dense<3> : tensor<3x3x144x1xi8>}> : () -> tensor<3x3x144x1xi8>
  %bias = "tosa.const"() <{values = dense<100> : tensor<144xi32>}> : () -> tensor<144xi32>
  %x_zp = "tosa.const"() <{values = dense<-5> : tensor<1xi8>}> : () -> tensor<1xi8>
  %w_zp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %sums = tosa.depthwise_conv2d %x, %w, %bias, %x_zp, %w_zp {acc_type = i32, dilation = array<i64: 1, 1>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>} : (tensor<1x56x56x144xi8>, tensor<3x3x144x1xi8>, tensor<144xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x28x28x144xi32>
  %multiplier = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %shift = "tosa.const"() <{values = dense<37> : tensor<1xi8>}> : () -> tensor<1xi8>
  %sums_zp = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %zp = "tosa.const"() <{values = dense<-128> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = tosa.rescale %sums, %multiplier, %shift, %sums_zp, %zp {input_unsigned = false, output_unsigned = false, per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x28x28x144xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x28x28x144xi8>
  return %0 : tensor<1x28x28x144xi8>
}

func.func @pooling(%x: tensor<1x112x112x64xf32>, %y: tensor<1x7x7x1280xi8>) -> (tensor<1x56x56x64xf32>, tensor<1x1x1x1280xi8>) {
  %zp = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %max = tosa.max_pool2d %x {kernel = array<i64: 3, 3>, pad = array<i64: 0, 1, 0, 1>, stride = array<i64: 2, 2>} : (tensor<1x112x112x64xf32>) -> tensor<1x56x56x64xf32>
  %mean = tosa.avg_pool2d %y, %zp, %zp {acc_type = i32, kernel = array<i64: 7, 7>, pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x7x7x1280xi8>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x1280xi8>
  return %max, %mean : tensor<1x56x56x64xf32>, tensor<1x1x1x1280xi8>
}

func.func @gelu(%x: tensor<128x3072xf32>) -> tensor<128x3072xf32> {
  %one = "tosa.const"() <{values = dense<1.0> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
  %half = "tosa.const"() <{values = dense<0.5> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
  %root = "tosa.const"() <{values = dense<0.70710677> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = tosa.mul %x, %root, %shift : (tensor<128x3072xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<128x3072xf32>
  %1 = tosa.erf %0 : (tensor<128x3072xf32>) -> tensor<128x3072xf32>
  %2 = tosa.add %1, %one : (tensor<128x3072xf32>, tensor<1x1xf32>) -> tensor<128x3072xf32>
  %3 = tosa.mul %x, %half, %shift : (tensor<128x3072xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<128x3072xf32>
  %4 = tosa.mul %3, %2, %shift : (tensor<128x3072xf32>, tensor<128x3072xf32>, tensor<1xi8>) -> tensor<128x3072xf32>
  return %4 : tensor<128x3072xf32>
}

func.func @softmax(%x: tensor<12x128x128xf32>) -> tensor<12x128x128xf32> {
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = tosa.reduce_max %x {axis = 2 : i32} : (tensor<12x128x128xf32>) -> tensor<12x128x1xf32>
  %1 = tosa.sub %x, %0 : (tensor<12x128x128xf32>, tensor<12x128x1xf32>) -> tensor<12x128x128xf32>
  %2 = tosa.exp %1 : (tensor<12x128x128xf32>) -> tensor<12x128x128xf32>
  %3 = tosa.reduce_sum %2 {axis = 2 : i32} : (tensor<12x128x128xf32>) -> tensor<12x128x1xf32>
  %4 = tosa.reciprocal %3 : (tensor<12x128x1xf32>) -> tensor<12x128x1xf32>
  %5 = tosa.mul %2, %4, %shift : (tensor<12x128x128xf32>, tensor<12x128x1xf32>, tensor<1xi8>) -> tensor<12x128x128xf32>
  return %5 : tensor<12x128x128xf32>
}

func.func @layer_norm(%x: tensor<128x768xf32>) -> tensor<128x768xf32> {
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %share = "tosa.const"() <{values = dense<0.00130208337> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
  %epsilon = "tosa.const"() <{values = dense<1.0e-12> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
  %gamma = "tosa.const"() <{values = dense<0.5> : tensor<1x768xf32>}> : () -> tensor<1x768xf32>
  %beta = "tosa.const"() <{values = dense<0.25> : tensor<1x768xf32>}> : () -> tensor<1x768xf32>
  %0 = tosa.reduce_sum %x {axis = 1 : i32} : (tensor<128x768xf32>) -> tensor<128x1xf32>
  %mean = tosa.mul %0, %share, %shift : (tensor<128x1xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<128x1xf32>
  %centred = tosa.sub %x, %mean : (tensor<128x768xf32>, tensor<128x1xf32>) -> tensor<128x768xf32>
  %squares = tosa.mul %centred, %centred, %shift : (tensor<128x768xf32>, tensor<128x768xf32>, tensor<1xi8>) -> tensor<128x768xf32>
  %1 = tosa.reduce_sum %squares {axis = 1 : i32} : (tensor<128x768xf32>) -> tensor<128x1xf32>
  %variance = tosa.mul %1, %share, %shift : (tensor<128x1xf32>, tensor<1x1xf32>, tensor<1xi8>) -> tensor<128x1xf32>
  %2 = tosa.add %variance, %epsilon : (tensor<128x1xf32>, tensor<1x1xf32>) -> tensor<128x1xf32>
  %3 = tosa.rsqrt %2 : (tensor<128x1xf32>) -> tensor<128x1xf32>
  %4 = tosa.mul %centred, %3, %shift : (tensor<128x768xf32>, tensor<128x1xf32>, tensor<1xi8>) -> tensor<128x768xf32>
  %5 = tosa.mul %4, %gamma, %shift : (tensor<128x768xf32>, tensor<1x768xf32>, tensor<1xi8>) -> tensor<128x768xf32>
  %6 = tosa.add %5, %beta : (tensor<128x768xf32>, tensor<1x768xf32>) -> tensor<128x768xf32>
  return %6 : tensor<128x768xf32>
}

func.func @attention(%q: tensor<12x128x64xf32>, %k: tensor<12x64x128xf32>, %v: tensor<12x128x64xf32>) -> tensor<12x128x64xf32> {
  %zp = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
  %shift = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %x = tosa.matmul %q, %k, %zp, %zp : (tensor<12x128x64xf32>, tensor<12x64x128xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<12x128x128xf32>
  %0 = tosa.reduce_max %x {axis = 2 : i32} : (tensor<12x128x128xf32>) -> tensor<12x128x1xf32>
  %1 = tosa.sub %x, %0 : (tensor<12x128x128xf32>, tensor<12x128x1xf32>) -> tensor<12x128x128xf32>
  %2 = tosa.exp %1 : (tensor<12x128x128xf32>) -> tensor<12x128x128xf32>
  %3 = tosa.reduce_sum %2 {axis = 2 : i32} : (tensor<12x128x128xf32>) -> tensor<12x128x1xf32>
  %4 = tosa.reciprocal %3 : (tensor<12x128x1xf32>) -> tensor<12x128x1xf32>
  %5 = tosa.mul %2, %4, %shift : (tensor<12x128x128xf32>, tensor<12x128x1xf32>, tensor<1xi8>) -> tensor<12x128x128xf32>
  %6 = tosa.matmul %5, %v, %zp, %zp : (tensor<12x128x128xf32>, tensor<12x128x64xf32>, tensor<1xf32>, tensor<1xf32>) -> tensor<12x128x64xf32>
  return %6 : tensor<12x128x64xf32>
}

func.func @reductions(%x: tensor<512x1000xf32>) -> (tensor<1x1000xf32>, tensor<512xi32>) {
  %sums = tosa.reduce_sum %x {axis = 0 : i32} : (tensor<512x1000xf32>) -> tensor<1x1000xf32>
  %best = tosa.argmax %x {axis = 1 : i32} : (tensor<512x1000xf32>) -> tensor<512xi32>
  return %sums, %best : tensor<1x1000xf32>, tensor<512xi32>
}

func.func @gather(%values: tensor<1x30522x768xf32>, %indices: tensor<1x128xi32>) -> tensor<1x128x768xf32> {
  %0 = tosa.gather %values, %indices : (tensor<1x30522x768xf32>, tensor<1x128xi32>) -> tensor<1x128x768xf32>
  return %0 : tensor<1x128x768xf32>
}

func.func @transpose(%x: tensor<128x12x64xf32>) -> tensor<12x64x128xf32> {
  %0 = tosa.transpose %x {perms = array<i32: 1, 2, 0>} : (tensor<128x12x64xf32>) -> tensor<12x64x128xf32>
  return %0 : tensor<12x64x128xf32>
}

func.func @packed(%x: tensor<1000x700xf32>) -> (tensor<63x44x16x16xf32>, tensor<1000x700xf32>) {
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<63x44x16x16xf32>
  %1 = linalg.pack %x padding_value(%zero : f32) inner_dims_pos = [0, 1] inner_tiles = [16, 16] into %0 : tensor<1000x700xf32> -> tensor<63x44x16x16xf32>
  %2 = tensor.empty() : tensor<1000x700xf32>
  %3 = linalg.unpack %1 inner_dims_pos = [0, 1] inner_tiles = [16, 16] into %2 : tensor<63x44x16x16xf32> -> tensor<1000x700xf32>
  return %1, %3 : tensor<63x44x16x16xf32>, tensor<1000x700xf32>
}

func.func @moved(%x: tensor<1x56x56x24xi8>, %y: tensor<1x56x56x40xi8>) -> (tensor<1x56x56x64xi8>, tensor<1x58x58x24xi8>, tensor<1x28x56x24xi8>) {
  %0 = tosa.concat %x, %y {axis = 3 : i32} : (tensor<1x56x56x24xi8>, tensor<1x56x56x40xi8>) -> tensor<1x56x56x64xi8>
  %value = "tosa.const"() <{values = dense<-128> : tensor<1xi8>}> : () -> tensor<1xi8>
  %around = "tosa.const_shape"() <{values = dense<[0, 0, 1, 1, 1, 1, 0, 0]> : tensor<8xindex>}> : () -> !tosa.shape<8>
  %1 = tosa.pad %x, %around, %value : (tensor<1x56x56x24xi8>, !tosa.shape<8>, tensor<1xi8>) -> tensor<1x58x58x24xi8>
  %start = "tosa.const_shape"() <{values = dense<[0, 14, 0, 0]> : tensor<4xindex>}> : () -> !tosa.shape<4>
  %size = "tosa.const_shape"() <{values = dense<[1, 28, 56, 24]> : tensor<4xindex>}> : () -> !tosa.shape<4>
  %2 = tosa.slice %x, %start, %size : (tensor<1x56x56x24xi8>, !tosa.shape<4>, !tosa.shape<4>) -> tensor<1x28x56x24xi8>
  return %0, %1, %2 : tensor<1x56x56x64xi8>, tensor<1x58x58x24xi8>, tensor<1x28x56x24xi8>
}
