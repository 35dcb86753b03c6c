"""Float operators, and integer ones without quantisation: LiteRT's results within rounding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importers.tflite_builder import Array, ModelBuilder, assert_same, run_imported, single_operator

few = settings(max_examples=25, deadline=None)

ROUNDING = 2e-6
"""A few units in the last place of float32, relative to the largest result."""

seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([([4, 33], [4, 33]), ([4, 33], [33]), ([1, 33], [4, 1]), ([2, 3, 4], [])])


def normal(seed: int, shape: Any) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * 3


def positive(seed: int, shape: Any) -> Array:
    return np.random.default_rng(seed).uniform(0.01, 9, shape).astype(np.float32)


def integers(seed: int, shape: Any) -> Array:
    return np.random.default_rng(seed).integers(-50, 51, shape).astype(np.int32)


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL", "DIV"])
@given(seeds, shapes, st.sampled_from([0, 1, 2, 3]))
@few
def test_arithmetic(name: str, seed: int, shape: Any, activation: int) -> None:
    options = getattr(schema, f"{name.capitalize()}OptionsT")(fusedActivationFunction=activation)
    operands = [normal(seed, shape[0]), positive(seed, shape[1])]
    assert_same(*single_operator(name, operands, np.float32, options), tolerance=ROUNDING)


@pytest.mark.parametrize("name", ["ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "FLOOR_DIV", "FLOOR_MOD"])
@given(seeds, shapes)
@few
def test_int32_arithmetic(name: str, seed: int, shape: Any) -> None:
    divisor = integers(seed, shape[1])
    operands = [integers(seed + 1, shape[0]), np.where(divisor == 0, 7, divisor).astype(np.int32)]
    options = getattr(schema, f"{name.capitalize()}OptionsT")() if name in ("ADD", "SUB", "MUL", "DIV") else None
    assert_same(*single_operator(name, operands, np.int32, options))


@given(seeds, st.integers(2, 4))
@few
def test_add_n(seed: int, count: int) -> None:
    operands = [normal(seed + position, [3, 4]) for position in range(count)]
    assert_same(*single_operator("ADD_N", operands, np.float32), tolerance=ROUNDING)


@pytest.mark.parametrize("name", ["MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW"])
@given(seeds, shapes)
@few
def test_functions_of_two(name: str, seed: int, shape: Any) -> None:
    operands = [positive(seed, shape[0]), normal(seed + 1, shape[1])]
    assert_same(*single_operator(name, operands, np.float32), tolerance=ROUNDING)


@pytest.mark.parametrize("name", ["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"])
@pytest.mark.parametrize("make", [normal, integers])
@given(seeds, shapes)
@few
def test_comparisons(name: str, make: Any, seed: int, shape: Any) -> None:
    operands = [np.round(make(seed, shape[0])), np.round(make(seed + 1, shape[1]))]
    assert_same(*single_operator(name, operands, np.bool_))


@pytest.mark.parametrize("name", ["LOGICAL_AND", "LOGICAL_OR"])
@given(seeds, shapes)
@few
def test_logical(name: str, seed: int, shape: Any) -> None:
    assert_same(*single_operator(name, [integers(seed, extents) > 0 for extents in shape], np.bool_))


ANY_SIGN = ["ABS", "NEG", "EXP", "SQUARE", "SIN", "COS", "TANH", "LOGISTIC", "HARD_SWISH", "RELU", "RELU6"]
POSITIVE = ["LOG", "SQRT", "RSQRT"]
EXACT = ["FLOOR", "SIGN", "RELU_N1_TO_1", "RELU_0_TO_1"]


@pytest.mark.parametrize("name", [*ANY_SIGN, *POSITIVE, *EXACT])
@given(seeds)
@few
def test_functions_of_one(name: str, seed: int) -> None:
    x = (positive if name in POSITIVE else normal)(seed, [3, 50])
    assert_same(*single_operator(name, [x], np.float32), tolerance=0.0 if name in EXACT else ROUNDING)


@pytest.mark.parametrize(("name", "expected"), [("ROUND", np.rint), ("CEIL", np.ceil)])
def test_rounding(name: str, expected: Any) -> None:
    """LiteRT's reference resolver lacks both; ROUND takes halves to even."""
    edges = [-2.5, -1.5, -0.5, -0.49999997, 0.49999997, 0.5, 1.5, 2.5, 8388609.0, -8388609.0]
    x = np.concatenate([np.array(edges, np.float32), normal(0, [200])])
    (result,) = run_imported(*single_operator(name, [x], np.float32))
    np.testing.assert_array_equal(result, expected(x))


@given(seeds)
@few
def test_elu_does_not_cancel_near_zero(seed: int) -> None:
    """LiteRT's reference resolver has no ELU."""
    x = np.concatenate([normal(seed, [50]), normal(seed, [50]) * np.float32(1e-5)])
    (result,) = run_imported(*single_operator("ELU", [x], np.float32))
    exact = np.where(x < 0, np.expm1(x.astype(np.float64)), x)
    # Four f32 roundings: of x/2, tanh, exp + 1 and their product.
    np.testing.assert_allclose(result, exact, rtol=4 * np.finfo(np.float32).eps)


@given(seeds, st.booleans())
@few
def test_gelu(seed: int, approximate: bool) -> None:
    options = schema.GeluOptionsT(approximate=approximate)
    assert_same(*single_operator("GELU", [normal(seed, [3, 50])], np.float32, options), tolerance=ROUNDING)


@given(seeds, st.floats(-2, 2, width=32))
@few
def test_leaky_relu(seed: int, alpha: float) -> None:
    options = schema.LeakyReluOptionsT(alpha=alpha)
    assert_same(*single_operator("LEAKY_RELU", [normal(seed, [3, 50])], np.float32, options), tolerance=ROUNDING)


@given(seeds, st.sampled_from([[5], [1, 1, 5], [2, 3, 4, 5], [3, 1, 1]]))
@few
def test_prelu(seed: int, alpha: list[int]) -> None:
    operands = [normal(seed, [2, 3, 4, 5]), normal(seed + 1, alpha)]
    assert_same(*single_operator("PRELU", operands, np.float32, constants=[1]), tolerance=ROUNDING)


@given(seeds, st.floats(0.25, 4, width=32), st.sampled_from([[7], [3, 7], [2, 3, 4, 7]]))
@few
def test_softmax(seed: int, beta: float, shape: list[int]) -> None:
    options = schema.SoftmaxOptionsT(beta=beta)
    assert_same(*single_operator("SOFTMAX", [normal(seed, shape) * 9], np.float32, options), tolerance=ROUNDING)


@pytest.mark.parametrize("name", ["LOG_SOFTMAX", "L2_NORMALIZATION"])
@given(seeds)
@few
def test_rows(name: str, seed: int) -> None:
    options = schema.L2NormOptionsT() if name == "L2_NORMALIZATION" else schema.LogSoftmaxOptionsT()
    assert_same(*single_operator(name, [normal(seed, [3, 5, 7])], np.float32, options), tolerance=ROUNDING)


@pytest.mark.parametrize("name", ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"])
@given(seeds, st.sampled_from([[0], [1, 2], [-1], [3, 0], [0, 1, 2, 3]]), st.booleans())
@few
def test_reductions(name: str, seed: int, axes: list[int], keep: bool) -> None:
    operands = [normal(seed, [2, 5, 4, 3]), np.array(axes, np.int32)]
    options = schema.ReducerOptionsT(keepDims=keep)
    assert_same(*single_operator(name, operands, np.float32, options, constants=[1]), tolerance=1e-5)


@pytest.mark.parametrize("name", ["REDUCE_ANY", "REDUCE_ALL"])
@given(seeds)
@few
def test_logical_reductions(name: str, seed: int) -> None:
    operands = [integers(seed, [2, 5, 3]) > -20, np.array([1], np.int32)]
    assert_same(*single_operator(name, operands, np.bool_, schema.ReducerOptionsT(), constants=[1]))


@pytest.mark.parametrize("name", ["AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"])
@given(seeds, st.sampled_from([0, 1]), st.integers(1, 3), st.integers(1, 3))
@few
def test_pooling(name: str, seed: int, padding: int, stride: int, kernel: int) -> None:
    options = schema.Pool2DOptionsT(
        padding=padding, strideH=stride, strideW=1, filterHeight=kernel, filterWidth=2, fusedActivationFunction=0
    )
    assert_same(*single_operator(name, [normal(seed, [2, 7, 6, 3])], np.float32, options), tolerance=ROUNDING)


@given(seeds, st.sampled_from([0, 1]), st.integers(1, 3), st.integers(1, 2))
@few
def test_convolutions(seed: int, padding: int, stride: int, groups: int) -> None:
    common = {"padding": padding, "strideH": stride, "strideW": stride, "fusedActivationFunction": 1}
    x, bias = normal(seed, [2, 9, 8, 4]), normal(seed + 2, [6])
    conv = [x, normal(seed + 1, [6, 3, 2, 4 // groups]), bias]
    options: Any = schema.Conv2DOptionsT(**common)
    assert_same(*single_operator("CONV_2D", conv, np.float32, options, constants=[1, 2]), tolerance=ROUNDING)
    depthwise = [x, normal(seed + 1, [1, 3, 2, 8]), normal(seed + 2, [8])]
    options = schema.DepthwiseConv2DOptionsT(depthMultiplier=2, **common)
    model = single_operator("DEPTHWISE_CONV_2D", depthwise, np.float32, options, constants=[1, 2])
    assert_same(*model, tolerance=ROUNDING)


@given(seeds, st.booleans(), st.booleans())
@few
def test_batch_matmul(seed: int, adj_x: bool, adj_y: bool) -> None:
    left, right = normal(seed, [2, 3, 6, 4] if adj_x else [2, 3, 4, 6]), normal(seed, [5, 6] if adj_y else [6, 5])
    options = schema.BatchMatMulOptionsT(adjX=adj_x, adjY=adj_y)
    assert_same(*single_operator("BATCH_MATMUL", [left, right], np.float32, options), tolerance=ROUNDING)


def test_half_precision_weights_stay_half_until_they_are_used() -> None:
    """Weights that a DEQUANTIZE widens give the same as the file's float16 values in float64."""
    model, generator = ModelBuilder(), np.random.default_rng(3)
    x = model.tensor(np.float32, [4, 8])
    stored = generator.standard_normal((5, 8)).astype(np.float16)
    weight, wide = model.constant(stored, np.float16), model.tensor(np.float32, [5, 8])
    y = model.tensor(np.float32, [4, 5])
    model.operator("DEQUANTIZE", [weight], [wide])
    model.operator("FULLY_CONNECTED", [x, wide, -1], [y], schema.FullyConnectedOptionsT())
    array = generator.standard_normal((4, 8)).astype(np.float32)
    (result,) = run_imported(model.build([x], [y]), [array])
    wide = stored.astype(np.float64).T
    # Eight f32 products and their sums, in any order, each rounded to half an eps.
    bound = 8 * np.finfo(np.float32).eps * (np.abs(array) @ np.abs(wide))
    assert (np.abs(result - array @ wide) <= bound).all()


def test_activations_keep_infinities() -> None:
    x = np.array([-math.inf, -1, 0, 1, math.inf], np.float32)
    assert_same(*single_operator("RELU", [x], np.float32))
