from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tosaic.tosa import dialect as tosa

from .equivalence import check_exact, check_sum, floats, integers, seeds, shape


@st.composite
def resizes(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], list[int]]:
    """Extents, scale, offset and border for which the extents of the result are whole."""
    extents, scale, offset, border = [], [], [], []
    for _ in range(2):
        extent, numerator = draw(st.integers(1, 5)), draw(st.integers(1, 6))
        denominator, shift = draw(st.integers(1, 4)), draw(st.integers(-3, 3))
        span = (extent - 1) * numerator - shift
        extents.append(extent)
        scale += [numerator, denominator]
        offset.append(shift)
        border.append(-span % denominator + (denominator if span < 0 else 0))
        assume((extent - 1) * numerator - shift + border[-1] >= 0)
    return extents, scale, offset, border


@settings(max_examples=30, deadline=None)
@given(resizes(), st.sampled_from(["NEAREST_NEIGHBOR", "BILINEAR"]), seeds)
def test_integers(resize: tuple[list[int], list[int], list[int], list[int]], mode: str, seed: int) -> None:
    extents, scale, offset, border = resize
    for dtype in (np.int8, np.int16):
        image = integers(seed, dtype, 2, *extents, 3)
        check_exact([image, shape(*scale), shape(*offset), shape(*border)], lambda *v: tosa.ResizeOp(*v, mode))


@settings(max_examples=25, deadline=None)
@given(resizes(), seeds)
def test_floats(resize: tuple[list[int], list[int], list[int], list[int]], seed: int) -> None:
    """Four products of a pixel and two weights, each of which is rounded: seven roundings at most on a path."""
    extents, scale, offset, border = resize
    operands = [floats(seed, 2, *extents, 3), shape(*scale), shape(*offset), shape(*border)]
    check_exact(operands, lambda *values: tosa.ResizeOp(*values, "NEAREST_NEIGHBOR"))
    check_sum(operands, lambda *values: tosa.ResizeOp(*values, "BILINEAR"), 7)


@pytest.mark.parametrize("dtype", [np.float16])
def test_half_precision(dtype: type) -> None:
    operands = [floats(1, 1, 4, 4, 3, dtype=dtype), shape(16, 2, 16, 2), shape(-7, -7), shape(7, 7)]
    check_sum(operands, lambda *values: tosa.ResizeOp(*values, "BILINEAR"), 7)
