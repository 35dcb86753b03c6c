"""Scale factors round as TFLite's kernels do; the expected values are those of an independent integer formula."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from tosaic.importers.quantization import Scale, quantize_multiplier
from tosaic.importers.tflite.fixed_point import exp_on_negative_values, inverse_square_root

factors = st.floats(2.0**-20, 4.0)
accumulators = st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=50)


def multiply_by_quantized_multiplier(value: int, real: float) -> int:
    """SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT, in unbounded integers."""
    fraction, exponent = math.frexp(real)
    mantissa = math.floor(fraction * 2**31 + 0.5)
    if mantissa == 2**31:
        mantissa, exponent = 2**30, exponent + 1
    high = ((value << max(exponent, 0)) * mantissa + 2**30) >> 31
    right = max(-exponent, 0)
    magnitude = (abs(high) + ((1 << right) >> 1)) >> right
    return magnitude if high >= 0 else -magnitude


@given(factors, accumulators)
def test_double_rounding_is_tflites(real: float, values: list[int]) -> None:
    expected = [multiply_by_quantized_multiplier(value, real) for value in values]
    assert Scale.tflite(real).apply(values).tolist() == expected


@given(factors, accumulators)
def test_wide_scale_is_tflites(real: float, values: list[int]) -> None:
    mantissa, exponent = (int(part[0]) for part in quantize_multiplier(real))
    reduced = (mantissa + 2**15) >> 16 if mantissa < 0x7FFF0000 else 0x7FFF
    expected = [(value * reduced + (1 << (14 - exponent))) >> (15 - exponent) for value in values]
    assert Scale.tflite16(real).apply(values).tolist() == expected


@given(st.lists(st.floats(2.0**-20, 4.0), min_size=1, max_size=8))
def test_nearest_is_rounded_once_if_a_mantissa_allows_it(reals: list[float]) -> None:
    right = Scale.nearest(reals).rounds_int8_like(np.array(reals))
    for real in np.array(reals)[~right]:
        fraction, exponent = math.frexp(real)
        below = math.floor(fraction * 2**31)
        assert below + 1 < 2**31
        for mantissa in (below, below + 1):
            neighbour = Scale(np.array([mantissa], np.int32), np.array([31 - exponent], np.int8), "SINGLE_ROUND")
            assert not neighbour.rounds_int8_like(np.array([real])).any()


@given(st.floats(2.0**-8, 4.0), st.lists(st.integers(-70000, 70000), min_size=1, max_size=50))
def test_nearest_is_cs_round(real: float, values: list[int]) -> None:
    assume(Scale.nearest(real).rounds_int8_like(np.array([real])).all())
    in_range = [value for value in values if abs(value * real) <= 254]
    expected = [math.copysign(math.floor(abs(Fraction(value * real)) + Fraction(1, 2)), value) for value in in_range]
    assert Scale.nearest(real).apply(in_range).tolist() == expected


@given(st.integers(-10, 1), st.integers(1, 7), st.lists(st.integers(-2000, 2000), min_size=1))
def test_nearest_takes_halves_away_from_zero(exponent: int, odd: int, values: list[int]) -> None:
    real = odd * 2.0**exponent
    in_range = [value for value in values if abs(value * real) <= 254]
    expected = [math.copysign(math.floor(abs(value * real) + 0.5), value) for value in in_range]
    assert Scale.nearest(real).apply(in_range).tolist() == expected


def test_factors_below_any_shift_are_zero() -> None:
    assert Scale.tflite(2.0**-40).apply([2**20, -(2**20)]).tolist() == [0, 0]


@given(st.integers(-(2**31), -1))
def test_fixed_point_exponential(raw: int) -> None:
    """gemmlowp's polynomial is good to 22 bits."""
    real = math.exp(raw * 2.0**-26)
    assert abs(int(exp_on_negative_values(np.array([raw]), 5)[0]) * 2.0**-31 - real) < 2.0**-22


@given(st.integers(2, 255))
def test_fixed_point_inverse_square_root(value: int) -> None:
    """Five steps of Newton's iteration from 1 leave an error of a few millionths."""
    mantissa, exponent = inverse_square_root(np.array([value]))
    assert math.isclose(int(mantissa[0]) * 2.0 ** (int(exponent[0]) - 31), value**-0.5, rel_tol=1e-5)
