"""Scalar functions that numpy lacks, on whole arrays."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def erf(values: Array) -> Array:
    """The error function, in f64 through the C library and rounded once."""
    return np.asarray(_erf(values.astype(np.float64)), dtype=np.float64).astype(values.dtype)


def erfc(values: Array) -> Array:
    """1 - erf, as `erf`."""
    return np.asarray(_erfc(values.astype(np.float64)), dtype=np.float64).astype(values.dtype)


def is_normal(values: Array) -> Array:
    """Whether floats are neither zero, subnormal, infinite nor not a number."""
    exponent = {"float16": -14, "float64": -1022}.get(values.dtype.name, -126)  # f32 and bf16 alike
    return np.isfinite(values) & (np.abs(values.astype(np.float64)) >= 2.0**exponent)


def leading_zeros(values: Array, width: int) -> Array:
    """Leading zero bits of unsigned values of `width` bits; `width` for 0."""
    # frexp of a positive integer gives the position of its top bit; halves of 32 bits are exact in f64.
    _, low = np.frexp((values & values.dtype.type(min(2**32 - 1, 2**width - 1))).astype(np.float64))
    if width <= 32:
        return (width - low).astype(values.dtype)
    high = values >> values.dtype.type(32)
    _, top = np.frexp(high.astype(np.float64))
    return (width - np.where(high != 0, top + 32, low)).astype(values.dtype)


def trailing_zeros(values: Array, width: int) -> Array:
    """Trailing zero bits of unsigned values of `width` bits; `width` for 0."""
    one = values.dtype.type(1)
    lowest = values & (~values + one)
    return np.where(values == 0, values.dtype.type(width), population(np.where(values == 0, values, lowest - one)))


def population(values: Array) -> Array:
    """The number of bits that are set, of unsigned values."""
    return np.bitwise_count(values).astype(values.dtype)


def truncating_divide(dividend: Array, divisor: Array) -> Array:
    """Integer division rounding towards zero; zero where the divisor is zero."""
    quotient = np.floor_divide(dividend, divisor)
    inexact = quotient * divisor != dividend
    return quotient + (inexact & (quotient < 0)).astype(quotient.dtype)


def remainder(dividend: Array, divisor: Array) -> Array:
    """What truncating division leaves; the dividend where the divisor is zero."""
    return dividend - truncating_divide(dividend, divisor) * divisor


def floor_divide(dividend: Array, divisor: Array) -> Array:
    """Truncating division, less one where the rest has the other sign than the divisor."""
    quotient = truncating_divide(dividend, divisor)
    inexact = quotient * divisor != dividend
    return quotient - (inexact & ((dividend < 0) != (divisor < 0))).astype(quotient.dtype)


def ceiling_divide(dividend: Array, divisor: Array) -> Array:
    """Truncating division, plus one where the rest has the sign of the divisor."""
    quotient = truncating_divide(dividend, divisor)
    inexact = quotient * divisor != dividend
    return quotient + (inexact & ((dividend < 0) == (divisor < 0))).astype(quotient.dtype)


def ceiling_divide_unsigned(dividend: Array, divisor: Array) -> Array:
    """Division of unsigned integers rounding up; zero where the divisor is zero."""
    quotient = np.floor_divide(dividend, divisor)
    return quotient + ((quotient * divisor != dividend) & (divisor != 0)).astype(quotient.dtype)


def power(base: Array, exponent: Array) -> Array:
    """Integer powers, wrapping. A negative exponent gives 1 / base**-exponent rounded towards zero; 0 for base 0."""
    one = np.ones_like(base)
    result, factor, remaining = one, base, np.abs(exponent)
    while np.any(remaining > 0):
        result = np.where(remaining & 1, result * factor, result)
        factor, remaining = factor * factor, remaining >> 1
    inverse = np.where(base == 1, one, np.where(base == -1, np.where(exponent & 1, -one, one), 0 * one))
    return np.where(exponent < 0, inverse, result)


def round_half_away(values: Array) -> Array:
    """To the nearest integer, halves away from zero."""
    return np.trunc(values + np.copysign(np.nextafter(values.dtype.type(0.5), values.dtype.type(0)), values))


def fused_multiply_add(a: Array, b: Array, c: Array) -> Array:
    """a * b + c rounded once, as far as f64 can tell (its own are rounded twice)."""
    exact = np.promote_types(a.dtype, np.float64)
    return (a.astype(exact) * b.astype(exact) + c.astype(exact)).astype(a.dtype)


def apply_scale_32(values: Array, multiplier: Array, shift: Array, double_round: bool) -> Array:
    """TOSA 1.0: round(values * multiplier / 2**shift) for i32 values, 2 <= shift <= 62; int64 in and out.

    `double_round` adds or subtracts 2**30 by the sign of the value where shift > 31: the two roundings of gemmlowp.
    """
    values, multiplier, shift = (operand.astype(np.int64) for operand in (values, multiplier, shift))
    rounding = np.int64(1) << (shift - 1)
    if double_round:
        half = np.int64(1 << 30)
        rounding = rounding + np.where(shift > 31, np.where(values >= 0, half, -half), 0)
    return (values * multiplier + rounding) >> shift
