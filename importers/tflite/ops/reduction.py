"""Reductions along axes that are known at compile time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import tflite
from xdsl.dialects.builtin import IntegerType, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import Scale, cast, quantize_multiplier, rescale
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, legalize
from .axes import normalize_axes
from .shaping import reshape

Reduce = Callable[..., tosa.TosaOp]
"""An operation class that takes the operand and `axis`."""


def _axes(op: Operator, context: Context) -> list[int]:
    """The axes, not negative, each once, in ascending order."""
    return normalize_axes(context.constant_data(op.input(1)).reshape(-1), len(context.shape_of(op.input(0))))


def _reduce(context: Context, x: SSAValue, reduce: Reduce, axes: Sequence[int]) -> SSAValue:
    for axis in axes:
        x = context.add(reduce(x, axis=axis))
    return x


def _finish(op: Operator, context: Context, x: SSAValue, axes: Sequence[int]) -> SSAValue:
    """Drop the reduced axes, which have extent 1, unless the operator keeps them."""
    if op.options(tflite.ReducerOptions).KeepDims():
        return x
    return reshape(context, x, [extent for axis, extent in enumerate(shape_of(x)) if axis not in axes])


def _plain_reduction(reduce: Reduce) -> Callable[[Operator, Context], SSAValue]:
    """A reduction that does not look at scales: operand and result have the same."""

    def legalization(op: Operator, context: Context) -> SSAValue:
        axes = _axes(op, context)
        return _finish(op, context, _reduce(context, context.value(op.input(0)), reduce, axes), axes)

    return legalization


legalize("REDUCE_MAX")(_plain_reduction(tosa.ReduceMaxOp))
legalize("REDUCE_MIN")(_plain_reduction(tosa.ReduceMinOp))
legalize("REDUCE_PROD")(_plain_reduction(tosa.ReduceProductOp))
legalize("REDUCE_ANY")(_plain_reduction(tosa.ReduceAnyOp))
legalize("REDUCE_ALL")(_plain_reduction(tosa.ReduceAllOp))


@legalize("SUM")
def reduce_sum(op: Operator, context: Context) -> SSAValue:
    axes = _axes(op, context)
    if op.input(0).quantization is not None:
        count = _count(op, context, axes)
        factor = np.float64(op.input(0).scale) / np.float64(op.output().scale)
        return _quantized(op, context, axes, count, Scale.tflite(factor))
    return _finish(op, context, _reduce(context, context.value(op.input(0)), tosa.ReduceSumOp, axes), axes)


@legalize("MEAN")
def mean(op: Operator, context: Context) -> SSAValue:
    axes = _axes(op, context)
    count = _count(op, context, axes)
    if op.input(0).quantization is not None:
        return _quantized(op, context, axes, count, _mean_scale(op, count))
    total = _reduce(context, context.value(op.input(0)), tosa.ReduceSumOp, axes)
    if isinstance(element_of(total), IntegerType):
        result = context.add(tosa.IntDivOp(total, context.splat(count, like=total)))
    else:
        result = context.add(tosa.MulOp(total, context.splat(1 / count, like=total), context.zero_shift()))
    return _finish(op, context, result, axes)


def _count(op: Operator, context: Context, axes: Sequence[int]) -> int:
    extents = [context.shape_of(op.input(0))[axis] for axis in axes]
    if DYNAMIC in extents:
        context.unsupported("a mean over a dynamic extent; give shapes with --shape")
    return prod(extents)


def _mean_scale(op: Operator, count: int) -> Scale:
    """scale_in / scale_out / count as the kernel rounds it: the quantised factor is divided by the count, cut off.

    See QuantizedMeanOrSum in `kernels/internal/reference/reduce.h`.
    """
    factor = np.float64(op.input(0).scale) / np.float64(op.output().scale)
    mantissa, exponent = (int(part[0]) for part in quantize_multiplier(factor))
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return Scale.fixed((mantissa << shift) // count, exponent - shift)


def _quantized(op: Operator, context: Context, axes: Sequence[int], count: int, scale: Scale) -> SSAValue:
    x = context.value(op.input(0))
    total = _reduce(context, cast(context, x, i32), tosa.ReduceSumOp, axes)
    if op.input(0).zero_point:
        total = context.add(tosa.SubOp(total, context.splat(op.input(0).zero_point * count, like=total)))
    result = rescale(context, total, scale, element_of(x), output_zero_point=op.output().zero_point)
    return _finish(op, context, result, axes)
