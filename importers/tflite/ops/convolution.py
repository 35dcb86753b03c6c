"""CONV_2D, CONV_3D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import tflite
from xdsl.ir import Attribute, SSAValue

from ....tosa import dialect as tosa
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, legalize
from .contraction import Contraction, Rounding, has_channel_scales
from .shaping import fit_windows, reshape
from .slice import take_along


@legalize("CONV_2D")
def conv_2d(op: Operator, context: Context) -> SSAValue:
    """Input [N, H, W, C], weight [OC, KH, KW, C / groups]."""
    options = op.options(tflite.Conv2DOptions)
    weight = context.value(op.input(1))
    _, *kernel, group_channels = _weight_shape(context, op, weight)
    stride = [options.StrideH(), options.StrideW()]
    dilation = [options.DilationHFactor(), options.DilationWFactor()]
    image = context.value(op.input(0))
    groups, rest = divmod(shape_of(image)[3], group_channels)
    if rest or groups < 1:
        context.unsupported(f"{shape_of(image)[3]} input channels in groups of {group_channels}")
    if shape_of(weight)[0] % groups:
        raise ValueError(f"{shape_of(weight)[0]} output channels for {groups} groups")
    asymmetric = groups > 1 or has_channel_scales(op.input(1))
    rounding = _of_images(kernel, options.Padding(), asymmetric)
    contraction = Contraction(op, options.FusedActivationFunction(), rounding=rounding)

    def make(
        x: SSAValue, weight: SSAValue, bias: SSAValue, input_zp: SSAValue, weight_zp: SSAValue, acc_type: Attribute
    ) -> SSAValue:
        x, pad = fit_windows(context, x, kernel, stride, dilation, options.Padding())
        convolve = partial(tosa.Conv2DOp, pad=pad, stride=stride, dilation=dilation, acc_type=acc_type)
        if groups == 1:
            return context.add(convolve(x, weight, bias, input_zp, weight_zp))
        results = []
        for group in range(groups):
            xs, weights, biases = (
                _part(context, value, axis, group, groups) for value, axis in ((x, 3), (weight, 0), (bias, 0))
            )
            results.append(context.add(convolve(xs, weights, biases, input_zp, weight_zp)))
        return context.add(tosa.ConcatOp(results, axis=3))

    return contraction.emit(context, image, weight, make)


@legalize("CONV_3D")
def conv_3d(op: Operator, context: Context) -> SSAValue:
    """Input [N, D, H, W, C], weight [KD, KH, KW, C, OC]; LiteRT has it in float only."""
    options = op.options(tflite.Conv3DOptions)
    weight = context.value(op.input(1))
    *kernel, channels, _ = _weight_shape(context, op, weight, rank=5)
    stride = [options.StrideD(), options.StrideH(), options.StrideW()]
    dilation = [options.DilationDFactor(), options.DilationHFactor(), options.DilationWFactor()]
    x, pad = fit_windows(context, context.value(op.input(0)), kernel, stride, dilation, options.Padding())
    if shape_of(x)[4] != channels:
        context.unsupported(f"{shape_of(x)[4]} input channels for weights of {channels}")
    if any(tensor.quantization is not None for tensor in (op.input(0), op.input(1))):
        context.unsupported("quantised CONV_3D; float is supported")

    def make(
        x: SSAValue, weight: SSAValue, bias: SSAValue, input_zp: SSAValue, weight_zp: SSAValue, acc_type: Attribute
    ) -> SSAValue:
        weight = context.add(tosa.TransposeOp(weight, [4, 0, 1, 2, 3]))
        return context.add(
            tosa.Conv3DOp(
                x, weight, bias, input_zp, weight_zp, pad=pad, stride=stride, dilation=dilation, acc_type=acc_type
            )
        )

    return Contraction(op, options.FusedActivationFunction()).emit(context, x, weight, make)


@legalize("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(op: Operator, context: Context) -> SSAValue:
    """Input [N, H, W, C], weight [1, KH, KW, C * M], whose channel c * M + m stems from input channel c."""
    options = op.options(tflite.DepthwiseConv2DOptions)
    weight = context.value(op.input(1))
    _, *kernel, channels = _weight_shape(context, op, weight)
    stride = [options.StrideH(), options.StrideW()]
    dilation = [options.DilationHFactor(), options.DilationWFactor()]
    image = context.value(op.input(0))
    input_channels = shape_of(image)[3]
    if input_channels < 1 or channels % input_channels:
        context.unsupported(f"{channels} weight channels for {input_channels} input channels")
    weight = reshape(context, weight, (*kernel, input_channels, channels // input_channels))

    def make(
        x: SSAValue, weight: SSAValue, bias: SSAValue, input_zp: SSAValue, weight_zp: SSAValue, acc_type: Attribute
    ) -> SSAValue:
        x, pad = fit_windows(context, x, kernel, stride, dilation, options.Padding())
        return context.add(
            tosa.DepthwiseConv2DOp(
                x, weight, bias, input_zp, weight_zp, pad=pad, stride=stride, dilation=dilation, acc_type=acc_type
            )
        )

    rounding = _of_images(kernel, options.Padding(), asymmetric=True)
    contraction = Contraction(op, options.FusedActivationFunction(), channels=3, rounding=rounding)
    return contraction.emit(context, image, weight, make)


@legalize("TRANSPOSE_CONV")
def transpose_conv(op: Operator, context: Context) -> SSAValue:
    """Operands: output shape, weight [OC, KH, KW, IC], input [N, H, W, IC], bias.

    out[y * stride - pad + ky] += in[y] * weight[ky], where the padding is what SAME or VALID gives for a convolution
    from the output to the input (`kernels/transpose_conv.cc`); what falls outside of the output is dropped.
    """
    options = op.options(tflite.TransposeConvOptions)
    sizes = context.constant_data(op.input(0)).tolist()
    weight, x = context.value(op.input(1)), context.value(op.input(2))
    _, *kernel, _ = _weight_shape(context, op, weight)
    stride = [options.StrideH(), options.StrideW()]
    out_pad: list[int] = []
    for axis in (0, 1):
        size, extent = sizes[1 + axis], shape_of(x)[1 + axis]
        if extent == DYNAMIC:
            context.unsupported("a dynamic height or width; give shapes with --shape")
        missing = (extent - 1) * stride[axis] + kernel[axis] - size
        before = max(missing, 0) // 2 if options.Padding() == tflite.Padding.SAME else 0
        out_pad += [-before, before - missing]

    def make(
        x: SSAValue, weight: SSAValue, bias: SSAValue, input_zp: SSAValue, weight_zp: SSAValue, acc_type: Attribute
    ) -> SSAValue:
        return context.add(
            tosa.TransposeConv2DOp(
                x, weight, bias, input_zp, weight_zp, out_pad=out_pad, stride=stride, acc_type=acc_type
            )
        )

    return Contraction(op, options.FusedActivationFunction(), input=2, bias=3).emit(context, x, weight, make)


def _of_images(kernel: Sequence[int], padding: int, asymmetric: bool) -> Rounding:
    """Each image has one step."""
    padded = padding == tflite.Padding.SAME and any(extent > 1 for extent in kernel)
    return Rounding(axes=(1, 2, 3), asymmetric=asymmetric, padded=padded)


def _weight_shape(context: Context, op: Operator, weight: SSAValue, rank: int = 4) -> tuple[int, ...]:
    """The `rank` static extents of a convolution's weights."""
    shape = shape_of(weight)
    if len(shape) != rank or DYNAMIC in shape:
        context.unsupported(f"weights of shape {shape}; {rank} static extents are needed")
    if len(shape_of(context.value(op.input(0)))) not in (1, rank):
        context.unsupported(f"an input of shape {shape_of(context.value(op.input(0)))}; it must have {rank} extents")
    return shape


def _part(context: Context, value: SSAValue, axis: int, index: int, parts: int) -> SSAValue:
    """Part `index` of `parts` equal ones along `axis`; a value of one element there is shared by all."""
    extent = shape_of(value)[axis]
    return value if extent == 1 else take_along(context, value, axis, index * (extent // parts), extent // parts)
