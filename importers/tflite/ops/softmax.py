"""SOFTMAX and LOG_SOFTMAX, along the last axis.

The 8-bit SOFTMAX is LiteRT's fixed-point reference bit for bit (`kernels/internal/reference/softmax.h`):

    e[i] = exp(beta * (x[i] - max x))     32 bits, a table of the 256 possible differences
    sum  = Σ e[i] / 2^12                  so that 4096 elements do not overflow
    y[i] = e[i] / sum                     a reciprocal by Newton's method, then one multiplication and one shift

`tosa.mul` with shift 31 is gemmlowp's SaturatingRoundingDoublingHighMul, and for positive values
`tosa.arithmetic_right_shift` with rounding is its RoundingDivideByPOT.
"""

from __future__ import annotations

import numpy as np
import tflite
from xdsl.dialects.builtin import i8, i16, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import cast, quantize_multiplier
from ...registry import shape_of
from ..fixed_point import INT32_MAX, Array, doubling_high_multiply, exp_on_negative_values
from ..fixed_point_operations import high_multiply, reciprocal, right_shift
from ..legalization import Context, Operator, legalize

_DIFFERENCE_BITS = 5
"""Integer bits of the scaled differences: exp(-32) is nothing."""

_SUM_BITS = 12
"""Integer bits of the sum."""


@legalize("SOFTMAX")
def softmax(op: Operator, context: Context) -> SSAValue:
    beta = op.options(tflite.SoftmaxOptions).Beta()
    x = context.value(op.input(0))
    if op.input(0).quantization is not None:
        return _softmax_int8(op, context, x, beta)
    exp = context.add(tosa.ExpOp(_below_greatest(context, x, beta)))
    total = context.add(tosa.ReduceSumOp(exp, axis=last_axis(x)))
    return context.add(tosa.MulOp(exp, context.add(tosa.ReciprocalOp(total)), context.zero_shift()))


@legalize("LOG_SOFTMAX")
def log_softmax(op: Operator, context: Context) -> SSAValue:
    x = context.value(op.input(0))
    if op.input(0).quantization is not None:
        context.unsupported("quantised LOG_SOFTMAX; convert the model with LOG_SOFTMAX in float")
    below = _below_greatest(context, x, 1.0)
    total = context.add(tosa.ReduceSumOp(context.add(tosa.ExpOp(below)), axis=last_axis(x)))
    return context.add(tosa.SubOp(below, context.add(tosa.LogOp(total))))


def last_axis(x: SSAValue) -> int:
    return len(shape_of(x)) - 1


def _below_greatest(context: Context, x: SSAValue, beta: float) -> SSAValue:
    """beta * (x - max x) in float, so that no exponential overflows."""
    greatest = context.add(tosa.ReduceMaxOp(x, axis=last_axis(x)))
    below = context.add(tosa.SubOp(x, greatest))
    if beta == 1:
        return below
    return context.add(tosa.MulOp(below, context.splat(beta, like=below), context.zero_shift()))


def _softmax_int8(op: Operator, context: Context, x: SSAValue, beta: float) -> SSAValue:
    if element_of(x) != i8 or op.output().element_type != i8:
        context.unsupported(f"SOFTMAX from {element_of(x)} to {op.output().element_type}; 8 bits are supported")
    exp = _exp_of_differences(context, x, _exp_entries(beta, op.input(0).scale))
    total = context.add(tosa.ReduceSumOp(right_shift(context, exp, _SUM_BITS), axis=last_axis(x)))
    leading_zeros = context.add(tosa.ClzOp(total))
    inverse = reciprocal(context, total, leading_zeros)
    # The sum has 31 - 12 fraction bits, the reciprocal is that of the sum shifted to [1, 2), the result has 8 bits.
    exponent = context.add(tosa.SubOp(context.splat(_SUM_BITS + 31 - 8, like=total), leading_zeros))
    # Sums of 512 and more need more than the greatest shift. LiteRT's reference aborts there; we scale the reciprocal.
    limited = context.add(tosa.MinimumOp(exponent, context.splat(31, like=total)))
    excess = context.add(tosa.SubOp(exponent, limited))
    inverse = context.add(tosa.ArithmeticRightShiftOp(inverse, excess, round=False))
    quotient = context.add(tosa.ArithmeticRightShiftOp(high_multiply(context, exp, inverse), limited, round=True))
    shifted = context.add(tosa.SubOp(quotient, context.splat(128, like=quotient)))
    return cast(context, context.add(tosa.MinimumOp(shifted, context.splat(127, like=shifted))), i8)


def _exp_entries(beta: float, scale: float) -> Array:
    """exp(beta * scale * d) with 31 fraction bits for the differences d = -255..0; 0 where the kernel leaves it out."""
    factor = min(float(np.float32(beta)) * scale * 2.0 ** (31 - _DIFFERENCE_BITS), float(INT32_MAX))
    mantissa, left_shift = (int(part[0]) for part in quantize_multiplier(factor))
    radius = ((1 << _DIFFERENCE_BITS) - 1) << (31 - _DIFFERENCE_BITS) >> left_shift
    differences = np.maximum(np.arange(-255, 1, dtype=np.int64), -radius)
    scaled = doubling_high_multiply(differences << left_shift, mantissa)
    return np.where(np.arange(-255, 1) >= -radius, exp_on_negative_values(scaled, _DIFFERENCE_BITS), 0)


def _exp_of_differences(context: Context, x: SSAValue, entries: Array) -> SSAValue:
    """entries[x - max x + 255] in i32, from two look-ups of 16 bits.

    The 16-bit table interpolates between 513 entries at steps of 128, and gives 128 times an entry at such a step.
    """
    greatest = context.add(tosa.ReduceMaxOp(x, axis=last_axis(x)))
    difference = context.add(tosa.SubOp(cast(context, x, i32), cast(context, greatest, i32)))
    index = cast(context, context.add(tosa.LogicalLeftShiftOp(difference, context.splat(7, like=difference))), i16)

    def look_up(values: Array) -> SSAValue:
        padded = np.zeros(513, np.int16)
        padded[1:257] = values
        return context.add(tosa.TableOp(index, context.constant(padded)))

    high = look_up(entries >> 16)
    low = look_up((entries & 0xFFFF) - 0x8000)
    high = context.add(tosa.LogicalLeftShiftOp(high, context.splat(16 - 7, like=high)))
    low = context.add(tosa.ArithmeticRightShiftOp(low, context.splat(7, like=low), round=False))
    low = context.add(tosa.AddOp(low, context.splat(0x8000, like=low)))
    return context.add(tosa.AddOp(high, low))
