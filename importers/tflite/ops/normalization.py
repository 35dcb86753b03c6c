"""L2_NORMALIZATION: rows divided by the root of their sum of squares."""

from __future__ import annotations

from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import cast, centered
from ...registry import shape_of
from ..fixed_point_operations import high_multiply, inverse_square_root, right_shift_away
from ..legalization import Context, Operator, legalize
from .arithmetic import multiply
from .softmax import last_axis

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
    if element_of(x) != i8 or not 0 < depth <= (1 << 29) // 255**2:
        context.unsupported(f"L2_NORMALIZATION of {x.type}; rows of up to 8256 int8 values are supported")
    wide = centered(context, x, op.input(0).zero_point)
    total = context.add(tosa.ReduceSumOp(multiply(context, wide, wide), axis=last_axis(x)))
    mantissa, exponent = inverse_square_root(context, total)
    zero = context.splat(0, like=total)
    output_bits = context.splat(_OUTPUT_BITS, like=total)
    exponent = context.add(tosa.AddOp(exponent, output_bits))
    # The kernel for uint8 keeps the bits that the one for int8 gives up where the exponent is negative.
    left = output_bits if op.input(0).unsigned else context.add(tosa.MaximumOp(exponent, zero))
    right = context.add(tosa.SubOp(left, exponent))
    product = high_multiply(context, context.add(tosa.LogicalLeftShiftOp(wide, left)), mantissa)
    signed = right_shift_away(context, product, right)
    limited = context.add(tosa.ClampOp(signed, -128, 127))
    return cast(context, limited, i8)
