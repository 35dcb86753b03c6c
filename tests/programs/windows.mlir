// Convolutions and poolings of the layouts that programs are written in, static and dynamic, by name and as generics.
func.func @nhwc_hwcf(%x: tensor<2x9x8x3xf32>, %w: tensor<3x2x3x5xf32>, %init: tensor<2x4x7x5xf32>) -> tensor<2x4x7x5xf32> {
  %0 = linalg.conv_2d_nhwc_hwcf {strides = dense<[2, 1]> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%x, %w : tensor<2x9x8x3xf32>, tensor<3x2x3x5xf32>) outs(%init : tensor<2x4x7x5xf32>) -> tensor<2x4x7x5xf32>
  return %0 : tensor<2x4x7x5xf32>
}

func.func @nhwc_fhwc(%x: tensor<2x9x8x3xf32>, %w: tensor<5x3x2x3xf32>, %init: tensor<2x4x7x5xf32>) -> tensor<2x4x7x5xf32> {
  %0 = linalg.conv_2d_nhwc_fhwc {strides = dense<[2, 1]> : tensor<2xi64>}
      ins(%x, %w : tensor<2x9x8x3xf32>, tensor<5x3x2x3xf32>) outs(%init : tensor<2x4x7x5xf32>) -> tensor<2x4x7x5xf32>
  return %0 : tensor<2x4x7x5xf32>
}

func.func @nchw_fchw(%x: tensor<2x3x9x8xf32>, %w: tensor<5x3x3x2xf32>, %init: tensor<2x5x4x7xf32>) -> tensor<2x5x4x7xf32> {
  %0 = linalg.conv_2d_nchw_fchw {strides = dense<[2, 1]> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%x, %w : tensor<2x3x9x8xf32>, tensor<5x3x3x2xf32>) outs(%init : tensor<2x5x4x7xf32>) -> tensor<2x5x4x7xf32>
  return %0 : tensor<2x5x4x7xf32>
}

func.func @plain_2d(%x: tensor<9x8xf32>, %w: tensor<3x2xf32>, %init: tensor<7x7xf32>) -> tensor<7x7xf32> {
  %0 = linalg.conv_2d ins(%x, %w : tensor<9x8xf32>, tensor<3x2xf32>) outs(%init : tensor<7x7xf32>) -> tensor<7x7xf32>
  return %0 : tensor<7x7xf32>
}

func.func @dynamic_2d(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>, %init: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = linalg.conv_2d ins(%x, %w : tensor<?x?xf32>, tensor<?x?xf32>) outs(%init : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

func.func @plain_1d(%x: tensor<20xf32>, %w: tensor<5xf32>, %init: tensor<16xf32>) -> tensor<16xf32> {
  %0 = linalg.conv_1d ins(%x, %w : tensor<20xf32>, tensor<5xf32>) outs(%init : tensor<16xf32>) -> tensor<16xf32>
  return %0 : tensor<16xf32>
}

func.func @nwc_wcf(%x: tensor<2x9x3xf32>, %w: tensor<3x3x5xf32>, %init: tensor<2x3x5xf32>) -> tensor<2x3x5xf32> {
  %0 = linalg.conv_1d_nwc_wcf {strides = dense<2> : tensor<1xi64>, dilations = dense<2> : tensor<1xi64>}
      ins(%x, %w : tensor<2x9x3xf32>, tensor<3x3x5xf32>) outs(%init : tensor<2x3x5xf32>) -> tensor<2x3x5xf32>
  return %0 : tensor<2x3x5xf32>
}

func.func @ndhwc(%x: tensor<1x5x6x4x2xf32>, %w: tensor<2x3x2x2x3xf32>, %init: tensor<1x4x4x3x3xf32>) -> tensor<1x4x4x3x3xf32> {
  %0 = linalg.conv_3d_ndhwc_dhwcf {strides = dense<1> : tensor<3xi64>, dilations = dense<1> : tensor<3xi64>}
      ins(%x, %w : tensor<1x5x6x4x2xf32>, tensor<2x3x2x2x3xf32>) outs(%init : tensor<1x4x4x3x3xf32>) -> tensor<1x4x4x3x3xf32>
  return %0 : tensor<1x4x4x3x3xf32>
}

func.func @depthwise(%x: tensor<2x9x8x3xf32>, %w: tensor<3x2x3xf32>, %init: tensor<2x7x7x3xf32>) -> tensor<2x7x7x3xf32> {
  %0 = linalg.depthwise_conv_2d_nhwc_hwc {strides = dense<1> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%x, %w : tensor<2x9x8x3xf32>, tensor<3x2x3xf32>) outs(%init : tensor<2x7x7x3xf32>) -> tensor<2x7x7x3xf32>
  return %0 : tensor<2x7x7x3xf32>
}

func.func @depthwise_nchw(%x: tensor<2x3x9x8xf32>, %w: tensor<3x3x2xf32>, %init: tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xf32> {
  %0 = linalg.depthwise_conv_2d_nchw_chw ins(%x, %w : tensor<2x3x9x8xf32>, tensor<3x3x2xf32>) outs(%init : tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xf32>
  return %0 : tensor<2x3x7x7xf32>
}

func.func @grouped(%x: tensor<1x2x3x6x5xf32>, %w: tensor<2x4x3x3x2xf32>, %init: tensor<1x2x4x4x4xf32>) -> tensor<1x2x4x4x4xf32> {
  %0 = linalg.conv_2d_ngchw_gfchw ins(%x, %w : tensor<1x2x3x6x5xf32>, tensor<2x4x3x3x2xf32>) outs(%init : tensor<1x2x4x4x4xf32>) -> tensor<1x2x4x4x4xf32>
  return %0 : tensor<1x2x4x4x4xf32>
}

func.func @quantized(%x: tensor<1x6x6x3xi8>, %w: tensor<3x3x3x4xi8>, %xz: i32, %wz: i32, %init: tensor<1x4x4x4xi32>) -> tensor<1x4x4x4xi32> {
  %0 = linalg.conv_2d_nhwc_hwcf_q ins(%x, %w, %xz, %wz : tensor<1x6x6x3xi8>, tensor<3x3x3x4xi8>, i32, i32)
      outs(%init : tensor<1x4x4x4xi32>) -> tensor<1x4x4x4xi32>
  return %0 : tensor<1x4x4x4xi32>
}

// The convolution of a batch of images, its sizes known only to the caller, as a generic.
func.func @generic(%x: tensor<?x?x?x?xf32>, %w: tensor<?x?x?x?xf32>, %init: tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(n, h, w, f, y, x, c) -> (n, h + y, w + x, c)>,
        affine_map<(n, h, w, f, y, x, c) -> (y, x, c, f)>, affine_map<(n, h, w, f, y, x, c) -> (n, h, w, f)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]}
      ins(%x, %w : tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) outs(%init : tensor<?x?x?x?xf32>) {
  ^bb0(%a: f32, %b: f32, %sum: f32):
    %1 = arith.mulf %a, %b : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<?x?x?x?xf32>
  return %0 : tensor<?x?x?x?xf32>
}

func.func @pooled(%x: tensor<2x9x8x3xf32>) -> (tensor<2x4x7x3xf32>, tensor<2x4x7x3xf32>, tensor<2x4x7x3xf32>) {
  %zero = arith.constant 0.0 : f32
  %least = arith.constant 0xFF800000 : f32
  %most = arith.constant 0x7F800000 : f32
  %window = tensor.empty() : tensor<3x2xf32>
  %empty = tensor.empty() : tensor<2x4x7x3xf32>
  %z = linalg.fill ins(%zero : f32) outs(%empty : tensor<2x4x7x3xf32>) -> tensor<2x4x7x3xf32>
  %l = linalg.fill ins(%least : f32) outs(%empty : tensor<2x4x7x3xf32>) -> tensor<2x4x7x3xf32>
  %m = linalg.fill ins(%most : f32) outs(%empty : tensor<2x4x7x3xf32>) -> tensor<2x4x7x3xf32>
  %0 = linalg.pooling_nhwc_sum {strides = dense<[2, 1]> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%x, %window : tensor<2x9x8x3xf32>, tensor<3x2xf32>) outs(%z : tensor<2x4x7x3xf32>) -> tensor<2x4x7x3xf32>
  %1 = linalg.pooling_nhwc_max {strides = dense<[2, 1]> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%x, %window : tensor<2x9x8x3xf32>, tensor<3x2xf32>) outs(%l : tensor<2x4x7x3xf32>) -> tensor<2x4x7x3xf32>
  %2 = linalg.pooling_nhwc_min {strides = dense<[2, 1]> : tensor<2xi64>, dilations = dense<1> : tensor<2xi64>}
      ins(%x, %window : tensor<2x9x8x3xf32>, tensor<3x2xf32>) outs(%m : tensor<2x4x7x3xf32>) -> tensor<2x4x7x3xf32>
  return %0, %1, %2 : tensor<2x4x7x3xf32>, tensor<2x4x7x3xf32>, tensor<2x4x7x3xf32>
}

func.func @dynamic_pooling(%x: tensor<?x?x?x?xf32>, %window: tensor<?x?xf32>, %init: tensor<?x?x?x?xf32>) -> (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) {
  %0 = linalg.pooling_nhwc_max ins(%x, %window : tensor<?x?x?x?xf32>, tensor<?x?xf32>) outs(%init : tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %1 = linalg.pooling_nhwc_sum ins(%x, %window : tensor<?x?x?x?xf32>, tensor<?x?xf32>) outs(%init : tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  return %0, %1 : tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>
}

func.func @nchw_pooling(%x: tensor<2x3x9x8xf32>, %init: tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xf32> {
  %window = tensor.empty() : tensor<3x2xf32>
  %0 = linalg.pooling_nchw_max ins(%x, %window : tensor<2x3x9x8xf32>, tensor<3x2xf32>) outs(%init : tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xf32>
  return %0 : tensor<2x3x7x7xf32>
}
