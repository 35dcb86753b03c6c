"""Requantisation to bytes by f32 equals integer arithmetic: at ties and next to them, at the limits and far outside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.target import resolve_target

from .regions import check, elementwise

LANES = 640


def to_bytes(zero_point: int, low: int, high: int) -> str:
    return f"""
    %r = "tosa.apply_scale"(%a0, %a1, %a2)
      <{{rounding_mode = #tosa.rounding_mode<DOUBLE_ROUND>, high_half}}> : (i32, i32, i8) -> i32
    %zero_point = arith.constant {zero_point} : i32
    %sum = arith.addi %r, %zero_point : i32
    %low = arith.constant {low} : i32
    %above = arith.maxsi %sum, %low : i32
    %high = arith.constant {high} : i32
    %between = arith.minsi %above, %high : i32
    %byte = arith.trunci %between : i32 to i8
    linalg.yield %byte : i8"""


@pytest.mark.parametrize(("low", "high"), [(-128, 127), (-100, 20), (3, 90)])
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_bytes(low: int, high: int, data: st.DataObject) -> None:
    zero_point = data.draw(st.integers(-128, 127))
    lanes = data.draw(st.sampled_from([LANES, LANES - 3]))
    region = elementwise(
        [f"{lanes}xi32", f"{lanes}xi32", f"{lanes}xi8"], [f"{lanes}xi8"], ["d0"] * 4, to_bytes(zero_point, low, high), 1
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    shift = rng.integers(32, 63, lanes)
    multiplier = rng.integers(0, 1 << 31, lanes)
    multiplier[multiplier == 0] = 1
    # Products about the boundaries of one and of two roundings, within the bytes and just outside of them.
    rounded = ((2 * rng.integers(-270, 270, lanes) + 1) << (shift - 1)) + rng.choice([-(1 << 30), 0, 1 << 30], lanes)
    value = rounded // multiplier + rng.integers(-2, 3, lanes)
    value[::4] = rng.integers(-(1 << 31), 1 << 31, len(value[::4]))
    value[1::8] = rng.integers(-5, 5, len(value[1::8]))
    # Powers of two meet the boundaries exactly.
    multiplier[2::4] = 1 << rng.integers(20, 31, len(value[2::4]))
    value[2::4] = rounded[2::4] // multiplier[2::4]
    multiplier[3::16] = 0
    value = np.clip(value, -(1 << 31), (1 << 31) - 1)
    check(region, [value.astype(np.int32), multiplier.astype(np.int32), shift.astype(np.int8)])


def test_only_what_becomes_bytes_is_computed_in_floats() -> None:
    types = ["64xi32", "64xi32", "64xi8"]
    target = resolve_target("x86-64-v4")
    narrow = compile_region(elementwise(types, ["64xi8"], ["d0"] * 4, to_bytes(5, -128, 127), 1), target, "kernel")
    wide = compile_region(elementwise(types, ["64xi8"], ["d0"] * 4, to_bytes(5, -300, 127), 1), target, "kernel")
    assert "fmuladd" in narrow.text
    assert "fmuladd" not in wide.text
