from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tosaic.lowering.tosa_to_linalg.pooling import reciprocal_scale
from tosaic.tosa import dialect as tosa
from xdsl.dialects.builtin import f32, i32

from .equivalence import check_exact, check_sum, floats, integers, names, seeds, shape, zero_point


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[int], dict[str, Any]]:
    """Extents of the image and attributes of a pooling whose strides divide as TOSA demands."""
    kernel = [draw(st.integers(1, 4)) for _ in range(2)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    pad = [draw(st.integers(0, kernel[axis // 2] - 1)) for axis in range(4)]
    extents = [
        kernel[axis] + draw(st.integers(0, 3)) * stride[axis] - pad[2 * axis] - pad[2 * axis + 1] for axis in (0, 1)
    ]
    assume(min(extents) >= 1)
    return extents, {"kernel": kernel, "stride": stride, "pad": pad}


@settings(max_examples=25, deadline=None)
@given(pools(), seeds)
def test_maximum(pool: tuple[list[int], dict[str, Any]], seed: int) -> None:
    extents, window = pool
    check_exact([floats(seed, 2, *extents, 3)], lambda x: tosa.MaxPool2DOp(x, **window))
    check_exact([integers(seed, np.int8, 2, *extents, 3)], lambda x: tosa.MaxPool2DOp(x, **window))


@pytest.mark.parametrize("mode", ["PROPAGATE", "IGNORE"])
def test_maximum_of_nan(mode: str) -> None:
    image = floats(1, 1, 6, 6, 2)
    image[0, 2, 3, 1] = np.nan
    window = {"kernel": [2, 2], "stride": [1, 1], "pad": [0] * 4}
    check_exact([image], lambda x: tosa.MaxPool2DOp(x, **window, nan_mode=mode))


@settings(max_examples=25, deadline=None)
@given(pools(), st.integers(-128, 127), st.integers(-128, 127), seeds)
def test_average_of_integers(pool: tuple[list[int], dict[str, Any]], input_zp: int, output_zp: int, seed: int) -> None:
    extents, window = pool
    operands = [integers(seed, np.int8, 2, *extents, 3), zero_point(input_zp, np.int8), zero_point(output_zp, np.int8)]
    check_exact(operands, lambda *values: tosa.AvgPool2DOp(*values, **window, acc_type=i32))


@settings(max_examples=25, deadline=None)
@given(pools(), seeds)
def test_average_of_floats(pool: tuple[list[int], dict[str, Any]], seed: int) -> None:
    """The division rounds once more than the sum."""
    extents, window = pool
    operands = [floats(seed, 2, *extents, 3), zero_point(0, np.float32), zero_point(0, np.float32)]
    terms = int(np.prod(window["kernel"])) + 1
    check_sum(operands, lambda *values: tosa.AvgPool2DOp(*values, **window, acc_type=f32), terms)


def test_average_of_half_precision() -> None:
    operands = [floats(2, 1, 8, 8, 3, dtype=np.float16), zero_point(0, np.float16), zero_point(0, np.float16)]
    window = {"kernel": [8, 8], "stride": [1, 1], "pad": [0] * 4}
    check_sum(operands, lambda *values: tosa.AvgPool2DOp(*values, **window, acc_type=f32), 65)


def test_without_padding_the_number_of_elements_is_a_scalar() -> None:
    operands = [integers(3, np.int8, 1, 8, 8, 3), zero_point(0, np.int8), zero_point(0, np.int8)]
    window = {"kernel": [8, 8], "stride": [1, 1], "pad": [0] * 4}
    after = check_exact(operands, lambda *values: tosa.AvgPool2DOp(*values, **window, acc_type=i32))
    (generic,) = (op for op in after.walk() if op.name == "linalg.generic")
    assert len(generic.operands) == 2
    assert "tensor.pad" not in names(after)


def test_a_slice_that_only_trims_for_the_stride_is_not_needed() -> None:
    operands = [integers(4, np.int8, 1, 8, 8, 3), shape(0, 0, 0, 0), shape(1, 7, 7, 3)]
    window = {"kernel": [3, 3], "stride": [2, 2], "pad": [0] * 4}
    after = check_exact(operands, lambda *values: tosa.MaxPool2DOp(tosa.SliceOp(*values), **window))
    assert "tensor.extract_slice" not in names(after)


@pytest.mark.parametrize("count", [1, 2, 3, 9, 49, 64, 196, 4097])
def test_reciprocal_divides_exactly_where_it_can(count: int) -> None:
    """Section 1.8 of the specification: the multiplier has 31 bits, and multiples of `count` divide without error."""
    multiplier, shift = reciprocal_scale(count)
    assert 1 << 30 <= multiplier < 1 << 31
    quotients = np.arange(-200, 200)
    scaled = (quotients * count * multiplier + (1 << (shift - 1))) >> shift
    np.testing.assert_array_equal(scaled, quotients)
