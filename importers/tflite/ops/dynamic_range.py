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

    zero_point: SSAValue | int
    """A number where all steps have the same; else i8, of the shape of `step`."""


def round_to_int8(context: Context, x: SSAValue, axes: Sequence[int], *, asymmetric: bool) -> Rounded:
    """`x` (f32) rounded to int8, with one step for all elements along `axes`."""
    greatest, none = _reduce(context, tosa.ReduceMaxOp, x, axes), context.splat(0.0, like=x)
    if not asymmetric:
        opposite = context.add(tosa.SubOp(none, _reduce(context, tosa.ReduceMinOp, x, axes)))
        step, inverse = _step(context, context.add(tosa.MaximumOp(greatest, opposite)), 127)
        return Rounded(cast(context, _times(context, x, inverse), i8), step, 0)
    high = context.add(tosa.MaximumOp(greatest, none))
    if is_clamped_at_zero(x):
        step, inverse = _step(context, high, 255)
        shifted = context.add(tosa.AddOp(_times(context, x, inverse), context.splat(-128.0, like=x)))
        return Rounded(cast(context, shifted, i8), step, -128)
    low = context.add(tosa.MinimumOp(_reduce(context, tosa.ReduceMinOp, x, axes), none))
    step, inverse = _step(context, context.add(tosa.SubOp(high, low)), 255)
    below = context.add(tosa.SubOp(context.splat(-128.0, like=x), _times(context, low, inverse)))
    zero_point = cast(context, below, i8)
    shifted = context.add(tosa.AddOp(_times(context, x, inverse), cast(context, zero_point, f32)))
    return Rounded(cast(context, shifted, i8), step, zero_point)


def _step(context: Context, extent: SSAValue, steps: int) -> tuple[SSAValue, SSAValue]:
    """`extent` divided into `steps`: one of them, and its inverse."""
    extent = context.add(tosa.MaximumOp(extent, context.splat(_LEAST_RANGE, like=extent)))
    step = _times(context, extent, context.splat(1 / steps, like=extent))
    return step, context.add(tosa.ReciprocalOp(step))


def _times(context: Context, x: SSAValue, factor: SSAValue) -> SSAValue:
    return context.add(tosa.MulOp(x, factor, context.zero_shift()))


def is_clamped_at_zero(x: SSAValue) -> bool:
    """Whether no element is negative, as behind a ReLU: the least value is then that zero which the range must hold."""
    return isinstance(x.owner, tosa.ClampOp) and x.owner.min_val.value.data >= 0


def _reduce(context: Context, kind: Callable[..., Operation], x: SSAValue, axes: Sequence[int]) -> SSAValue:
    for axis in sorted(axes, reverse=True):
        x = context.add(kind(x, axis=axis))
    return x
