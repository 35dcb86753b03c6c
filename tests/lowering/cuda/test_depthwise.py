"""Depthwise convolutions on the emulated GPU against windows cut out by numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.codegen.cuda import depthwise
from tosaic.lowering.codegen.cuda.strip import Strip, fitting_strips
from tosaic.lowering.codegen.window import Window
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from xdsl.ir import SSAValue

from ..codegen.harness import Array
from ..codegen.roots import assert_products_close, filled, make_region, padded, random_array
from ..codegen.test_convolution import EXAMPLES, Geometry, geometries
from .harness import CAPABILITIES, Emulated, assert_nothing_spills, gpu

TYPES = [
    (np.float32, np.float32, np.float32),
    (np.float32, np.int8, np.float32),
    (np.float16, np.float16, np.float32),
    (ml_dtypes.bfloat16, ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    (np.int8, np.int8, np.int32),
    (np.int16, np.int8, np.int64),
]


def make_depthwise(
    types: Sequence[Any], geometry: Geometry, multiplier: int, pad_value: int, seed: int = 0
) -> tuple[RegionOp, Array, Array, Array]:
    """(region, image, filter, what is in the result before)"""
    rng = np.random.default_rng(seed)
    image = random_array(rng, types[0], geometry.image)
    weights = random_array(rng, types[1], (*geometry.kernel, geometry.image[3], multiplier))
    result = np.full((geometry.image[0], *geometry.output, geometry.image[3], multiplier), 77, types[2])

    def depthwise(arguments: Sequence[SSAValue]) -> DepthwiseConv2DNhwcHwcmOp:
        image_value, filter_value = arguments
        return DepthwiseConv2DNhwcHwcmOp(
            padded(image_value, geometry.pad, pad_value),
            filter_value,
            filled(result, 0),
            strides=geometry.strides,
            dilations=geometry.dilations,
        )

    return make_region([image, weights], result, depthwise)[0], image, weights, result


def check_depthwise(
    types: Sequence[Any], geometry: Geometry, multiplier: int, pad_value: int, blocks: int, seed: int
) -> None:
    region, image, weights, result = make_depthwise(types, geometry, multiplier, pad_value, seed)
    (actual,) = Emulated(region, gpu()).run([image, weights], [result], blocks=blocks)
    # Each channel is a product of its windows [pixels, taps] with its filter [taps, multiplier].
    channels = geometry.image[3]
    rows = np.moveaxis(geometry.windows(image, pad_value), -1, 0).reshape(channels, -1, weights[..., 0, 0].size)
    filters = np.moveaxis(weights, 2, 0).reshape(channels, -1, multiplier)
    assert_products_close(np.moveaxis(actual, 3, 0).reshape(channels, -1, multiplier), rows, filters)


@pytest.mark.parametrize("types", TYPES, ids=str)
@EXAMPLES
@given(
    geometry=geometries(st.sampled_from([1, 2, 3, 8, 17, 40, 64]), largest=9),
    multiplier=st.sampled_from([1, 1, 1, 2, 3, 8]),
    pad_value=st.sampled_from([0, -128, 5]),
    blocks=st.integers(0, 2),
    seed=st.integers(0, 100),
)
def test_depthwise(types: Sequence[Any], **case: Any) -> None:
    check_depthwise(types, **case)


MODELS = Geometry((1, 14, 14, 96), (3, 3), pad=(1, 1, 1, 1))


@EXAMPLES
@given(data=st.data(), types=st.sampled_from(TYPES), channels=st.sampled_from([4, 8, 16, 48]), seed=st.integers(0, 9))
def test_strips_of_every_shape(data: st.DataObject, types: Sequence[Any], channels: int, seed: int) -> None:
    geometry = data.draw(geometries(st.just(channels), largest=9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depthwise, "choose_strip", lambda *given, dots: data.draw(st.sampled_from(strips_of(*given))))
        check_depthwise(types, geometry, multiplier=1, pad_value=5, blocks=0, seed=seed)


@pytest.mark.parametrize("strip", [Strip(4), Strip(4, 3, 2), Strip(8, 2, 4), Strip(16, 2, 1)], ids=str)
@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((1, 6, 7, 16), (3, 3), pad=(1, 1, 1, 1)),
        Geometry((2, 9, 8, 16), (3, 3), strides=(2, 2), pad=(0, 1, 0, 1)),
        Geometry((1, 7, 7, 16), (5, 5), pad=(2, 2, 2, 2)),
        Geometry((1, 9, 9, 16), (2, 3), strides=(1, 2), dilations=(3, 2)),
    ],
    ids=str,
)
def test_bytes_of_four_rows_are_multiplied_at_once(strip: Strip, geometry: Geometry) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depthwise, "choose_strip", lambda *_, dots: strip)
        region, *_ = make_depthwise(TYPES[4], geometry, multiplier=1, pad_value=-7)
        assert b"dp4a.s32.s32" in bytes(Emulated(region, gpu()).image.code)
        check_depthwise(TYPES[4], geometry, multiplier=1, pad_value=-7, blocks=0, seed=0)


def strips_of(images: int, window: Window, channels: int, run: int, element: str, sums: str) -> list[Strip]:
    return list(fitting_strips(window, run, element, sums))


LAYERS = [
    (1, MODELS),
    (1, replace(MODELS, image=(1, 112, 112, 32))),
    (1, replace(MODELS, strides=(2, 2), pad=(0, 1, 0, 1))),
    (1, replace(MODELS, image=(32, 56, 56, 144))),
    (1, replace(MODELS, image=(1, 7, 7, 960))),
    (1, replace(MODELS, kernel=(5, 5), pad=(2, 2, 2, 2))),
    (1, Geometry((1, 9, 40, 16), (3, 31), pad=(1, 1, 15, 15))),
    (8, Geometry((1, 28, 28, 3), (3, 3))),
]


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("types", [TYPES[0], TYPES[3], TYPES[4]], ids=str)
@pytest.mark.parametrize(("multiplier", "geometry"), LAYERS, ids=str)
def test_layers_of_models_spill_nothing(
    capability: str, types: Sequence[Any], multiplier: int, geometry: Geometry
) -> None:
    region, *_ = make_depthwise(types, geometry, multiplier, 0)
    assert_nothing_spills(Emulated(region, gpu(capability)))
