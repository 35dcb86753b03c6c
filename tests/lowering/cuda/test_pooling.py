"""Poolings on the emulated GPU against numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.linalg import PoolingNhwcMaxOp, PoolingNhwcSumOp
from xdsl.ir import SSAValue

from ..codegen.harness import Array
from ..codegen.roots import filled, make_region, padded, random_array, values
from ..codegen.test_convolution import EXAMPLES, Geometry, geometries
from .harness import CAPABILITIES, Emulated, assert_nothing_spills, gpu

LEAST = {"f": -np.inf, "i": -128}


def make_pooling(
    kind: type[PoolingNhwcMaxOp | PoolingNhwcSumOp], image: Array, geometry: Geometry, pad_value: float, result: Array
) -> RegionOp:
    def pooling(arguments: Sequence[SSAValue]) -> PoolingNhwcMaxOp | PoolingNhwcSumOp:
        (window,) = values(np.zeros(geometry.kernel, result.dtype))
        start = pad_value if kind is PoolingNhwcMaxOp else 0
        source = padded(arguments[0], geometry.pad, pad_value)
        return kind(source, window, filled(result, start), strides=geometry.strides, dilations=geometry.dilations)

    return make_region([image], result, pooling)[0]


CASES = given(
    geometry=geometries(st.sampled_from([1, 2, 3, 8, 17, 40, 64, 130]), largest=9),
    blocks=st.integers(0, 2),
    seed=st.integers(0, 100),
)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int16], ids=lambda dtype: dtype.__name__)
@EXAMPLES
@CASES
def test_max(dtype: Any, geometry: Geometry, blocks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = random_array(rng, dtype, geometry.image)
    if image.dtype.kind == "f":
        image[rng.random(image.shape) < 0.05] = np.nan
    least = LEAST[image.dtype.kind]
    result = np.full((geometry.image[0], *geometry.output, geometry.image[3]), 77, dtype)
    region = make_pooling(PoolingNhwcMaxOp, image, geometry, least, result)
    (actual,) = Emulated(region, gpu()).run([image], [result], blocks=blocks)
    expected = np.max(geometry.windows(image, least), axis=(3, 4))
    np.testing.assert_array_equal(actual, np.maximum(expected, np.asarray(least, dtype)))


@pytest.mark.parametrize("types", [(np.float32, np.float32), (np.float16, np.float32), (np.int8, np.int32)], ids=str)
@EXAMPLES
@CASES
def test_sum(types: Sequence[Any], geometry: Geometry, blocks: int, seed: int) -> None:
    check_sum(types, geometry, blocks, seed)


@pytest.mark.parametrize("size", [7, 12])
def test_sum_of_a_whole_image(size: int) -> None:
    check_sum((np.float32, np.float32), Geometry((2, size, size, 24), (size, size)), blocks=0, seed=0)


def check_sum(types: Sequence[Any], geometry: Geometry, blocks: int, seed: int) -> None:
    image = random_array(np.random.default_rng(seed), types[0], geometry.image)
    pad_value = 5 if image.dtype.kind == "i" else 0
    result = np.full((geometry.image[0], *geometry.output, geometry.image[3]), 77, types[1])
    region = make_pooling(PoolingNhwcSumOp, image, geometry, pad_value, result)
    (actual,) = Emulated(region, gpu()).run([image], [result], blocks=blocks)
    windows = geometry.windows(image, pad_value).astype(np.float64)
    bound = windows[0, 0, 0, ..., 0].size * np.finfo(np.float32).eps * np.abs(windows).sum((3, 4))
    error = np.abs(actual - windows.sum((3, 4)))
    assert np.all(error <= (0 if image.dtype.kind == "i" else bound))


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("kind", [PoolingNhwcMaxOp, PoolingNhwcSumOp])
@pytest.mark.parametrize(
    "geometry",
    [Geometry((1, 112, 112, 64), (3, 3), strides=(2, 2), pad=(0, 1, 0, 1)), Geometry((1, 7, 7, 1280), (7, 7))],
    ids=str,
)
def test_layers_of_models_spill_nothing(
    capability: str, kind: type[PoolingNhwcMaxOp | PoolingNhwcSumOp], geometry: Geometry
) -> None:
    image = np.zeros(geometry.image, np.float32)
    result = np.zeros((1, *geometry.output, geometry.image[3]), np.float32)
    region = make_pooling(kind, image, geometry, LEAST["f"] if kind is PoolingNhwcMaxOp else 0, result)
    assert_nothing_spills(Emulated(region, gpu(capability)))
