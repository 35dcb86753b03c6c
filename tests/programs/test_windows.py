"""The programs of windows.mlir agree with numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from .programs import Array, assert_equal, call, integers


def windows(image: Array, kernel: Sequence[int], axes: Sequence[int], strides: Sequence[int] | None = None) -> Array:
    """The dimensions of `image`, those of `axes` counting windows, and then the dimensions of a window."""
    view = sliding_window_view(image, tuple(kernel), tuple(axes))
    steps = [slice(None)] * image.ndim
    for axis, stride in zip(axes, strides or [1] * len(axes), strict=True):
        steps[axis] = slice(None, None, stride)
    return view[tuple(steps)]


def test_nhwc() -> None:
    x, w, init = integers(2, 9, 8, 3), integers(3, 2, 3, 5, seed=1), integers(2, 4, 7, 5, seed=2)
    expected = init + np.einsum("nhwcyx,yxcf->nhwf", windows(x, (3, 2), (1, 2), (2, 1)), w)
    assert_equal(call("windows", "nhwc_hwcf", x, w, init), [expected])
    assert_equal(call("windows", "nhwc_fhwc", x, w.transpose(3, 0, 1, 2), init), [expected])
    first = [array.transpose(0, 3, 1, 2) for array in (x, init, expected)]
    assert_equal(call("windows", "nchw_fchw", first[0], w.transpose(3, 2, 0, 1), first[1]), [first[2]])


def test_plain() -> None:
    x, w, init = integers(9, 8), integers(3, 2, seed=1), integers(7, 7, seed=2)
    assert_equal(
        call("windows", "plain_2d", x, w, init), [init + np.einsum("hwyx,yx->hw", windows(x, (3, 2), (0, 1)), w)]
    )
    x, w, init = integers(20), integers(5, seed=1), integers(16, seed=2)
    assert_equal(call("windows", "plain_1d", x, w, init), [init + windows(x, (5,), (0,)) @ w])


@pytest.mark.parametrize(
    ("image", "kernel"), [((1, 1), (1, 1)), ((5, 7), (5, 7)), ((5, 7), (1, 1)), ((33, 65), (3, 2)), ((2, 40), (1, 9))]
)
def test_dynamic_2d(image: tuple[int, int], kernel: tuple[int, int]) -> None:
    patches = windows(integers(*image), kernel, (0, 1))
    w, init = integers(*kernel, seed=1), integers(*patches.shape[:2], seed=2)
    expected = init + np.einsum("hwyx,yx->hw", patches, w)
    assert_equal(call("windows", "dynamic_2d", integers(*image), w, init), [expected])


def test_nwc() -> None:
    x, w, init = integers(2, 9, 3), integers(3, 3, 5, seed=1), integers(2, 3, 5, seed=2)
    patches = windows(x, (5,), (1,), (2,))[..., ::2]
    assert_equal(call("windows", "nwc_wcf", x, w, init), [init + np.einsum("nwcx,xcf->nwf", patches, w)])


def test_three_dimensions() -> None:
    x, w, init = integers(1, 5, 6, 4, 2), integers(2, 3, 2, 2, 3, seed=1), integers(1, 4, 4, 3, 3, seed=2)
    patches = windows(x, (2, 3, 2), (1, 2, 3))
    assert_equal(call("windows", "ndhwc", x, w, init), [init + np.einsum("ndhwczyx,zyxcf->ndhwf", patches, w)])


def test_depthwise() -> None:
    x, w, init = integers(2, 9, 8, 3), integers(3, 2, 3, seed=1), integers(2, 7, 7, 3, seed=2)
    expected = init + np.einsum("nhwcyx,yxc->nhwc", windows(x, (3, 2), (1, 2)), w)
    assert_equal(call("windows", "depthwise", x, w, init), [expected])
    first = [array.transpose(0, 3, 1, 2) for array in (x, init, expected)]
    assert_equal(call("windows", "depthwise_nchw", first[0], w.transpose(2, 0, 1), first[1]), [first[2]])


def test_grouped() -> None:
    x, w, init = integers(1, 2, 3, 6, 5), integers(2, 4, 3, 3, 2, seed=1), integers(1, 2, 4, 4, 4, seed=2)
    patches = windows(x, (3, 2), (3, 4))
    assert_equal(call("windows", "grouped", x, w, init), [init + np.einsum("ngchwyx,gfcyx->ngfhw", patches, w)])


def test_quantized() -> None:
    x, w = integers(1, 6, 6, 3, dtype=np.int8), integers(3, 3, 3, 4, dtype=np.int8, seed=1)
    init = integers(1, 4, 4, 4, dtype=np.int32, seed=2)
    patches = windows(x.astype(np.int32) - 5, (3, 3), (1, 2))
    expected = init + np.einsum("nhwcyx,yxcf->nhwf", patches, w.astype(np.int32) + 2)
    assert_equal(call("windows", "quantized", x, w, np.int32(5), np.int32(-2), init), [expected])


@pytest.mark.parametrize(
    ("n", "h", "w", "c", "f", "y", "x"), [(1, 1, 1, 1, 1, 1, 1), (2, 9, 8, 3, 5, 3, 2), (0, 4, 4, 2, 3, 1, 1)]
)
def test_generic(n: int, h: int, w: int, c: int, f: int, y: int, x: int) -> None:
    image, filter = integers(n, h, w, c), integers(y, x, c, f, seed=1)
    init = integers(n, h - y + 1, w - x + 1, f, seed=2)
    expected = init + np.einsum("nhwcyx,yxcf->nhwf", windows(image, (y, x), (1, 2)), filter)
    assert_equal(call("windows", "generic", image, filter, init), [expected])


def test_pooled() -> None:
    x = integers(2, 9, 8, 3)
    patches = windows(x, (3, 2), (1, 2), (2, 1))
    assert_equal(
        call("windows", "pooled", x), [combine(patches, axis=(-2, -1)) for combine in (np.sum, np.max, np.min)]
    )
    x, init = integers(2, 3, 9, 8), integers(2, 3, 7, 7, seed=1)
    patches = windows(x, (3, 2), (2, 3))
    assert_equal(call("windows", "nchw_pooling", x, init), [np.maximum(init, patches.max((-2, -1)))])


@pytest.mark.parametrize(
    ("image", "kernel"), [((1, 1, 1, 1), (1, 1)), ((2, 9, 8, 3), (3, 2)), ((1, 33, 17, 5), (2, 7))]
)
def test_dynamic_pooling(image: tuple[int, ...], kernel: tuple[int, int]) -> None:
    x, window = integers(*image), integers(*kernel)
    patches = windows(x, kernel, (1, 2))
    init = integers(*patches.shape[:4], seed=1)
    expected = [np.maximum(init, patches.max((-2, -1))), init + patches.sum((-2, -1))]
    assert_equal(call("windows", "dynamic_pooling", x, window, init), expected)
