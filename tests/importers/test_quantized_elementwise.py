"""Element-wise integer operators: bit for bit LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importers.quantized_data import quantization, scales, seeds, tensor, zero_points
from tests.importers.tflite_builder import assert_same, single_operator

few = settings(max_examples=50, deadline=None)

activations = st.sampled_from([0, 1, 2, 3])
"""NONE, RELU, RELU_N1_TO_1, RELU6 of the schema."""

shapes = st.sampled_from([([4, 33], [4, 33]), ([4, 33], [33]), ([1, 33], [4, 1]), ([2, 3, 4], [])])

INT8_VALUES = np.arange(-128, 128).astype(np.int8)


@few
@given(st.data(), st.sampled_from(["ADD", "SUB"]), shapes, activations, st.sampled_from([np.int8, np.uint8, np.int16]))
def test_add_and_sub(data: st.DataObject, name: str, shape: Any, activation: int, dtype: Any) -> None:
    operands = [data.draw(tensor(extents, dtype)) for extents in shape]
    output = (dtype, data.draw(quantization(dtype)))
    options = getattr(schema, f"{name.capitalize()}OptionsT")(fusedActivationFunction=activation, potScaleInt16=False)
    model, arrays = single_operator(name, operands, output, options)
    assert_same(model, arrays)


@few
@given(st.data(), shapes, activations, st.sampled_from([np.int8, np.uint8, np.int16]))
def test_mul(data: st.DataObject, shape: Any, activation: int, dtype: Any) -> None:
    operands = [data.draw(tensor(extents, dtype)) for extents in shape]
    output = (dtype, data.draw(quantization(dtype)))
    options = schema.MulOptionsT(fusedActivationFunction=activation)
    model, arrays = single_operator("MUL", operands, output, options)
    assert_same(model, arrays)


@few
@given(st.data(), shapes, activations, st.sampled_from([np.int8, np.uint8]))
def test_div(data: st.DataObject, shape: Any, activation: int, dtype: Any) -> None:
    """Divisors of less than 16 steps and results of fine steps.

    The kernels refuse divisors of zero. For great divisors and coarse results they shift by more than 31 bits, which
    C leaves undefined and which makes 0 / 128 one step above zero.
    """
    dividend, (values, parameters) = (data.draw(tensor(extents, dtype)) for extents in shape)
    zero_point = parameters["zero_point"]
    divisor = np.clip(values, max(zero_point - 15, np.iinfo(dtype).min), min(zero_point + 15, np.iinfo(dtype).max))
    other = zero_point + 1 if zero_point < np.iinfo(dtype).max else zero_point - 1
    divisor = np.where(divisor == zero_point, other, divisor).astype(dtype)
    scale = dividend[1]["scale"] / parameters["scale"] / data.draw(st.floats(16, 64))
    output = (dtype, {"scale": scale, "zero_point": data.draw(zero_points(dtype))})
    options = schema.DivOptionsT(fusedActivationFunction=activation)
    model, arrays = single_operator("DIV", [dividend, (divisor, parameters)], output, options)
    assert_same(model, arrays)


@few
@given(st.data(), shapes)
def test_squared_difference(data: st.DataObject, shape: Any) -> None:
    operands = [data.draw(tensor(extents)) for extents in shape]
    output = (np.int8, data.draw(quantization()))
    model, arrays = single_operator("SQUARED_DIFFERENCE", operands, output)
    assert_same(model, arrays)


@few
@given(st.data(), shapes, st.sampled_from(["MAXIMUM", "MINIMUM"]), st.sampled_from([np.int8, np.uint8, np.int16]))
def test_maximum_and_minimum(data: st.DataObject, shape: Any, name: str, dtype: Any) -> None:
    common = data.draw(quantization(dtype))
    operands = [(data.draw(tensor(extents, dtype))[0], common) for extents in shape]
    model, arrays = single_operator(name, operands, (dtype, common))
    assert_same(model, arrays)


@few
@given(
    st.data(),
    shapes,
    st.sampled_from(["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"]),
    st.sampled_from([np.int8, np.uint8]),
)
def test_comparisons(data: st.DataObject, shape: Any, name: str, dtype: Any) -> None:
    operands = [data.draw(tensor(extents, dtype)) for extents in shape]
    model, arrays = single_operator(name, operands, np.bool_)
    assert_same(model, arrays)


@few
@given(st.data(), st.sampled_from([np.int8, np.uint8, np.int16]))
def test_prelu(data: st.DataObject, dtype: Any) -> None:
    x = data.draw(tensor([2, 3, 4, 5], dtype))
    alpha = data.draw(tensor([1, 1, 5], np.int8 if dtype == np.int16 else dtype))
    output = (dtype, data.draw(quantization(dtype)))
    model, arrays = single_operator("PRELU", [x, alpha], output, constants=[1])
    assert_same(model, arrays)


@few
@given(st.data(), st.floats(-1.5, 1.5, width=32), st.sampled_from([np.int8, np.uint8]))
def test_leaky_relu(data: st.DataObject, alpha: float, dtype: Any) -> None:
    options = schema.LeakyReluOptionsT(alpha=alpha)
    check_all_values(data, "LEAKY_RELU", dtype, options=options)


def check_all_values(
    data: st.DataObject, name: str, dtype: Any, output: dict[str, Any] | None = None, options: Any = None
) -> None:
    """All 256 operands of an 8-bit function with any quantisation of operand and result."""
    values = INT8_VALUES if dtype == np.int8 else (INT8_VALUES.astype(np.int16) + 128).astype(np.uint8)
    x = (values, data.draw(quantization(dtype)))
    model, arrays = single_operator(name, [x], (dtype, output or data.draw(quantization(dtype))), options)
    assert_same(model, arrays)


@pytest.mark.parametrize("name", ["RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "TANH"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_activations(name: str, dtype: Any) -> None:
    @few
    @given(st.data())
    def check(data: st.DataObject) -> None:
        check_all_values(data, name, dtype)

    check()


@pytest.mark.parametrize("name", ["EXP", "LOG", "ABS"])
def test_int8_functions(name: str) -> None:
    @few
    @given(st.data())
    def check(data: st.DataObject) -> None:
        check_all_values(data, name, np.int8)

    check()


@few
@given(st.data(), st.sampled_from([np.int8, np.uint8]))
def test_logistic(data: st.DataObject, dtype: Any) -> None:
    """The kernels insist on steps of 1/256."""
    output = {"scale": 1 / 256, "zero_point": data.draw(zero_points(dtype))}
    check_all_values(data, "LOGISTIC", dtype, output)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["LOGISTIC", "TANH"]),
    st.sampled_from([2.0**-12, 2.0**-11, 2.0**-10, 2.0**-15]) | st.floats(2.0**-20, 4.0, width=32),
)
def test_16_bit_logistic_and_tanh(name: str, scale: float) -> None:
    """All 65536 operands."""
    x = (np.arange(-32768, 32768).astype(np.int16), {"scale": scale, "zero_point": 0})
    model, arrays = single_operator(name, [x], (np.int16, {"scale": 2.0**-15, "zero_point": 0}))
    assert_same(model, arrays)


@few
@given(st.data(), st.booleans(), st.sampled_from([np.int8, np.uint8]))
def test_gelu(data: st.DataObject, approximate: bool, dtype: Any) -> None:
    check_all_values(data, "GELU", dtype, options=schema.GeluOptionsT(approximate=approximate))


@few
@given(st.data(), st.sampled_from([np.int8, np.uint8]))
def test_hard_swish(data: st.DataObject, dtype: Any) -> None:
    """The kernel refuses output steps finer than 1/128 of the input's."""
    output = data.draw(quantization(dtype)) | {"scale": data.draw(st.floats(2.0**-8, 2.0**-2, width=32))}
    check_all_values(data, "HARD_SWISH", dtype, output)


@few
@given(st.data(), st.sampled_from(["RSQRT", "SQRT"]))
def test_roots(data: st.DataObject, name: str) -> None:
    """Operands must not be below the zero point: the kernels refuse them."""
    zero_point = data.draw(st.integers(-128, 100))
    x = (np.arange(zero_point, 128).astype(np.int8), {"scale": data.draw(scales), "zero_point": zero_point})
    model, arrays = single_operator(name, [x], (np.int8, data.draw(quantization())))
    assert_same(model, arrays)


@few
@given(st.data(), st.sampled_from(["EXP", "LOG", "GELU", "RELU", "RELU6"]), seeds)
def test_int16_functions(data: st.DataObject, name: str, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-32768, 32768, 500).astype(np.int16)
    x = (values, {"scale": data.draw(st.floats(2.0**-14, 2.0**-11, width=32)), "zero_point": 0})
    output = (np.int16, {"scale": data.draw(st.floats(2.0**-14, 2.0**-9, width=32)), "zero_point": 0})
    options = schema.GeluOptionsT() if name == "GELU" else None
    model, arrays = single_operator(name, [x], output, options)
    assert_same(model, arrays)
