"""Hypothesis strategies for quantised tensors: an array with its scale and zero point as keywords of `ModelBuilder`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.importers.tflite_builder import Array

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(2.0**-9, 2.0**-2, width=32)
int16_scales = st.floats(2.0**-15, 2.0**-12, width=32)
"""Coarser ones make products of two int16 tensors overflow the 32 bits of the kernels."""

Quantized = tuple[Array, dict[str, Any]]


def zero_points(dtype: Any) -> st.SearchStrategy[int]:
    """Any zero point of an 8-bit type; 0 for int16, which TFLite quantises symmetrically."""
    if np.dtype(dtype) == np.int16:
        return st.just(0)
    limits = np.iinfo(dtype)
    return st.integers(limits.min, limits.max)


@st.composite
def quantization(draw: st.DrawFn, dtype: Any = np.int8) -> dict[str, Any]:
    scale = draw(int16_scales if np.dtype(dtype) == np.int16 else scales)
    return {"scale": scale, "zero_point": draw(zero_points(dtype))}


@st.composite
def tensor(draw: st.DrawFn, shape: Sequence[int], dtype: Any = np.int8) -> Quantized:
    """Uniform over all values of `dtype`."""
    limits = np.iinfo(dtype)
    values = np.random.default_rng(draw(seeds)).integers(limits.min, limits.max + 1, shape)
    return values.astype(dtype), draw(quantization(dtype))


@st.composite
def weights(draw: st.DrawFn, shape: Sequence[int], axis: int, per_channel: bool, dtype: Any = np.int8) -> Quantized:
    """Symmetric weights with one scale, or one per channel along `axis`."""
    generator = np.random.default_rng(draw(seeds))
    values = generator.integers(-127, 128, shape).astype(dtype)
    count = shape[axis] if per_channel else 1
    scale = generator.uniform(2.0**-9, 2.0**-6, count).astype(np.float32)
    return values, {"scale": scale, "zero_point": 0, "axis": axis}


@st.composite
def biases(draw: st.DrawFn, input: Quantized, weight: Quantized, channels: int, dtype: Any = np.int32) -> Quantized:
    """A bias on the scale of the products, as converters make it."""
    values = np.random.default_rng(draw(seeds)).integers(-5000, 5001, channels).astype(dtype)
    return values, {"scale": input[1]["scale"] * np.asarray(weight[1]["scale"]), "zero_point": 0}


def output_scale(input: Quantized, weight: Quantized, depth: int) -> float:
    """A scale that spreads the sums of `depth` random products over about the range of 8 bits."""
    deviation = 74.0 * 74.0 * np.sqrt(depth) * input[1]["scale"] * float(np.mean(weight[1]["scale"]))
    return float(np.float32(deviation / 60))
