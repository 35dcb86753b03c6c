"""Conversions between element types: plain ones, and those between real and quantised values."""

from __future__ import annotations

import numpy as np
from xdsl.dialects.builtin import BFloat16Type, Float16Type, Float32Type, Float64Type, f32, i1, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import Scale, cast, centered, rescale
from ..legalization import Context, Operator, Tensor, legalize
from .division import divide, round_half_away

_FLOATS = (Float16Type, BFloat16Type, Float32Type, Float64Type)


@legalize("CAST")
def cast_(op: Operator, context: Context) -> SSAValue:
    """C's conversions: towards zero from float to integer, modulo 2^n between integers, unequal to 0 to bool.

    Source: `kernels/cast.cc`, copyCast.
    """
    x = context.value(op.input(0))
    target = op.output().element_type
    if op.input(0).unsigned:
        x = centered(context, x, -128)
    from_float = isinstance(element_of(x), _FLOATS)
    if op.output().unsigned:
        if from_float:
            context.unsupported("a cast from float to uint8")
        return cast(context, centered(context, x, 128), target)
    if target == i1 and element_of(x) != i1:
        return context.add(tosa.LogicalNotOp(context.add(tosa.EqualOp(x, context.splat(0, like=x)))))
    if element_of(x) == i1 and isinstance(target, _FLOATS):
        x = cast(context, x, i32)  # TOSA has no cast from bool to float
    if from_float and not isinstance(target, _FLOATS):
        x = _truncate(context, x)
    return cast(context, x, target)


def _truncate(context: Context, x: SSAValue) -> SSAValue:
    """x without its fraction."""
    negative = context.add(tosa.GreaterOp(context.splat(0, like=x), x))
    return context.add(tosa.SelectOp(negative, context.add(tosa.CeilOp(x)), context.add(tosa.FloorOp(x))))


@legalize("QUANTIZE")
def quantize(op: Operator, context: Context) -> SSAValue:
    """round(x / scale) + zero point, saturated; from quantised values, a rescale as convolutions do it.

    Source: `kernels/internal/reference/{quantize,requantize}.h`.
    """
    x, result = context.value(op.input(0)), op.output()
    if element_of(x) == f32:
        rounded = round_half_away(context, divide(context, x, result.scale))
        # Whole numbers of this size are exact in float, and the cast saturates.
        shifted = context.add(tosa.AddOp(rounded, context.splat(result.zero_point, like=x)))
        return cast(context, shifted, result.element_type)
    source = op.input(0)
    scale = Scale.tflite(source.scale / result.scale)
    return rescale(context, x, scale, result.element_type, source.zero_point, result.zero_point)


@legalize("DEQUANTIZE")
def dequantize(op: Operator, context: Context) -> SSAValue:
    """(x - zero point) * scale, per tensor or per channel; of f16 tensors, a conversion.

    Source: `kernels/internal/reference/dequantize.h`. The double arithmetic there rounds once, as this product does.
    """
    source = op.input(0)
    x = context.value(source)
    if isinstance(element_of(x), _FLOATS):
        return cast(context, x, op.output().element_type)
    if source.quantization is None:
        context.unsupported(f"'{source.name}' has no scale")
    zero_point, scale = _aligned(context, source)
    wide = cast(context, x, i32)
    if zero_point.any():
        wide = context.add(tosa.SubOp(wide, context.constant(zero_point.astype(np.int32))))
    product = tosa.MulOp(cast(context, wide, f32), context.constant(scale), context.zero_shift())
    return context.add(product)


def _aligned(context: Context, tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Zero points and scales of a quantised tensor in a shape that broadcasts against it."""
    assert tensor.quantization is not None
    shape = [1] * len(context.shape_of(tensor))
    if tensor.quantization.per_channel:
        shape[tensor.quantization.axis] = tensor.quantization.scale.size
    return tensor.quantization.zero_point.reshape(shape), tensor.quantization.scale.reshape(shape)
