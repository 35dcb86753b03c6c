"""Convolutions on the emulated GPU against windows cut out by numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.tiled import Conv2DOp
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, f32, i8, i16
from xdsl.ir import SSAValue

from ..codegen.harness import Array
from ..codegen.roots import assert_products_close, make_region, pack_right, random_array, tensor_type
from ..codegen.test_convolution import EXAMPLES, Geometry, geometries
from .harness import CAPABILITIES, Emulated, assert_nothing_spills, gpu

TYPES = [
    (np.float32, np.float32, np.float32),
    (np.float32, np.float16, np.float32),
    (np.float32, np.int8, np.float32),
    (np.float16, np.float16, np.float32),
    (ml_dtypes.bfloat16, ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    (np.int8, np.int8, np.int32),
    (np.int16, np.int8, np.int64),
]
TILES = [(16, 16), (16, 32), (32, 32), (64, 32), (32, 64), (64, 64)]


def make_convolution(
    types: Sequence[Any],
    geometry: Geometry,
    n: int,
    tile: tuple[int, int],
    pad_value: int,
    seed: int = 0,
    depth: int = 1,
) -> tuple[RegionOp, Array, Array, Array, Array]:
    """(region, image, filter in tiles, what is in the result before, filter [K, N])"""
    rng = np.random.default_rng(seed)
    image = random_array(rng, types[0], geometry.image)
    weights = random_array(rng, types[1], (*geometry.kernel, geometry.image[3], n)).reshape(-1, n)
    packed = pack_right(weights, tile[1], depth)
    result = np.full((geometry.image[0], *geometry.output, n), 77, types[2])
    element: Any = {np.dtype(np.int8): i8, np.dtype(np.int16): i16}.get(np.dtype(types[0]))
    value = IntegerAttr(pad_value, element) if element else FloatAttr(pad_value, f32)

    def convolution(arguments: Sequence[SSAValue]) -> Conv2DOp:
        return Conv2DOp(
            arguments[0],
            arguments[1],
            tensor_type(result),
            kernel=geometry.kernel,
            strides=geometry.strides,
            dilations=geometry.dilations,
            pad=geometry.pad,
            rows=tile[0],
            pad_value=value if pad_value else None,
        )

    return make_region([image, packed], result, convolution)[0], image, packed, result, weights


def check_convolution(
    capability: str,
    types: Sequence[Any],
    geometry: Geometry,
    n: int,
    tile: tuple[int, int],
    pad_value: int,
    blocks: int,
    seed: int,
    depth: int = 1,
) -> None:
    region, image, packed, result, weights = make_convolution(types, geometry, n, tile, pad_value, seed, depth)
    (actual,) = Emulated(region, gpu(capability)).run([image, packed], [result], blocks=blocks)
    rows = geometry.windows(image, pad_value).reshape(-1, weights.shape[0])
    assert_products_close(actual.reshape(-1, n), rows, weights)


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("capability", ["sm_75", "sm_80"])
@EXAMPLES
@given(
    geometry=geometries(st.sampled_from([1, 2, 3, 4, 8, 16, 20]), largest=7),
    n=st.integers(1, 40),
    tile=st.sampled_from(TILES),
    pad_value=st.sampled_from([0, -128, 5]),
    blocks=st.integers(0, 2),
    seed=st.integers(0, 100),
)
def test_convolution(capability: str, types: Sequence[Any], **case: Any) -> None:
    check_convolution(capability, types, **case)


@pytest.mark.parametrize("types", [TYPES[3], TYPES[4], TYPES[5]], ids=str)
@EXAMPLES
@given(
    geometry=geometries(st.sampled_from([1, 3, 8, 16, 32, 40]), largest=7),
    n=st.integers(1, 70),
    tile=st.sampled_from([(16, 32), (32, 32), (64, 32), (32, 64)]),
    blocks=st.integers(0, 2),
    seed=st.integers(0, 100),
    padded=st.booleans(),
)
def test_convolution_on_tensor_cores(types: Sequence[Any], padded: bool, **case: Any) -> None:
    """Windows of images as the left side of `mma.sync`; padding with another number than zero only for integers."""
    size = np.dtype(types[0]).itemsize
    pad_value = -5 if padded and size == 1 else 0
    check_convolution("sm_80", types, pad_value=pad_value, depth=64 // size, **case)


def test_more_steps_than_stages_and_whole_tiles() -> None:
    geometry = Geometry((1, 8, 8, 16), (3, 3), pad=(1, 1, 1, 1))
    for tile in ((32, 32), (64, 64)):
        check_convolution("sm_80", TYPES[0], geometry, 64, tile, pad_value=0, blocks=1, seed=0)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("tile", [(128, 128), (128, 64), (64, 64), (32, 32), (16, 32), (16, 16)], ids=str)
@pytest.mark.parametrize(
    "geometry",
    [Geometry((1, 28, 28, 128), (3, 3), pad=(1, 1, 1, 1)), Geometry((1, 56, 56, 3), (3, 3), strides=(2, 2))],
    ids=str,
)
def test_layers_of_models_spill_nothing(capability: str, tile: tuple[int, int], geometry: Geometry) -> None:
    region, *_ = make_convolution(TYPES[0], geometry, 128, tile, 0)
    assert_nothing_spills(Emulated(region, gpu(capability)))
