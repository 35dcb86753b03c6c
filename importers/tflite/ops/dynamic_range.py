"""Activations rounded to int8 at run time, for products with int8 weights (dynamic range).

LiteRT's hybrid kernels do so (`kernels/internal/reference/portable_tensor_utils.cc`, AsymmetricQuantizeFloats and
SymmetricQuantizeFloats): a row has the step (max - min) / 255, its range widened to hold zero, and the zero point that
maps its least value to -128; or, symmetric, the step max |x| / 127. They compute step and zero point in double and
round halves away from zero. TOSA has no double and casts to the nearest even: an element may come out one step away
where it lies within a few roundings of f32 of the middle between two steps; all of a row, where its zero point does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import f32, i8
from xdsl.ir import Operation, SSAValue

from ....tosa import dialect as tosa
from ...quantization import cast
from ..legalization import Context

_LEAST_RANGE = 2.0**-100
"""Narrower rows, those of zeros above all, get the step of this range; its inverse is finite."""


@dataclass(frozen=True, slots=True)
class Rounded:
    """x ~ (values - zero_point) * step."""

    values: SSAValue
    """i8, of the shape of x."""

    step: SSAValue
    """f32, the extents of the axes that share a step are 1."""

    zero_point: SSAValue | None
    """i8, of the shape of `step`; None where it is 0."""


def round_to_int8(context: Context, x: SSAValue, axes: Sequence[int], *, asymmetric: bool) -> Rounded:
    """`x` (f32) rounded to int8, with one step for all elements along `axes`."""
    low, high = (_reduce(context, kind, x, axes) for kind in (tosa.ReduceMinOp, tosa.ReduceMaxOp))
    none = context.splat(0.0, like=x)
    if not asymmetric:
        low = context.add(tosa.SubOp(none, low))
        extent, steps = context.add(tosa.MaximumOp(low, high)), 127
    else:
        low = context.add(tosa.MinimumOp(low, none))
        high = context.add(tosa.MaximumOp(high, none))
        extent, steps = context.add(tosa.SubOp(high, low)), 255
    extent = context.add(tosa.MaximumOp(extent, context.splat(_LEAST_RANGE, like=x)))
    step = context.add(tosa.MulOp(extent, context.splat(1 / steps, like=x), context.zero_shift()))
    inverse = context.add(tosa.ReciprocalOp(step))
    scaled = context.add(tosa.MulOp(x, inverse, context.zero_shift()))
    if not asymmetric:
        return Rounded(cast(context, scaled, i8), step, None)
    below = context.add(tosa.MulOp(low, inverse, context.zero_shift()))
    zero_point = cast(context, context.add(tosa.SubOp(context.splat(-128.0, like=x), below)), i8)
    shifted = context.add(tosa.AddOp(scaled, cast(context, zero_point, f32)))
    return Rounded(cast(context, shifted, i8), step, zero_point)


def _reduce(context: Context, kind: Callable[..., Operation], x: SSAValue, axes: Sequence[int]) -> SSAValue:
    """The innermost axis first: what is left of it is small."""
    for axis in sorted(axes, reverse=True):
        x = context.add(kind(x, axis=axis))
    return x
