"""Convolutions to one channel against windows cut out by numpy: pixels that share a register and pixels of several."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering import compile as compile_module
from tosaic.runtime import load
from tosaic.tosa.text import parse

from .harness import targets
from .test_contraction import TYPES
from .test_convolution import EXAMPLES, Geometry, check_convolution

F32 = next(types for types in TYPES if types.left == types.right == types.result == np.float32)


def geometries() -> st.SearchStrategy[Geometry]:
    """Wide enough for groups of 16 pixels that lie within the image, or for none."""
    size = st.integers(1, 45)
    small = st.integers(1, 3)
    return st.builds(
        Geometry,
        image=st.tuples(st.integers(1, 2), st.integers(1, 9), size, st.sampled_from([1, 2, 4, 8, 16, 48])),
        kernel=st.tuples(small, small),
        dilations=st.tuples(small, small),
        pad=st.tuples(*[st.integers(0, 3)] * 4),
    ).filter(lambda geometry: min(geometry.output) > 0)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(geometry=geometries(), n0=st.sampled_from([16, 32]), threads=st.integers(1, 3), seed=st.integers(0, 100))
def test_one_channel(target: Any, **case: Any) -> None:
    check_convolution(target, F32, n=1, m0=8, pad_value=0, **case)


@pytest.mark.parametrize("channels", [8, 32])
def test_what_follows_reads_runs_of_pixels(channels: int) -> None:
    """A mask that differs by pixel is added and the logistic function taken, in the same dispatch."""
    rng = np.random.default_rng(channels)
    image, filter = (rng.normal(size=shape).astype(np.float32) for shape in [(1, 5, 37, channels), (1, 3, 3, channels)])
    mask = rng.normal(size=(1, 5, 37, 1)).astype(np.float32)
    image_type, mask_type = f"tensor<1x5x37x{channels}xf32>", "tensor<1x5x37x1xf32>"
    constant = ", ".join(repr(float(value)) for value in filter.ravel())
    list_type = f"tensor<{filter.size}xf32>"
    text = f"""
func.func @main(%image: {image_type}, %mask: {mask_type}) -> {mask_type} {{
  %list = "tosa.const"() <{{values = dense<[{constant}]> : {list_type}}}> : () -> {list_type}
  %shape = tosa.const_shape {{values = dense<[1, 3, 3, {channels}]> : tensor<4xindex>}} : () -> !tosa.shape<4>
  %filter = tosa.reshape %list, %shape : ({list_type}, !tosa.shape<4>) -> tensor<1x3x3x{channels}xf32>
  %bias = "tosa.const"() <{{values = dense<0.5> : tensor<1xf32>}}> : () -> tensor<1xf32>
  %zero = "tosa.const"() <{{values = dense<0.0> : tensor<1xf32>}}> : () -> tensor<1xf32>
  %sums = tosa.conv2d %image, %filter, %bias, %zero, %zero {{acc_type = f32, dilation = array<i64: 1, 1>,
    pad = array<i64: 1, 1, 1, 1>, stride = array<i64: 1, 1>}} : ({image_type}, tensor<1x3x3x{channels}xf32>,
    tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> {mask_type}
  %total = tosa.add %sums, %mask : ({mask_type}, {mask_type}) -> {mask_type}
  %result = tosa.sigmoid %total : ({mask_type}) -> {mask_type}
  return %result : {mask_type}
}}"""
    program = load(compile_module(parse(text), devices=["cpu:2"]))
    (actual,) = program.run([image, mask])
    padded = np.pad(image.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    sums = np.einsum("nyxchw,ohwc->nyxo", windows, filter.astype(np.float64)) + 0.5 + mask
    # The slope of the logistic function is at most 1/4; a sum of k products is wrong by k eps times their magnitudes.
    magnitudes = np.einsum("nyxchw,ohwc->nyxo", np.abs(windows), np.abs(filter.astype(np.float64)))
    bound = (9 * channels * magnitudes / 4 + 2) * np.finfo(np.float32).eps
    assert np.all(np.abs(actual - 1 / (1 + np.exp(-sums))) <= bound)
