"""Conversions against numpy, and against the rules that numpy leaves open."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from .kernels import apply

_FLOATS = np.array(
    [0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 2147483647.0, 4294967296.0, -3e9, 1e30, math.inf, -math.inf, math.nan],
    np.float32,
)


@pytest.mark.parametrize(
    ("mode", "rounding"), [("rni", np.rint), ("rzi", np.trunc), ("rmi", np.floor), ("rpi", np.ceil)]
)
def test_integers_of_floats_are_the_nearest_there_are(mode: str, rounding: np.ufunc) -> None:
    limits = np.iinfo(np.int32)
    whole = np.nan_to_num(rounding(_FLOATS.astype(np.float64)), nan=0.0, posinf=1e300, neginf=-1e300)
    expected = [min(max(int(value), limits.min), limits.max) for value in whole]
    got = apply(f"cvt.{mode}.s32.f32", ["f32"], "s32", [_FLOATS])
    assert got.view(np.int32).tolist() == expected


def test_integers_are_extended_by_their_kind_and_cut_short() -> None:
    values = np.array([-1, -128, 127, 128, 300, -32769], np.int32)
    got = apply("cvt.s64.s32", ["s32"], "s64", [values]).view(np.int64)
    assert got.tolist() == values.tolist()
    got = apply("cvt.u64.u32", ["u32"], "u64", [values.view(np.uint32)])
    assert got.tolist() == [int(value) & 0xFFFFFFFF for value in values]
    got = apply("cvt.s32.s8", ["b32"], "s32", [values.view(np.uint32)]).view(np.int32)
    assert got.tolist() == values.astype(np.int8).tolist()
    got = apply("cvt.sat.s8.s32", ["s32"], "s32", [values]).view(np.int32)
    assert got.tolist() == np.clip(values, -128, 127).tolist()


def test_halves_and_bfloats() -> None:
    values = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    values[:4] = [1 + 2**-8, 1 + 3 * 2**-8, 3.3e38, math.nan]  # ties of bfloat16, and what rounds up to infinity there
    half = apply("cvt.rn.f16.f32", ["f32"], "b16", [values]).view(np.float16)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(half, values.astype(np.float16))
    back = apply("cvt.f32.f16", ["b16"], "f32", [half]).view(np.float32)
    np.testing.assert_array_equal(back, half.astype(np.float32))
    brain = apply("cvt.rn.bf16.f32", ["f32"], "b16", [values]).view(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(brain.astype(np.float32), values.astype(ml_dtypes.bfloat16).astype(np.float32))


def test_tf32_has_ten_bits_of_fraction() -> None:
    values = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    ties = [1 + 2**-11, -1 - 2**-11, 1 + 2**-11 - 2**-23]
    values[:7] = [*ties, 3.4028235e38, math.inf, -math.inf, math.nan]
    got = apply("cvt.rna.tf32.f32", ["f32"], "b32", [values]).view(np.float32)
    # Ties are rounded away from zero: half an ulp more of the magnitude, cut off.
    mantissa, exponent = np.frexp(np.abs(values[7:]).astype(np.float64))
    expected = np.ldexp(np.floor(mantissa * 2**11 + 0.5), exponent - 11) * np.sign(values[7:])
    np.testing.assert_array_equal(got[7:], expected)
    assert got[:3].tolist() == [1 + 2**-10, -1 - 2**-10, 1]
    np.testing.assert_array_equal(got[3:7], [math.inf, math.inf, -math.inf, math.nan])


def test_pairs_of_halves_are_packed_the_first_above_the_second() -> None:
    upper, lower = np.random.default_rng(0).standard_normal((2, 100)).astype(np.float32)
    for type, dtype in (("f16x2", np.float16), ("bf16x2", ml_dtypes.bfloat16)):
        got = apply(f"cvt.rn.{type}.f32", ["f32", "f32"], "b32", [upper, lower]).view(dtype).reshape(-1, 2)
        np.testing.assert_array_equal(got[:, 1].astype(np.float32), upper.astype(dtype).astype(np.float32))
        np.testing.assert_array_equal(got[:, 0].astype(np.float32), lower.astype(dtype).astype(np.float32))
