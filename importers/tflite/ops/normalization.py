"""L2_NORMALIZATION: rows divided by the root of their sum of squares."""

from __future__ import annotations

from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ...quantization import cast, centered, element_type_of
from ..fixed_point import INT32_MAX
from ..legalization import Context, Operator, legalize
from .arithmetic import multiply
from .shaping import shape_of
from .softmax import high_multiply, last_axis

_OUTPUT_BITS = 7
"""The 8-bit result has steps of 1/128."""


@legalize("L2_NORMALIZATION")
def l2_normalization(op: Operator, context: Context) -> SSAValue:
    """x / max(sqrt(sum of squares), 1e-6)."""
    x = context.value(op.input(0))
    if op.input(0).quantization is not None:
        return _l2_normalization_int8(op, context, x)
    total = context.add(tosa.ReduceSumOp(multiply(context, x, x), axis=last_axis(x)))
    limited = context.add(tosa.MaximumOp(total, context.splat(1e-12, like=total)))
    return multiply(context, x, context.add(tosa.RsqrtOp(limited)))


def _l2_normalization_int8(op: Operator, context: Context, x: SSAValue) -> SSAValue:
    """Bit for bit the reference kernels `integer_ops/l2normalization.h` and, for uint8, `l2normalization.h`."""
    depth = shape_of(x)[-1]
    if element_type_of(x) != i8 or not 0 < depth <= (1 << 29) // 255**2:
        context.unsupported(f"L2_NORMALIZATION of {x.type}; rows of up to 8256 int8 values are supported")
    wide = centered(context, x, op.input(0).zero_point)
    total = context.add(tosa.ReduceSumOp(multiply(context, wide, wide), axis=last_axis(x)))
    mantissa, exponent = _inverse_square_root(context, total)
    zero = context.splat(0, like=total)
    output_bits = context.splat(_OUTPUT_BITS, like=total)
    exponent = context.add(tosa.AddOp(exponent, output_bits))
    # The kernel for uint8 keeps the bits that the one for int8 gives up where the exponent is negative.
    left = output_bits if op.input(0).unsigned else context.add(tosa.MaximumOp(exponent, zero))
    right = context.add(tosa.SubOp(left, exponent))
    product = high_multiply(context, context.add(tosa.LogicalLeftShiftOp(wide, left)), mantissa)
    # Halves are rounded away from zero, which a shift of the magnitude does.
    magnitude = context.add(tosa.ArithmeticRightShiftOp(context.add(tosa.AbsOp(product)), right, round=True))
    negated = context.add(tosa.SubOp(zero, magnitude))
    signed = context.add(tosa.SelectOp(context.add(tosa.GreaterOp(zero, product)), negated, magnitude))
    limited = context.add(tosa.ClampOp(signed, -128, 127))
    return cast(context, limited, i8)


def _inverse_square_root(context: Context, value: SSAValue) -> tuple[SSAValue, SSAValue]:
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
