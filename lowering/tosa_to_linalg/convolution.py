"""Convolutions (TOSA 1.0, section 2.2): the image padded with its zero point, a contraction, and one generic."""

from __future__ import annotations

from typing import TypeAlias

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import Attribute, SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, shape_of
from ..dialects.linalg import Conv2DNhwcFhwcOp, DepthwiseConv2DNhwcHwcmOp, affine_map, dims
from .body import Body
from .builder import Builder, CannotLower, constant_scalar
from .corrections import accumulator_type, add_terms, corrected_bias, pixel_sums, window_sums
from .registry import lowers
from .reshape import reshape
from .windows import untrimmed

Convolution: TypeAlias = tosa.Conv2DOp | tosa.Conv3DOp | tosa.DepthwiseConv2DOp


@lowers(tosa.Conv2DOp)
def _conv_2d(op: tosa.Conv2DOp, b: Builder) -> SSAValue:
    image, input_zp, weight_zp = padded_image(op, b)
    shape, element = _static_window(op), _accumulator(op)
    init = b.full(0, shape, element, {0: (image, 0)})
    windows = {"strides": op.plain("stride"), "dilations": op.plain("dilation")}
    accumulated = b.insert(Conv2DNhwcFhwcOp(image, op.weight, init, **windows)).result
    bias = corrected_bias(b, op.bias, op.weight, [0], input_zp, weight_zp)
    sums = None
    if weight_zp:
        sums = pixel_sums(b, image, shape_of(op.weight)[1:3], shape, element, windows)
    return add_terms(b, accumulated, bias, element_of(op.output), sums, weight_zp)


@lowers(tosa.DepthwiseConv2DOp)
def _depthwise_conv_2d(op: tosa.DepthwiseConv2DOp, b: Builder) -> SSAValue:
    image, input_zp, weight_zp = padded_image(op, b)
    shape, element = _static_window(op), _accumulator(op)
    *kernel, channels, multiplier = shape_of(op.weight)
    init = b.full(0, [*shape[:3], channels, multiplier], element, {0: (image, 0)})
    windows = {"strides": op.plain("stride"), "dilations": op.plain("dilation")}
    accumulated = b.insert(DepthwiseConv2DNhwcHwcmOp(image, op.weight, init, **windows)).result
    bias = corrected_bias(b, op.bias, op.weight, [2, 3], input_zp, weight_zp)
    sums = None
    if weight_zp:
        n, oh, ow, channel = dims(4)
        source = channel if multiplier == 1 else channel // multiplier
        sums = (window_sums(b, image, kernel, shape, element, windows), affine_map(4, n, oh, ow, source))
    return add_terms(b, reshape(b, accumulated, shape), bias, element_of(op.output), sums, weight_zp)


@lowers(tosa.Conv3DOp)
def _conv_3d(op: tosa.Conv3DOp, b: Builder) -> SSAValue:
    image, input_zp, weight_zp = padded_image(op, b)
    element = _accumulator(op)
    strides, dilations = op.plain("stride"), op.plain("dilation")
    n, *out, f, kd, kh, kw, c = dims(9)
    window = [
        position * stride + tap * dilation
        for position, tap, stride, dilation in zip(out, (kd, kh, kw), strides, dilations, strict=True)
    ]
    init = b.full(0, _static_window(op), element, {0: (image, 0)})

    def body(b: Body, x: SSAValue, w: SSAValue, accumulator: SSAValue) -> SSAValue:
        weight = b.widen(w, element)
        if weight_zp:
            weight = b.sub(weight, b.constant(weight_zp, element))
        return b.add(accumulator, b.mul(b.widen(x, element), weight))

    inputs = [(image, affine_map(9, n, *window, c)), (op.weight, affine_map(9, f, kd, kh, kw, c))]
    accumulated = b.generic(inputs, [(init, affine_map(9, n, *out, f))], range(5, 9), body)[0]
    bias = corrected_bias(b, op.bias, op.weight, [0], input_zp, weight_zp)
    return add_terms(b, accumulated, bias, element_of(op.output))


def padded_image(op: Convolution, b: Builder) -> tuple[SSAValue, int, int]:
    """The input padded with its zero point, and the zero points of input and weight (0 for floats)."""
    input_zp, weight_zp = constant_scalar(op.input_zp, "input_zp"), constant_scalar(op.weight_zp, "weight_zp")
    pad = op.plain("pad")
    return b.pad(untrimmed(op), [0, *pad[::2], 0], [0, *pad[1::2], 0], input_zp), input_zp, weight_zp


def _static_window(op: Convolution) -> tuple[int, ...]:
    """The shape of the result, of which only the batch may be dynamic."""
    shape = shape_of(op.output)
    if DYNAMIC_INDEX in (*shape[1:], *shape_of(op.weight)):
        raise CannotLower("its spatial extents and channels must be static: give all shapes with --shape")
    return shape


def _accumulator(op: Convolution) -> Attribute:
    return accumulator_type(element_of(op.output), op.acc_type)
