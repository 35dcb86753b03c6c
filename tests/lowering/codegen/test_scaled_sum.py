"""Quantised additions in f32 equal integer arithmetic for all pairs of bytes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen.scaled_sum import ScaledSum
from tosaic.lowering.dialects.scalar import ApplyScaleOp

from .regions import check, elementwise

SCALE = "<{rounding_mode = #tosa.rounding_mode<DOUBLE_ROUND>, high_half}> : (i32, i32, i8) -> i32"
PAIRS = 1 << 16


def quantised(scale: float) -> tuple[int, int]:
    """(multiplier, shift) of a scale, as TFLite's importer gives them: the multiplier has 31 bits."""
    fraction, exponent = np.frexp(scale)
    return round(float(fraction) * 2**31), 31 - int(exponent)


def added(scales: tuple[float, float], zero_points: tuple[int, int, int], scale: float, limits: tuple[int, int]) -> str:
    """The body of TFLite's ADD of int8: inputs of `scales` and a result of `scale`."""
    lines = []
    widest = 2 * max(scales)
    for number in range(2):
        multiplier, shift = quantised(scales[number] / widest)
        lines.append(f"""
    %x{number} = arith.extsi %a{number} : i8 to i32
    %z{number} = arith.constant {zero_points[number]} : i32
    %d{number} = arith.subi %x{number}, %z{number} : i32
    %l{number} = arith.constant 20 : i32
    %s{number} = arith.shli %d{number}, %l{number} : i32
    %m{number} = arith.constant {multiplier} : i32
    %r{number} = arith.constant {shift} : i8
    %v{number} = "tosa.apply_scale"(%s{number}, %m{number}, %r{number}) {SCALE}""")
    multiplier, shift = quantised(widest / (2**20 * scale))
    lines.append(f"""
    %total = arith.addi %v0, %v1 : i32
    %m = arith.constant {multiplier} : i32
    %r = arith.constant {shift} : i8
    %scaled = "tosa.apply_scale"(%total, %m, %r) {SCALE}
    %z = arith.constant {zero_points[2]} : i32
    %sum = arith.addi %scaled, %z : i32
    %low = arith.constant {limits[0]} : i32
    %above = arith.maxsi %sum, %low : i32
    %high = arith.constant {limits[1]} : i32
    %between = arith.minsi %above, %high : i32
    %byte = arith.trunci %between : i32 to i8
    linalg.yield %byte : i8""")
    return "".join(lines)


scale = st.floats(1e-4, 1.0)
byte = st.integers(-128, 127)


@given(
    scales=st.tuples(scale, scale),
    zero_points=st.tuples(byte, byte, byte),
    ratio=st.floats(0.3, 4.0),
    limits=st.sampled_from([(-128, 127), (-100, 20), (3, 90)]),
)
@example(scales=(0.02, 0.02), zero_points=(0, 0, 0), ratio=1.0, limits=(-128, 127))  # ties at every second pair
@example(scales=(0.02, 0.0001), zero_points=(-128, 127, 5), ratio=0.3, limits=(-128, 127))
@settings(max_examples=25, deadline=None)
def test_all_pairs_of_bytes(
    scales: tuple[float, float], zero_points: tuple[int, int, int], ratio: float, limits: tuple[int, int]
) -> None:
    body = added(scales, zero_points, ratio * max(scales), limits)
    region = elementwise([f"{PAIRS}xi8", f"{PAIRS}xi8"], [f"{PAIRS}xi8"], ["d0"] * 3, body, 1)
    x, y = (axis.reshape(-1).astype(np.int8) for axis in np.mgrid[-128:128, -128:128])
    check(region, [x, y])


@pytest.mark.parametrize("shared", [0, 1])
def test_a_term_that_all_lanes_share(shared: int) -> None:
    shapes, maps = ["256xi8", "256xi8"], ["d0", "d0", "d0"]
    shapes[shared], maps[shared] = "1xi8", "0"
    region = elementwise(shapes, ["256xi8"], maps, added((0.021, 0.013), (3, -7, 11), 0.025, (-128, 127)), 1)
    arrays = [np.arange(-128, 128, dtype=np.int8), np.arange(-128, 128, dtype=np.int8)]
    arrays[shared] = np.array([-77], np.int8)
    check(region, arrays)


@pytest.mark.parametrize(
    ("scales", "ratio", "in_floats"),
    [
        ((0.021, 0.013), 1.2, True),
        ((0.02, 0.02), 1.0, False),  # halfway between integers at every second pair
        ((0.021, 0.013), 1e-4, False),  # of steps so fine that floats are not exact enough
    ],
)
def test_choice(scales: tuple[float, float], ratio: float, in_floats: bool) -> None:
    body = added(scales, (3, -7, 11), ratio * max(scales), (-128, 127))
    region = elementwise([f"{PAIRS}xi8", f"{PAIRS}xi8"], [f"{PAIRS}xi8"], ["d0"] * 3, body, 1)
    *_, last = (operation for operation in region.walk() if isinstance(operation, ApplyScaleOp))
    assert (ScaledSum.of(last, -128 - 11) is not None) == in_floats
