"""AVERAGE_POOL_2D, MAX_POOL_2D and L2_POOL_2D."""

from __future__ import annotations

import tflite
from xdsl.dialects.builtin import f32, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ..legalization import Context, Operator, legalize
from .activation import fused_activation
from .shaping import fit_windows


@legalize("AVERAGE_POOL_2D")
def average_pool_2d(op: Operator, context: Context) -> SSAValue:
    """The mean of each window without its padding."""
    options = op.options(tflite.Pool2DOptions)
    result = _average(op, context, context.value(op.input(0)), options)
    return fused_activation(context, result, options.FusedActivationFunction(), op.output())


@legalize("L2_POOL_2D")
def l2_pool_2d(op: Operator, context: Context) -> SSAValue:
    """The square root of the mean of the squares of each window."""
    options = op.options(tflite.Pool2DOptions)
    x = context.value(op.input(0))
    squares = context.add(tosa.MulOp(x, x, context.zero_shift()))
    mean = _average(op, context, squares, options)
    root = context.add(tosa.ReciprocalOp(context.add(tosa.RsqrtOp(mean))))
    return fused_activation(context, root, options.FusedActivationFunction(), op.output())


@legalize("MAX_POOL_2D")
def max_pool_2d(op: Operator, context: Context) -> SSAValue:
    options = op.options(tflite.Pool2DOptions)
    kernel, stride = _window(options)
    x, pad = fit_windows(context, context.value(op.input(0)), kernel, stride, [1, 1], options.Padding())
    result = context.add(tosa.MaxPool2DOp(x, kernel=kernel, stride=stride, pad=pad))
    return fused_activation(context, result, options.FusedActivationFunction(), op.output())


def _average(op: Operator, context: Context, x: SSAValue, options: tflite.Pool2DOptions) -> SSAValue:
    """Integer means are rounded to nearest as the kernels do, halves away from zero in the type of the file.

    `tosa.avg_pool2d` multiplies by a reciprocal that is a little too large (TOSA 1.0, section 1.11.4), so that its
    halves move away from zero too: away from the zero point it is given. For int8 that is 0 whatever the
    quantisation, as the kernels average raw values (`kernels/internal/reference/integer_ops/pooling.h`); for uint8,
    which is int8 less 128 here, it is -128.
    """
    kernel, stride = _window(options)
    x, pad = fit_windows(context, x, kernel, stride, [1, 1], options.Padding())
    element_type = element_of(x)
    zero_point = context.zero_point(-128 if op.input(0).unsigned else 0, element_type)
    acc_type = f32 if element_type == f32 else i32
    return context.add(
        tosa.AvgPool2DOp(x, zero_point, zero_point, kernel=kernel, stride=stride, pad=pad, acc_type=acc_type)
    )


def _window(options: tflite.Pool2DOptions) -> tuple[list[int], list[int]]:
    return [options.FilterHeight(), options.FilterWidth()], [options.StrideH(), options.StrideW()]
