"""Depthwise convolutions executed on every target against their meaning, all buffers between guard pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.codegen.depthwise import emit_depthwise
from tosaic.lowering.dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from tosaic.lowering.target import Target
from xdsl.ir import SSAValue

from .harness import targets
from .roots import assert_products_close, emit_region, filled, padded, random_array
from .test_convolution import EXAMPLES, Geometry, geometries

TYPES = [
    (np.float32, np.float32, np.float32),
    (np.float32, np.int8, np.float32),
    (np.float16, np.float16, np.float32),
    (np.int8, np.int8, np.int32),
    (np.int16, np.int8, np.int64),
]


def check_depthwise(
    target: Target, types: Sequence[Any], geometry: Geometry, multiplier: int, pad_value: int, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = random_array(rng, types[0], geometry.image)
    channels = geometry.image[3]
    weights = random_array(rng, types[1], (*geometry.kernel, channels, multiplier))
    result = np.full((geometry.image[0], *geometry.output, channels, multiplier), 77, types[2])

    def depthwise(arguments: Sequence[SSAValue]) -> DepthwiseConv2DNhwcHwcmOp:
        image_value, filter_value = arguments
        return DepthwiseConv2DNhwcHwcmOp(
            padded(image_value, geometry.pad, pad_value),
            filter_value,
            filled(result, 0),
            strides=geometry.strides,
            dilations=geometry.dilations,
        )

    root = emit_region(emit_depthwise, target, [image, weights], result, depthwise)
    # Each channel is a product of its windows [pixels, taps] with its filter [taps, multiplier].
    rows = np.moveaxis(geometry.windows(image, pad_value), -1, 0).reshape(channels, -1, weights[..., 0, 0].size)
    filters = np.moveaxis(weights, 2, 0).reshape(channels, -1, multiplier)
    for at_end in (True, False):
        actual = root.run(image, weights, threads=threads, at_end=at_end)
        assert_products_close(np.moveaxis(actual, 3, 0).reshape(channels, -1, multiplier), rows, filters)


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    geometry=geometries(st.sampled_from([1, 2, 3, 8, 17, 40, 64])),
    multiplier=st.sampled_from([1, 1, 2, 3, 8]),
    pad_value=st.sampled_from([0, -128, 5]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_depthwise(target: Target, types: Sequence[Any], **case: Any) -> None:
    check_depthwise(target, types, **case)


MODELS = Geometry((1, 14, 14, 96), (3, 3), pad=(1, 1, 1, 1))


@pytest.mark.parametrize(
    "geometry",
    [
        MODELS,
        replace(MODELS, strides=(2, 2), pad=(0, 1, 0, 1)),
        replace(MODELS, image=(1, 7, 7, 960)),
        replace(MODELS, image=(2, 46, 46, 144)),  # too large to be read from a cache for every block of channels
        replace(MODELS, kernel=(5, 5), pad=(2, 2, 2, 2)),
        Geometry((1, 3, 60, 16), (1, 40)),
        Geometry((1, 3, 60, 16), (1, 40), pad=(0, 0, 3, 2)),
        Geometry((1, 9, 40, 16), (3, 31), pad=(1, 1, 15, 15)),
    ],
    ids=str,
)
@pytest.mark.parametrize("types", [TYPES[0], TYPES[3]], ids=str)
@pytest.mark.parametrize("pad_value", [0, -128, 5])
def test_depthwise_of_models(types: Sequence[Any], geometry: Geometry, pad_value: int) -> None:
    check_depthwise(targets()[0], types, geometry, multiplier=1, pad_value=pad_value, threads=2, seed=0)


@pytest.mark.parametrize("geometry", [MODELS, replace(MODELS, kernel=(5, 5), pad=(2, 2, 2, 2))], ids=str)
def test_bytes_without_permutes_across_a_register(geometry: Geometry) -> None:
    target = targets()[0]
    if not target.has("avx512vbmi"):
        pytest.skip("this processor's own code is without them")
    features = tuple(feature for feature in target.features if feature != "avx512vbmi")
    target = replace(target, features=features)
    check_depthwise(target, TYPES[3], geometry, multiplier=1, pad_value=5, threads=2, seed=0)
