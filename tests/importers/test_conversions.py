"""CAST, QUANTIZE, DEQUANTIZE and DENSIFY against LiteRT's reference kernels, bit for bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from .tflite_builder import ModelBuilder, assert_same, single_operator

TYPES = [np.float32, np.int32, np.int16, np.int8, np.uint8, np.bool_]


@pytest.mark.parametrize(("source", "target"), [pair for pair in itertools.product(TYPES, TYPES) if pair[0] != pair[1]])
def test_cast(source: type, target: type) -> None:
    if source == np.float32 and target == np.uint8:
        pytest.skip("reported as unsupported")
    values = np.array([0, 1, -1, 2.5, -2.5, 100.9, -100.9, 127, 200], np.float32)
    values = values[(values >= 0) | (source not in (np.uint8, np.bool_))]
    if source == np.float32:
        values = values[np.abs(values) < 128]
    options = schema.CastOptionsT()
    assert_same(
        *single_operator(
            "CAST", [values.astype(np.int64).astype(source) if source != np.float32 else values], target, options
        )
    )


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(2**-10, 8, width=32),
    zero_point=st.integers(-128, 127),
    dtype=st.sampled_from([np.int8, np.uint8, np.int16]),
)
def test_quantize(scale: float, zero_point: int, dtype: type) -> None:
    """All halves between quantised values and their neighbours: where an inexact division would show."""
    halves = np.arange(-300, 300, dtype=np.float32) + np.float32(0.5)
    values = halves * np.float32(scale)
    for _ in range(3):
        values = np.concatenate(
            [values, np.nextafter(values, np.float32(np.inf)), np.nextafter(values, -np.float32(np.inf))]
        )
    quantization = {"scale": scale, "zero_point": 0 if dtype == np.int16 else zero_point + 128 * (dtype == np.uint8)}
    assert_same(*single_operator("QUANTIZE", [values], (dtype, quantization), schema.QuantizeOptionsT()))


@settings(max_examples=40, deadline=None)
@given(
    scales=st.tuples(st.floats(0.01, 2), st.floats(0.01, 2)),
    zero_points=st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    dtypes=st.sampled_from([(np.int8, np.int8), (np.int8, np.uint8), (np.uint8, np.int8), (np.int16, np.int8)]),
)
def test_requantize(scales: tuple[float, float], zero_points: tuple[int, int], dtypes: tuple[type, type]) -> None:
    source, target = dtypes
    quantizations = [
        {"scale": scale, "zero_point": 0 if dtype == np.int16 else zero_point + 128 * (dtype == np.uint8)}
        for scale, zero_point, dtype in zip(scales, zero_points, dtypes, strict=True)
    ]
    info = np.iinfo(source)
    values = np.arange(info.min, info.max + 1).astype(source)
    assert_same(
        *single_operator(
            "QUANTIZE", [(values, quantizations[0])], (target, quantizations[1]), schema.QuantizeOptionsT()
        )
    )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_dequantize(dtype: type) -> None:
    values = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    quantization = {"scale": 0.0123, "zero_point": 0 if dtype == np.int16 else 5}
    assert_same(*single_operator("DEQUANTIZE", [(values, quantization)], np.float32, schema.DequantizeOptionsT()))


def test_dequantize_per_channel() -> None:
    """LiteRT accepts this of constants."""
    weights = np.arange(-12, 12, dtype=np.int8).reshape(4, 6)
    model = ModelBuilder()
    x = model.tensor(np.float32, [4, 6])
    constant = model.constant(weights, np.int8, scale=[0.1, 0.2, 0.3, 0.4], axis=0)
    floats, y = model.tensor(np.float32, [4, 6]), model.tensor(np.float32, [4, 6])
    model.operator("DEQUANTIZE", [constant], [floats], schema.DequantizeOptionsT(), version=5)
    model.operator("ADD", [x, floats], [y], schema.AddOptionsT())
    assert_same(model.build([x], [y]), [np.ones((4, 6), np.float32)])


def test_dequantize_half() -> None:
    weights = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float16)
    model = ModelBuilder()
    x, constant = model.tensor(np.float32, [4, 6]), model.constant(weights, np.float16)
    floats, y = model.tensor(np.float32, [4, 6]), model.tensor(np.float32, [4, 6])
    model.operator("DEQUANTIZE", [constant], [floats], schema.DequantizeOptionsT(), version=3)
    model.operator("ADD", [x, floats], [y], schema.AddOptionsT())
    assert_same(model.build([x], [y]), [np.ones((4, 6), np.float32)])
