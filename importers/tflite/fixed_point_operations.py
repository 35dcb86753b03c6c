"""gemmlowp's and TFLite's 32-bit fixed-point functions as TOSA operations on i32 tensors.

`fixed_point.py` has the same on numbers that are known at import.
"""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from ...tosa import dialect as tosa
from .fixed_point import INT32_MAX
from .legalization import Context


def high_multiply(context: Context, a: SSAValue, b: SSAValue) -> SSAValue:
    """SaturatingRoundingDoublingHighMul of values that do not saturate: a * b * 2^-31, halves up."""
    return context.add(tosa.MulOp(a, b, context.constant(np.array([31], np.int8))))


def right_shift(context: Context, value: SSAValue, bits: int) -> SSAValue:
    """RoundingDivideByPOT of a value that is not negative."""
    return context.add(tosa.ArithmeticRightShiftOp(value, context.splat(bits, like=value), round=True))


def right_shift_away(context: Context, value: SSAValue, bits: SSAValue) -> SSAValue:
    """RoundingDivideByPOT: halves go away from zero, which a shift of the magnitude does."""
    zero = context.splat(0, like=value)
    magnitude = context.add(tosa.ArithmeticRightShiftOp(context.add(tosa.AbsOp(value)), bits, round=True))
    negated = context.add(tosa.SubOp(zero, magnitude))
    return context.add(tosa.SelectOp(context.add(tosa.GreaterOp(zero, value)), negated, magnitude))


def reciprocal(context: Context, value: SSAValue, leading_zeros: SSAValue) -> SSAValue:
    """1 / (value shifted to [1, 2)) with 31 fraction bits: GetReciprocal of TFLite's `kernels/internal/common.h`.

    Newton's iteration x += x * (1 - d * x) on half the denominator d, with two integer bits, from 48/17 - 32/17 * d.
    """
    one = context.splat(1 << 29, like=value)
    two_bits = context.splat(2, like=value)
    normalised = context.add(tosa.LogicalLeftShiftOp(value, leading_zeros))
    half = context.add(tosa.LogicalRightShiftOp(normalised, context.splat(1, like=value)))
    slope = high_multiply(context, half, context.splat(-1010580540, like=value))
    x = context.add(tosa.AddOp(context.splat(1515870810, like=value), slope))
    for _ in range(3):
        rest = context.add(tosa.SubOp(one, high_multiply(context, half, x)))
        step = context.add(tosa.LogicalLeftShiftOp(high_multiply(context, x, rest), two_bits))
        x = context.add(tosa.AddOp(x, step))
    # Doubling saturates: 2^30 stands for 1, which has no representation with 31 fraction bits.
    doubled = context.add(tosa.LogicalLeftShiftOp(x, context.splat(1, like=value)))
    too_great = context.add(tosa.GreaterOp(x, context.splat((1 << 30) - 1, like=value)))
    return context.add(tosa.SelectOp(too_great, context.splat(INT32_MAX, like=value), doubled))


def inverse_square_root(context: Context, value: SSAValue) -> tuple[SSAValue, SSAValue]:
    """mantissa and exponent with 1/sqrt(v) ~ mantissa * 2^(exponent - 31) for i32 values 0 <= v < 2^29.

    GetInvSqrtQuantizedMultiplierExp of TFLite's `kernels/internal/common.h`, which takes 0 for 1: see
    `fixed_point.inverse_square_root` for the same on known numbers.
    """
    one_bit = context.splat(1, like=value)
    zero = context.splat(0, like=value)

    def left_shift(number: SSAValue, bits: int) -> SSAValue:
        return context.add(tosa.LogicalLeftShiftOp(number, context.splat(bits, like=value)))

    # Scale the value to [2^27, 2^29) by an even number of bits.
    leading = context.add(tosa.SubOp(context.add(tosa.ClzOp(value)), one_bit))
    half_leading = context.add(tosa.ArithmeticRightShiftOp(leading, one_bit, round=False))
    pairs = context.add(tosa.SubOp(half_leading, one_bit))
    scaled = context.add(tosa.LogicalLeftShiftOp(value, left_shift(pairs, 1)))
    # Newton's iteration x += x * (1 - v * x^2) / 2 with three integer bits, from x = 1.
    quantity = context.add(tosa.ArithmeticRightShiftOp(scaled, one_bit, round=False))
    half = context.add(tosa.ArithmeticRightShiftOp(quantity, one_bit, round=True))
    three_halves = context.splat((1 << 28) + (1 << 27), like=value)
    x = context.splat(1 << 28, like=value)
    for _ in range(5):
        cube = high_multiply(context, high_multiply(context, x, x), x)
        too_great = context.add(tosa.GreaterOp(cube, context.splat((1 << 25) - 1, like=value)))
        cube = context.add(tosa.SelectOp(too_great, context.splat(INT32_MAX, like=value), left_shift(cube, 6)))
        slope = high_multiply(context, three_halves, x)
        x = left_shift(context.add(tosa.SubOp(slope, high_multiply(context, half, cube))), 3)
    half_square_root_of_two = context.splat(1518500250, like=value)
    mantissa = high_multiply(context, x, half_square_root_of_two)
    # 2^(pairs - 11) is an exponent, or where positive a shift of the mantissa.
    exponent = context.add(tosa.SubOp(pairs, context.splat(11, like=value)))
    negative = context.add(tosa.MinimumOp(exponent, zero))
    mantissa = context.add(tosa.LogicalLeftShiftOp(mantissa, context.add(tosa.SubOp(exponent, negative))))
    is_one = context.add(tosa.GreaterOp(context.splat(2, like=value), value))
    return (
        context.add(tosa.SelectOp(is_one, context.splat(INT32_MAX, like=value), mantissa)),
        context.add(tosa.SelectOp(is_one, zero, negative)),
    )
