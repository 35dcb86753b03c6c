"""Poolings executed on every target against numpy, all buffers between guard pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.codegen.pooling import emit_pooling
from tosaic.lowering.dialects.linalg import PoolingNhwcMaxOp, PoolingNhwcSumOp
from tosaic.lowering.target import Target
from xdsl.ir import SSAValue

from .harness import Array, targets
from .roots import emit_region, filled, padded, random_array, values
from .test_convolution import EXAMPLES, Geometry, geometries

LEAST = {"f": -np.inf, "i": -128}


def pool(
    kind: type[PoolingNhwcMaxOp | PoolingNhwcSumOp],
    target: Target,
    image: Array,
    geometry: Geometry,
    pad_value: float,
    result: Array,
    **run: Any,
) -> Array:
    def pooling(arguments: Sequence[SSAValue]) -> PoolingNhwcMaxOp | PoolingNhwcSumOp:
        (window,) = values(np.zeros(geometry.kernel, result.dtype))
        start = pad_value if kind is PoolingNhwcMaxOp else 0
        source = padded(arguments[0], geometry.pad, pad_value)
        return kind(source, window, filled(result, start), strides=geometry.strides, dilations=geometry.dilations)

    return emit_region(emit_pooling, target, [image], result, pooling).run(image, **run)


CASES = given(
    geometry=geometries(st.sampled_from([1, 2, 3, 8, 17, 40, 64, 130])),
    threads=st.integers(1, 3),
    at_end=st.booleans(),
    seed=st.integers(0, 100),
)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int16], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@CASES
def test_max(target: Target, dtype: Any, geometry: Geometry, seed: int, **run: Any) -> None:
    rng = np.random.default_rng(seed)
    image = random_array(rng, dtype, geometry.image)
    if image.dtype.kind == "f":
        image[rng.random(image.shape) < 0.05] = np.nan
    least = LEAST[image.dtype.kind]
    result = np.full((geometry.image[0], *geometry.output, geometry.image[3]), 77, dtype)
    actual = pool(PoolingNhwcMaxOp, target, image, geometry, least, result, **run)
    expected = np.max(geometry.windows(image, least), axis=(3, 4))
    np.testing.assert_array_equal(actual, np.maximum(expected, np.asarray(least, dtype)))


@pytest.mark.parametrize("types", [(np.float32, np.float32), (np.float16, np.float32), (np.int8, np.int32)], ids=str)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@CASES
def test_sum(target: Target, types: Sequence[Any], geometry: Geometry, seed: int, **run: Any) -> None:
    image = random_array(np.random.default_rng(seed), types[0], geometry.image)
    pad_value = 5 if image.dtype.kind == "i" else 0
    result = np.full((geometry.image[0], *geometry.output, geometry.image[3]), 77, types[1])
    actual = pool(PoolingNhwcSumOp, target, image, geometry, pad_value, result, **run)
    windows = geometry.windows(image, pad_value).astype(np.float64)
    bound = windows[0, 0, 0, ..., 0].size * np.finfo(np.float32).eps * np.abs(windows).sum((3, 4))
    error = np.abs(actual - windows.sum((3, 4)))
    assert np.all(error <= (0 if image.dtype.kind == "i" else bound))
