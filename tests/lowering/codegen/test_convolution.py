"""`tiled.conv_2d` executed on every target against windows cut out by numpy, all buffers between guard pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen.convolution import emit_convolution
from tosaic.lowering.dialects.tiled import Conv2DOp
from tosaic.lowering.target import Target
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, f32, i8
from xdsl.ir import SSAValue

from .harness import Array, targets
from .roots import assert_products_close, emit_region, pack_right, random_array, tensor_type
from .test_contraction import TYPES, Types

EXAMPLES = settings(max_examples=6, deadline=None, database=None, derandomize=True)


@dataclass(frozen=True)
class Geometry:
    """An image and how a window slides over it; `pad` is (top, bottom, left, right)."""

    image: tuple[int, int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def output(self) -> tuple[int, int]:
        """Output height and width; not positive where the window does not fit."""
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        sizes = [self.image[1] + self.pad[0] + self.pad[1], self.image[2] + self.pad[2] + self.pad[3]]
        height, width = ((size - span) // s + 1 for size, span, s in zip(sizes, spans, self.strides, strict=True))
        return height, width

    def windows(self, image: Array, pad_value: float) -> Array:
        """[n, oh, ow, kh, kw, c]: the pixels under every tap."""
        top, bottom, left, right = self.pad
        padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=pad_value)
        (oh, ow), (sh, sw), (dh, dw) = self.output, self.strides, self.dilations
        taps = [
            [
                padded[:, y * dh : y * dh + (oh - 1) * sh + 1 : sh, x * dw : x * dw + (ow - 1) * sw + 1 : sw]
                for x in range(self.kernel[1])
            ]
            for y in range(self.kernel[0])
        ]
        return np.moveaxis(np.array(taps), (0, 1), (3, 4))


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


def geometries(channels: st.SearchStrategy[int], largest: int = 12) -> st.SearchStrategy[Geometry]:
    """Geometries with at least one output pixel."""
    size = st.integers(1, largest)
    return st.builds(
        Geometry,
        image=st.tuples(st.integers(1, 2), size, size, channels),
        kernel=pairs(1, 4),
        strides=pairs(1, 3),
        dilations=pairs(1, 2),
        pad=st.tuples(*[st.integers(0, 3)] * 4),
    ).filter(lambda geometry: min(geometry.output) > 0)


def check_convolution(
    target: Target, types: Types, geometry: Geometry, n: int, m0: int, n0: int, pad_value: int, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = random_array(rng, types.left, geometry.image)
    weights = random_array(rng, types.right, (*geometry.kernel, geometry.image[3], n))
    packed = pack_right(weights.reshape(-1, n), n0, types.k0)
    result = np.full((geometry.image[0], *geometry.output, n), 77, types.result)
    attribute: Any = IntegerAttr(pad_value, i8) if np.dtype(types.left).kind == "i" else FloatAttr(pad_value, f32)

    def convolution(arguments: Sequence[SSAValue]) -> Conv2DOp:
        image_value, filter_value = arguments
        return Conv2DOp(
            image_value,
            filter_value,
            tensor_type(result),
            kernel=geometry.kernel,
            strides=geometry.strides,
            dilations=geometry.dilations,
            pad=geometry.pad,
            rows=m0,
            pad_value=attribute if pad_value else None,
            lhs_offset=types.offset,
        )

    root = emit_region(emit_convolution, target, [image, packed], result, convolution)
    rows = geometry.windows(image, pad_value).reshape(-1, weights[..., 0].size)
    for at_end in (True, False):
        actual = root.run(image, packed, threads=threads, at_end=at_end)
        assert_products_close(actual.reshape(-1, n), rows, weights.reshape(-1, n), types.offset)


@pytest.mark.parametrize("types", [TYPES[0], TYPES[1], TYPES[4], TYPES[7], TYPES[8]], ids=str)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    geometry=geometries(st.sampled_from([1, 2, 3, 5, 8, 17, 40])),
    n=st.integers(1, 40),
    m0=st.integers(1, 14),
    n0=st.sampled_from([8, 16, 32]),
    pad_value=st.sampled_from([0, -128, 5]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_convolution(target: Target, types: Types, **case: Any) -> None:
    check_convolution(target, types, **case)


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((1, 14, 14, 64), (1, 1)),
        Geometry((2, 7, 5, 33), (1, 1)),
        Geometry((1, 28, 28, 16), (1, 1), strides=(2, 2)),
        Geometry((1, 33, 33, 3), (3, 3), strides=(2, 2), pad=(0, 1, 0, 1)),
        Geometry((2, 57, 57, 3), (7, 7), strides=(2, 2), pad=(3, 2, 3, 2)),
        Geometry((2, 28, 30, 4), (3, 2), strides=(1, 2), pad=(2, 0, 0, 1)),
        Geometry((1, 14, 14, 40), (3, 3), pad=(1, 1, 1, 1)),
        Geometry((1, 20, 20, 512), (1, 1)),
    ],
    ids=str,
)
@pytest.mark.parametrize("types", [TYPES[0], TYPES[7]], ids=str)
def test_convolution_of_models(types: Types, geometry: Geometry) -> None:
    check_convolution(targets()[0], types, geometry, n=72, m0=14, n0=32, pad_value=0, threads=2, seed=0)
