"""Integer rescaling: real factors as multiplier and shift, and the `tosa.rescale` that applies them exactly.

TFLite's reference kernels apply a factor in one of three ways (`kernels/internal/common.cc`). Each equals one rounding
mode of `tosa.rescale` (TOSA 1.0, section 1.11.3, apply_scale_32 and apply_scale_16), value for value:

- `MultiplyByQuantizedMultiplier(int32)`: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT. The first rounds
  halves up to 2^-31, the second halves away from zero; together that is DOUBLE_ROUND with shift 31 - exponent. For
  exponents >= 0 only the first remains, and DOUBLE_ROUND then rounds once too.
- `MultiplyByQuantizedMultiplier(int64)`, of 16-bit activations: a 15-bit mantissa rounded once: `scale32 = false`.
- `round(double(accumulator) * scale)`, of fully connected layers: rounded once, see `Scale.nearest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from xdsl.dialects.builtin import i16, i32
from xdsl.ir import Attribute, SSAValue

from ..tosa import dialect as tosa
from ..tosa.dialect.types import I48, element_of
from .registry import TosaBuilder, Unsupported

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """The factor multiplier * 2^-shift: one element per tensor, or one per channel of the last dimension."""

    multiplier: Array
    """int32 in [0, 2^31), or int16 where `wide` says that 48-bit values are scaled."""

    shift: Array
    """int8 in [2, 62]."""

    rounding: str
    """Of `tosa.rescale`: DOUBLE_ROUND or SINGLE_ROUND."""

    @staticmethod
    def tflite(real: ArrayLike) -> Scale:
        """The factor as TFLite's QuantizeMultiplier and MultiplyByQuantizedMultiplier(int32) apply it."""
        mantissa, exponent = quantize_multiplier(real)
        return Scale(mantissa.astype(np.int32), _shift(31 - exponent, real), "DOUBLE_ROUND")

    @staticmethod
    def tflite16(real: ArrayLike) -> Scale:
        """The factor as MultiplyByQuantizedMultiplier(int64) applies it to 48-bit accumulators."""
        mantissa, exponent = quantize_multiplier(real)
        reduced = np.where(mantissa < 0x7FFF0000, (mantissa + (1 << 15)) >> 16, 0x7FFF)
        return Scale(reduced.astype(np.int16), _shift(15 - exponent, real), "SINGLE_ROUND")

    @staticmethod
    def nearest(real: ArrayLike) -> Scale:
        """The factor for one rounding to nearest, halves away from zero, as C's round(value * real) does it.

        SINGLE_ROUND takes halves up. A mantissa rounded up moves negative halves just past the half, and no positive
        one below it; but where a product lies within 2^-31 of a half that may be one bit too much. So per channel the
        mantissa just above or just below the factor is taken, whichever rounds right all along the int8 range, if
        either does: factors below 2^-10 have so many products that for one in four neither is right for all.
        """
        exact = np.atleast_1d(np.asarray(real, np.float64))
        fraction, exponent = np.frexp(exact)
        below = np.floor(fraction * 2.0**31).astype(np.int64)
        candidates = [_normalised(below + 1, exponent), _normalised(below, exponent)]
        above, low = (Scale(m.astype(np.int32), _shift(31 - e, real), "SINGLE_ROUND") for m, e in candidates)
        keep = above.rounds_int8_like(exact) | ~low.rounds_int8_like(exact)
        multiplier = np.where(keep, above.multiplier, low.multiplier)
        return Scale(multiplier, np.where(keep, above.shift, low.shift), "SINGLE_ROUND")

    @staticmethod
    def fixed(mantissa: int, exponent: int) -> Scale:
        """mantissa * 2^(exponent - 31), rounded as MultiplyByQuantizedMultiplier(int32) does."""
        shift = _shift(np.array([31 - exponent]), 2.0**exponent)
        return Scale(np.array([mantissa], np.int32), shift, "DOUBLE_ROUND")

    @staticmethod
    def power_of_two(exponent: int) -> Scale:
        """2^exponent; exact for values that keep their bits, else rounded once, halves up."""
        return Scale(np.array([1 << 30], np.int32), _shift(np.array([30 - exponent]), 2.0**exponent), "SINGLE_ROUND")

    def rounds_int8_like(self, real: Array) -> Array:
        """Per channel, whether every int32 value is scaled to what round(value * real) gives, within +-255.

        Both are monotonic: they are equal if each result starts at the same value.
        """
        steps = np.arange(-254, 256)[:, np.newaxis]
        with np.errstate(divide="ignore"):
            first = np.clip(np.ceil((steps - 0.5) / real), -(2.0**31), 2.0**31)
        first = first - (round_half_away((first - 1) * real) >= steps) + (round_half_away(first * real) < steps)
        reachable = np.abs(first) < 2.0**31 - 1
        first = np.where(reachable, first, 0).astype(np.int64)
        same = (self.apply(first) >= steps) & (self.apply(first - 1) < steps)
        return np.atleast_1d((same | ~reachable).all(axis=0))

    @property
    def wide(self) -> bool:
        return self.multiplier.dtype == np.int16

    def apply(self, values: ArrayLike) -> Array:
        """apply_scale of the TOSA specification, in int64; for tables, whose entries are computed here."""
        wide = np.asarray(values, np.int64)
        shift = self.shift.astype(np.int64)
        rounding = np.int64(1) << (shift - 1)
        if self.rounding == "DOUBLE_ROUND":
            rounding = rounding + np.where(shift > 31, np.where(wide >= 0, 1 << 30, -(1 << 30)), 0)
        return (wide * self.multiplier.astype(np.int64) + rounding) >> shift


def quantize_multiplier(real: ArrayLike) -> tuple[Array, Array]:
    """mantissa in [2^30, 2^31) and exponent with real ~ mantissa * 2^(exponent - 31), per element, both int64.

    The source is QuantizeMultiplier in `kernels/internal/quantization_util.cc`: the mantissa is rounded to nearest,
    and factors below 2^-32 become zero.
    """
    fraction, exponent = np.frexp(np.atleast_1d(np.asarray(real, np.float64)))
    return _normalised(np.floor(fraction * 2.0**31 + 0.5).astype(np.int64), exponent)


def _normalised(mantissa: Array, exponent: Array) -> tuple[Array, Array]:
    """Keep the mantissa below 2^31; factors too small for any shift are zero."""
    carry = mantissa == 1 << 31
    mantissa, exponent = np.where(carry, 1 << 30, mantissa), exponent + carry
    tiny = exponent < -31
    return np.where(tiny, 0, mantissa), np.where(tiny, 0, exponent).astype(np.int64)


def round_half_away(values: Array) -> Array:
    """C's round(): the nearest whole number of each double, halves away from zero.

    Adding the largest double below one half, not one half, keeps that very number from becoming 1; sums of true halves
    round up to the whole number.
    """
    return np.copysign(np.floor(np.abs(values) + np.nextafter(0.5, 0)), values)


def _shift(shift: Array, real: ArrayLike) -> Array:
    if shift.min() < 2 or shift.max() > 62:
        raise Unsupported(f"the scale factor {np.max(real)} is beyond what fixed-point rescaling expresses")
    return shift.astype(np.int8)


def rescale(
    builder: TosaBuilder,
    value: SSAValue,
    scale: Scale,
    element_type: Attribute,
    input_zero_point: int = 0,
    output_zero_point: int = 0,
) -> SSAValue:
    """(value - input_zero_point) * scale + output_zero_point, saturated to `element_type`."""
    return builder.add(
        tosa.RescaleOp(
            value,
            builder.constant(scale.multiplier),
            builder.constant(scale.shift),
            builder.zero_point(input_zero_point, element_of(value)),
            builder.zero_point(output_zero_point, element_type),
            element_type=element_type,
            scale32=not scale.wide,
            rounding_mode=scale.rounding,
            per_channel=scale.multiplier.size > 1,
            input_unsigned=False,
            output_unsigned=False,
        )
    )


def requantize(
    builder: TosaBuilder, accumulator: SSAValue, real: ArrayLike, element_type: Attribute, zero_point: int
) -> SSAValue:
    """A 32- or 48-bit accumulator times the real factor(s), as TFLite's kernels round, in `element_type`."""
    wide = element_of(accumulator) == I48
    if wide and element_type != i16:
        raise Unsupported(f"48-bit accumulators are rescaled to i16, not to {element_type}")
    scale = Scale.tflite16(real) if wide else Scale.tflite(real)
    return rescale(builder, accumulator, scale, element_type, output_zero_point=zero_point)


def cast(builder: TosaBuilder, value: SSAValue, element_type: Attribute) -> SSAValue:
    """`value` in another element type; itself where it has that type already."""
    return value if element_of(value) == element_type else builder.add(tosa.CastOp(value, element_type))


def centered(builder: TosaBuilder, value: SSAValue, zero_point: int) -> SSAValue:
    """value - zero_point in i32."""
    wide = cast(builder, value, i32)
    return wide if zero_point == 0 else builder.add(tosa.SubOp(wide, builder.splat(zero_point, like=wide)))
