"""Integer reductions, pooling and softmax: bit for bit LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importers.quantized_data import quantization, scales, seeds, tensor
from tests.importers.tflite_builder import assert_same, run_imported, single_operator

few = settings(max_examples=50, deadline=None)

axes = st.sampled_from([[0], [1, 2], [-1], [3, 0], [0, 1, 2, 3]])
eight_bits = st.sampled_from([np.int8, np.uint8])


@few
@given(st.data(), axes, st.booleans(), st.sampled_from([np.int8, np.uint8, np.int16]))
def test_mean(data: st.DataObject, axis: list[int], keep: bool, dtype: Any) -> None:
    x = data.draw(tensor([2, 5, 7, 3], dtype))
    output = (dtype, data.draw(quantization(dtype)))
    options = schema.ReducerOptionsT(keepDims=keep)
    model, arrays = single_operator("MEAN", [x, np.array(axis, np.int32)], output, options, constants=[1])
    assert_same(model, arrays)


@few
@given(st.data(), axes)
def test_sum(data: st.DataObject, axis: list[int]) -> None:
    """uint8 only: LiteRT's reference reads int8 as uint8 (`QuantizedMeanOrSum` in `kernels/reduce.cc`)."""
    x = data.draw(tensor([2, 5, 7, 3], np.uint8))
    output = (np.uint8, data.draw(quantization(np.uint8)) | {"scale": x[1]["scale"] * 16})
    options = schema.ReducerOptionsT(keepDims=True)
    model, arrays = single_operator("SUM", [x, np.array(axis, np.int32)], output, options, constants=[1])
    assert_same(model, arrays)


@few
@given(st.data(), axes)
def test_sum_of_int8_is_right_where_the_reference_is_not(data: st.DataObject, axis: list[int]) -> None:
    values, parameters = data.draw(tensor([2, 5, 7, 3]))
    output = data.draw(quantization()) | {"scale": parameters["scale"] * 16}
    operands = [(values, parameters), np.array(axis, np.int32)]
    options = schema.ReducerOptionsT(keepDims=True)
    model, arrays = single_operator("SUM", operands, (np.int8, output), options, constants=[1])
    (result,) = run_imported(model, arrays)
    real = (values.astype(np.float64) - parameters["zero_point"]).sum(tuple(axis), keepdims=True) / 16
    # Half a step, and a little as the scale is rounded twice.
    assert np.all(np.abs(result - np.clip(real + output["zero_point"], -128, 127)) <= 0.5 + 1 / 16)


@few
@given(st.data(), axes, st.sampled_from(["REDUCE_MAX", "REDUCE_MIN"]), eight_bits, st.booleans())
def test_greatest_and_least(data: st.DataObject, axis: list[int], name: str, dtype: Any, keep: bool) -> None:
    x = data.draw(tensor([2, 5, 7, 3], dtype))
    options = schema.ReducerOptionsT(keepDims=keep)
    model, arrays = single_operator(name, [x, np.array(axis, np.int32)], (dtype, x[1]), options, constants=[1])
    assert_same(model, arrays)


@st.composite
def pools(draw: st.DrawFn) -> schema.Pool2DOptionsT:
    return schema.Pool2DOptionsT(
        padding=draw(st.sampled_from([0, 1])),
        strideH=draw(st.integers(1, 3)),
        strideW=draw(st.integers(1, 3)),
        filterHeight=draw(st.integers(1, 4)),
        filterWidth=draw(st.integers(1, 4)),
        fusedActivationFunction=draw(st.sampled_from([0, 1, 3])),
    )


@few
@given(st.data(), pools(), st.sampled_from([np.int8, np.uint8, np.int16]))
def test_average_pool_2d(data: st.DataObject, options: schema.Pool2DOptionsT, dtype: Any) -> None:
    x = data.draw(tensor([2, 7, 6, 3], dtype))
    model, arrays = single_operator("AVERAGE_POOL_2D", [x], (dtype, x[1]), options)
    assert_same(model, arrays)


@few
@given(st.data(), pools(), st.sampled_from([np.int8, np.uint8, np.int16]))
def test_max_pool_2d(data: st.DataObject, options: schema.Pool2DOptionsT, dtype: Any) -> None:
    x = data.draw(tensor([2, 7, 6, 3], dtype))
    model, arrays = single_operator("MAX_POOL_2D", [x], (dtype, x[1]), options)
    assert_same(model, arrays)


@few
@given(
    seeds,
    st.floats(2.0**-10, 2.0, width=32),
    st.floats(0.25, 4.0, width=32),
    st.sampled_from([[1, 2], [3, 10], [2, 3, 400]]),
    st.integers(1, 127),
    eight_bits,
)
def test_softmax(seed: int, scale: float, beta: float, shape: list[int], spread: int, dtype: Any) -> None:
    """Rows of nearly equal and of very different values; the result's step is always 1/256."""
    middle, zero_point = (0, -128) if dtype == np.int8 else (128, 0)
    generator = np.random.default_rng(seed)
    values = (generator.integers(-spread, spread + 1, shape) + middle).astype(dtype)
    x = (values, {"scale": scale, "zero_point": 7})
    output = (dtype, {"scale": 1 / 256, "zero_point": zero_point})
    model, arrays = single_operator("SOFTMAX", [x], output, schema.SoftmaxOptionsT(beta=beta))
    assert_same(model, arrays)


@few
@given(st.integers(512, 3000), scales)
def test_softmax_of_many_equal_values(count: int, scale: float) -> None:
    """LiteRT's reference aborts where the exponentials sum up to 512; each result is then below half a step."""
    x = (np.full([2, count], 3, np.int8), {"scale": scale, "zero_point": 0})
    output = (np.int8, {"scale": 1 / 256, "zero_point": -128})
    model, arrays = single_operator("SOFTMAX", [x], output, schema.SoftmaxOptionsT(beta=1.0))
    (result,) = run_imported(model, arrays)
    expected = np.floor(256 / count + 0.5) - 128
    assert np.all(np.abs(result - expected) <= (1 if count == 512 else 0))


@few
@given(st.data(), st.sampled_from([1, 2, 7, 128]), st.integers(0, 127), eight_bits)
def test_l2_normalization(data: st.DataObject, depth: int, spread: int, dtype: Any) -> None:
    """Rows of all magnitudes, zero among them; the result's step is always 1/128."""
    values, parameters = data.draw(tensor([6, depth], dtype))
    middle = parameters["zero_point"]
    values = np.clip(values, middle - spread, middle + spread).astype(dtype)
    output = (dtype, {"scale": 1 / 128, "zero_point": 0 if dtype == np.int8 else 128})
    model, arrays = single_operator("L2_NORMALIZATION", [(values, parameters)], output, schema.L2NormOptionsT())
    assert_same(model, arrays)
