"""TFLite's and gemmlowp's fixed-point functions in numpy, from which tables of 256 entries are computed.

All integers are int64 arrays that hold 32-bit values; `q` below is the number of integer bits of a 32-bit fixed-point
number, so that one is 2^(31 - q). The formulas are those of gemmlowp's `fixedpoint/fixedpoint.h` and of TFLite's
`kernels/internal/common.h`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..quantization import round_half_away
from .model import Tensor

Array = np.ndarray[Any, Any]

INT32_MAX = (1 << 31) - 1
INT8_VALUES = np.arange(-128, 128, dtype=np.int64)
"""All values of an int8 tensor in the order of `tosa.table`."""


def doubling_high_multiply(a: Array, b: Array | int, bits: int = 32) -> Array:
    """SaturatingRoundingDoublingHighMul: a * b * 2^(1 - bits), halves up."""
    half = 1 << (bits - 2)
    return np.minimum((np.asarray(a, np.int64) * b + half) >> (bits - 1), (1 << (bits - 1)) - 1)


def rounding_divide(a: Array, exponent: Array | int) -> Array:
    """RoundingDivideByPOT: a * 2^-exponent, halves away from zero."""
    half = (np.int64(1) << exponent) >> 1
    return (a + half - ((a < 0) & (half > 0))) >> exponent


def saturating_left_shift(a: Array, exponent: int, bits: int = 32) -> Array:
    """a * 2^exponent, saturated to `bits`."""
    limit = 1 << (bits - 1)
    return np.clip(a << exponent, -limit, limit - 1)


def exp_on_negative_values(a: Array, q: int) -> Array:
    """exp(a) for a <= 0 with q <= 5 integer bits; the result has none."""
    quarter = 1 << (31 - q - 2)
    remainder_of_quarter = (a & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_zero(saturating_left_shift(remainder_of_quarter, q))
    steps = remainder_of_quarter - a
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for power, factor in zip(range(-2, q), factors, strict=False):
        taken = steps & (1 << (31 - q + power))
        result = np.where(taken != 0, doubling_high_multiply(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def _exp_between_minus_quarter_and_zero(a: Array) -> Array:
    """A Taylor expansion around -1/8; operand and result have no integer bits."""
    exp_of_minus_eighth, third = 1895147668, 715827883
    x = a + (1 << 28)
    x2 = doubling_high_multiply(x, x)
    x3 = doubling_high_multiply(x2, x)
    x4 = doubling_high_multiply(x2, x2)
    high_terms = rounding_divide(doubling_high_multiply(rounding_divide(x4, 2) + x3, third) + x2, 1)
    return exp_of_minus_eighth + doubling_high_multiply(x + high_terms, exp_of_minus_eighth)


def inverse_square_root(values: Array) -> tuple[Array, Array]:
    """GetInvSqrtQuantizedMultiplierExp: mantissa and exponent with 1/sqrt(v) ~ mantissa * 2^(exponent - 31)."""
    pairs = [_inverse_square_root(int(value)) for value in values]
    return np.array([mantissa for mantissa, _ in pairs]), np.array([exponent for _, exponent in pairs])


def _inverse_square_root(value: int) -> tuple[int, int]:
    if value <= 1:
        return INT32_MAX, 0
    shift = 11
    while value >= 1 << 29:
        value //= 4
        shift += 1
    pairs = (31 - value.bit_length()) // 2 - 1
    shift -= pairs
    value <<= 2 * pairs

    def multiply(a: int, b: int) -> int:
        return int(doubling_high_multiply(np.array(a), b))

    # Newton's iteration x += x * (1 - v * x^2) / 2 with three integer bits, from x = 1.
    three_halves = (1 << 28) + (1 << 27)
    half_value = int(rounding_divide(np.array(value >> 1), 1))
    x = 1 << 28
    for _ in range(5):
        cube = int(saturating_left_shift(np.array(multiply(multiply(x, x), x)), 6))
        x = int(saturating_left_shift(np.array(multiply(three_halves, x) - multiply(half_value, cube)), 3))
    half_square_root_of_two = 1518500250
    x = multiply(x, half_square_root_of_two)
    return (x << -shift, 0) if shift < 0 else (x, -shift)


def quantized_table(function: Callable[[Array], Array], input: Tensor, output: Tensor) -> Array:
    """The 256 int8 results of a float32 `function` on a quantised tensor, rounded as TFLite's LUTPopulate does."""
    real = np.float32(input.scale) * (INT8_VALUES - input.zero_point).astype(np.float32)
    with np.errstate(all="ignore"):
        scaled = function(real) * (np.float32(1) / np.float32(output.scale))
    return np.clip(np.nan_to_num(_round(scaled) + output.zero_point), -128, 127).astype(np.int8)


def interpolated_table(function: Callable[[Array], Array], input_scale: float, output_scale: float) -> Array:
    """The 513 int16 entries of a float32 `function`, biased for linear interpolation as TFLite's LUTPopulate does.

    16-bit tensors have no zero points.
    """
    low, high = _int16_range(input_scale)
    output_low, output_high = _int16_range(output_scale)
    step = (high - low) / np.float32(512)
    inverse_scale = np.float32(65536) / (output_high - output_low)
    positions = np.arange(513, dtype=np.float32)

    def scaled(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(x) * inverse_scale

    samples = scaled(low + positions * step)
    middles = scaled(low + positions[:-1] * step + step / np.float32(2))
    interpolated = _round((samples[1:] + _round(samples[:-1])) / np.float32(2))
    bias = _round((interpolated - _round(middles)) / np.float32(2))
    entries = np.append(_round(samples[:-1]) - bias, _round(scaled(np.array([high]))))
    return np.clip(np.nan_to_num(entries), -32768, 32767).astype(np.int16)


def _int16_range(scale: float) -> tuple[np.float32, np.float32]:
    """The real numbers that -32768 and 32767 stand for, in float32."""
    return np.float32(scale) * np.float32(-32768), np.float32(scale) * np.float32(32767)


def libm(function: Callable[[Array], Array], x: Array) -> Array:
    """A function of C's float32 library, which rounds nearly always to the nearest float32, as float64 rounded does."""
    return function(x.astype(np.float64)).astype(np.float32)


def _round(values: Array) -> Array:
    """C's round() of float32 values, in double so that 0.49999997 does not become 1."""
    return round_half_away(values.astype(np.float64)).astype(np.float32)
