"""Winograd's convolution: exact maps, kernels on every target beside float64, errors beside those of direct sums."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen import convolution
from tosaic.lowering.codegen.window import Window
from tosaic.lowering.codegen.winograd_plan import WinogradPlan, winograd_plan
from tosaic.lowering.codegen.winograd_transform import TAPS, Transforms
from tosaic.lowering.dialects.tiled import Conv2DOp
from tosaic.lowering.target import Target
from xdsl.dialects.builtin import FloatAttr, f32
from xdsl.ir import SSAValue

from .harness import Array, targets
from .roots import Root, emit_region, pack_right, tensor_type
from .test_convolution import Geometry

EPSILON = 2.0**-24
EXAMPLES = settings(max_examples=10, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize("outputs", [2, 4])
def test_transforms_convolve_exactly(outputs: int) -> None:
    transforms = Transforms.of(outputs)
    pixels = [Fraction(3 * i * i - 7, 5) for i in range(transforms.points)]
    taps = [Fraction(2), Fraction(-1, 3), Fraction(5)]

    def apply(matrix: Sequence[Sequence[Fraction]], vector: Sequence[Fraction]) -> list[Fraction]:
        return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]

    products = [a * b for a, b in zip(apply(transforms.image, pixels), apply(transforms.filter, taps), strict=True)]
    expected = [sum(pixels[i + k] * taps[k] for k in range(TAPS)) for i in range(outputs)]
    assert apply(transforms.result, products) == expected


def convolve(geometry: Geometry, image: Array, weights: Array, pad_value: float) -> Array:
    """In the arithmetic of the arrays' type."""
    windows = geometry.windows(image, pad_value)
    return np.einsum("nyxijc,ijcf->nyxf", windows, weights)


def error_bound(plan: WinogradPlan, geometry: Geometry, image: Array, weights: Array, pad_value: float) -> Array:
    """What rounding can amount to at most: the algorithm on absolute values, times the longest chain of roundings."""
    outputs, points = plan.transforms.outputs, plan.transforms.points
    pixel_map, filter_map, result_map = (
        np.abs(np.array(matrix, np.float64))
        for matrix in (plan.transforms.image, plan.transforms.filter, plan.transforms.result)
    )
    (height, width), channels = geometry.output, image.shape[3]
    down, across = -(-height // outputs), -(-width // outputs)
    top, _, left, _ = geometry.pad
    below = down * outputs + TAPS - 1 - image.shape[1] - top
    beside = across * outputs + TAPS - 1 - image.shape[2] - left
    padded = np.pad(
        np.abs(image.astype(np.float64)),
        ((0, 0), (top, max(below, 0)), (left, max(beside, 0)), (0, 0)),
        constant_values=abs(pad_value),
    )
    filters = np.einsum("ai,bj,ijcf->abcf", filter_map, filter_map, np.abs(weights.astype(np.float64)))
    total = np.zeros((image.shape[0], down * outputs, across * outputs, weights.shape[3]))
    for y in range(down):
        for x in range(across):
            patch = padded[:, y * outputs : y * outputs + points, x * outputs : x * outputs + points]
            pixels = np.einsum("ai,bj,nijc->nabc", pixel_map, pixel_map, patch)
            sums = np.einsum("nabc,abcf->nabf", pixels, filters)
            tile = np.einsum("ya,xb,nabf->nyxf", result_map, result_map, sums)
            total[:, y * outputs : (y + 1) * outputs, x * outputs : (x + 1) * outputs] = tile
    chain = plan.channels + channels // plan.channels + 6 * points
    return chain * EPSILON * total[:, :height, :width]


def emit(
    target: Target, geometry: Geometry, packed: Array, n: int, m0: int, pad_value: float, element: Any = np.float32
) -> Root:
    result = np.full((geometry.image[0], *geometry.output, n), 77, np.float32)

    def root(arguments: Sequence[SSAValue]) -> Conv2DOp:
        return Conv2DOp(
            arguments[0],
            arguments[1],
            tensor_type(result),
            kernel=geometry.kernel,
            strides=geometry.strides,
            dilations=geometry.dilations,
            pad=geometry.pad,
            rows=m0,
            pad_value=FloatAttr(pad_value, f32) if pad_value else None,
        )

    return emit_region(convolution.emit_convolution, target, [np.zeros(geometry.image, element), packed], result, root)


@pytest.mark.parametrize("outputs", [2, 4])
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    pad=st.tuples(*[st.integers(0, 3)] * 4),
    images=st.integers(1, 2),
    parts=st.integers(1, 3),
    vectors=st.integers(1, 2),
    n=st.integers(1, 40),
    n0=st.sampled_from([16, 32]),
    m0=st.integers(1, 8),
    in_block=st.integers(1, 3),
    pad_value=st.sampled_from([0.0, -1.5]),
    threads=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_winograd(target: Target, outputs: int, **case: Any) -> None:
    lanes = target.vector_bits // 32
    channels = case["parts"] * case["vectors"] * lanes
    size = [max(extent, TAPS - sum(case["pad"][2 * axis : 2 * axis + 2])) for axis, extent in enumerate(case["size"])]
    geometry = Geometry((case["images"], size[0], size[1], channels), (TAPS, TAPS), pad=case["pad"])
    tiles = case["images"] * int(np.prod([-(-extent // outputs) for extent in geometry.output]))
    rows = case["in_block"] * case["m0"]
    plan = WinogradPlan(Transforms.of(outputs), tiles, rows, case["m0"], channels // case["parts"])
    rng = np.random.default_rng(case["seed"])
    image = rng.normal(size=geometry.image).astype(np.float32)
    weights = rng.normal(size=(TAPS, TAPS, channels, case["n"])).astype(np.float32)
    packed = pack_right(weights.reshape(-1, case["n"]), case["n0"], 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "winograd_plan", lambda *_: plan)
        root = emit(target, geometry, packed, case["n"], case["m0"], case["pad_value"])
    expected = convolve(geometry, image.astype(np.float64), weights.astype(np.float64), case["pad_value"])
    bound = error_bound(plan, geometry, image, weights, case["pad_value"])
    for at_end in (True, False):
        actual = root.run(image, packed, threads=case["threads"], at_end=at_end)
        assert np.all(np.abs(actual - expected) <= bound)


@pytest.mark.parametrize(
    ("size", "channels", "n"), [(16, 16, 16), (14, 32, 32), (16, 64, 32), (12, 96, 48), (12, 128, 32), (8, 256, 64)]
)
@pytest.mark.parametrize("rectified", [False, True])
def test_error_within_twice_that_of_direct_convolution(size: int, channels: int, n: int, rectified: bool) -> None:
    """As chosen for this machine, beside one chain of f32 multiply-adds over all taps and channels."""
    geometry = Geometry((1, size, size, channels), (TAPS, TAPS), pad=(1, 1, 1, 1))
    n0 = 16 if n < 32 else 32
    chosen = winograd_plan(targets()[0], _window(geometry), 1, channels, -(-n // n0), n0, 14)
    rng = np.random.default_rng(channels)
    image = rng.normal(0.2 * rectified, size=geometry.image).astype(np.float32)
    if rectified:
        image = np.maximum(image, 0)
    weights = (rng.normal(size=(TAPS, TAPS, channels, n)) / np.sqrt(9 * channels)).astype(np.float32)
    packed = pack_right(weights.reshape(-1, n), n0, 1)
    actual = emit(targets()[0], geometry, packed, n, 14, 0).run(image, packed)
    exact = convolve(geometry, image.astype(np.float64), weights.astype(np.float64), 0)
    windows = geometry.windows(image, 0).reshape(size * size, -1)
    direct = np.zeros((size * size, n), np.float32)
    for k, row in enumerate(weights.reshape(-1, n)):
        direct = (direct + windows[:, k, None].astype(np.float64) * row).astype(np.float32)
    if targets()[0].vector_bits == 512:
        assert chosen is not None

    def rms(values: Array) -> float:
        return float(np.sqrt(np.mean((values.astype(np.float64) - exact.reshape(-1, n)) ** 2)))

    assert rms(actual.reshape(-1, n)) <= 2 * rms(direct)


@pytest.mark.parametrize(("size", "channels", "n"), [(14, 64, 64), (13, 128, 33), (14, 256, 64)])
@pytest.mark.parametrize("rectified", [False, True])
def test_bf16_error_within_twice_that_of_rounding_the_operands(
    size: int, channels: int, n: int, rectified: bool
) -> None:
    """Transformed pixels and filters are rounded once more than those of a direct convolution."""
    target = targets()[0]
    if not target.bf16:
        pytest.skip("no vdpbf16ps")
    geometry = Geometry((1, size, size, channels), (TAPS, TAPS), pad=(1, 1, 1, 1))
    rng = np.random.default_rng(channels)
    image = rng.normal(0.2 * rectified, size=geometry.image)
    if rectified:
        image = np.maximum(image, 0)
    weights = rng.normal(size=(TAPS, TAPS, channels, n)) / np.sqrt(9 * channels)
    exact = convolve(geometry, image, weights, 0)
    pixels, taps = image.astype(ml_dtypes.bfloat16), weights.astype(ml_dtypes.bfloat16)
    packed = pack_right(taps.reshape(-1, n), 32, 2)
    assert winograd_plan(target, _window(geometry), 1, channels, -(-n // 32), 32, 14, 2) is not None
    actual = emit(target, geometry, packed, n, 14, 0, pixels.dtype).run(pixels, packed)
    direct = convolve(geometry, pixels.astype(np.float64), taps.astype(np.float64), 0)

    def rms(values: Array) -> float:
        return float(np.sqrt(np.mean((values - exact) ** 2)))

    assert rms(actual) <= 2 * rms(direct)


def _window(geometry: Geometry) -> Window:
    top, _, left, _ = geometry.pad
    image = geometry.image[1], geometry.image[2]
    return Window(image, geometry.output, geometry.kernel, geometry.strides, geometry.dilations, (top, left))


@pytest.mark.parametrize(
    ("geometry", "n", "outputs"),
    [
        (Geometry((1, 56, 56, 64), (3, 3), pad=(1, 1, 1, 1)), 64, 4),
        (Geometry((1, 14, 14, 256), (3, 3), pad=(1, 1, 1, 1)), 256, 4),
        (Geometry((1, 64, 64, 32), (3, 3), pad=(1, 1, 1, 1)), 32, 2),
        (Geometry((1, 56, 56, 64), (3, 3), strides=(2, 2), pad=(0, 1, 0, 1)), 64, None),
        (Geometry((1, 56, 56, 64), (3, 3), dilations=(2, 2), pad=(2, 2, 2, 2)), 64, None),
        (Geometry((1, 56, 56, 64), (5, 5), pad=(2, 2, 2, 2)), 64, None),
        (Geometry((1, 56, 56, 24), (3, 3), pad=(1, 1, 1, 1)), 32, None),
        (Geometry((1, 128, 128, 3), (3, 3), pad=(1, 1, 1, 1)), 32, None),
    ],
    ids=str,
)
def test_choice(geometry: Geometry, n: int, outputs: int | None) -> None:
    target = next((target for target in targets() if target.vector_bits == 512), None)
    if target is None:
        pytest.skip("no AVX-512")
    plan = winograd_plan(target, _window(geometry), geometry.image[0], geometry.image[3], n // 32, 32, 14)
    assert (plan.transforms.outputs if plan else None) == outputs
