"""Convolutions, fully connected layers and matrix products of integers: bit for bit LiteRT's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importers.quantized_data import biases, output_scale, tensor, weights, zero_points
from tests.importers.tflite_builder import ModelBuilder, assert_same, single_operator

activations = st.sampled_from([0, 1, 2, 3])
"""NONE, RELU, RELU_N1_TO_1, RELU6 of the schema."""

few = settings(max_examples=60, deadline=None)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, int]:
    stride, dilation = draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (1, 2)]))
    return {
        "padding": draw(st.sampled_from([0, 1])),
        "strideH": stride,
        "strideW": draw(st.integers(1, 2)) if dilation == 1 else 1,
        "dilationHFactor": dilation,
        "dilationWFactor": dilation,
        "fusedActivationFunction": draw(activations),
    }


def check_convolution(
    data: st.DataObject, name: str, options: Any, kind: str, channels: int, weight_shape: list[int]
) -> None:
    """One convolution of two 9 x 8 images with `channels` channels."""
    dtype = np.uint8 if kind == "uint8" else np.int16 if kind.startswith("int16") else np.int8
    axis = 0 if name == "CONV_2D" else 3
    x = data.draw(tensor([2, 9, 8, channels], dtype))
    weight = data.draw(weights(weight_shape, axis, per_channel=kind == "per_channel"))
    if kind == "uint8":
        weight = ((weight[0].astype(np.int16) + 128).astype(np.uint8), weight[1] | {"zero_point": 128})
    bias = data.draw(biases(x, weight, weight_shape[axis], np.int64 if kind == "int16" else np.int32))
    if kind == "int16_bias32":
        options.quantizedBiasType = schema.TensorType.INT32
    depth = int(np.prod(weight_shape)) // weight_shape[axis]
    spread = 256 if dtype == np.int16 else 1
    quantization = {"scale": output_scale(x, weight, depth) * spread, "zero_point": data.draw(zero_points(dtype))}
    operands = [x, weight, bias]
    model, arrays = single_operator(name, operands, (dtype, quantization), options, constants=[1, 2], version=3)
    assert_same(model, arrays)


@few
@given(st.data(), windows(), st.sampled_from(["per_tensor", "per_channel", "uint8", "int16", "int16_bias32"]))
def test_conv_2d(data: st.DataObject, window: dict[str, int], kind: str) -> None:
    kernel = data.draw(st.sampled_from([(1, 1), (3, 3), (2, 3)]))
    check_convolution(data, "CONV_2D", schema.Conv2DOptionsT(**window), kind, 5, [7, *kernel, 5])


@few
@given(st.data(), windows())
def test_grouped_conv_2d(data: st.DataObject, window: dict[str, int]) -> None:
    check_convolution(data, "CONV_2D", schema.Conv2DOptionsT(**window), "per_channel", 6, [4, 3, 3, 3])


@few
@given(st.data(), windows(), st.sampled_from(["per_tensor", "per_channel", "uint8", "int16"]), st.integers(1, 3))
def test_depthwise_conv_2d(data: st.DataObject, window: dict[str, int], kind: str, multiplier: int) -> None:
    options = schema.DepthwiseConv2DOptionsT(depthMultiplier=multiplier, **window)
    check_convolution(data, "DEPTHWISE_CONV_2D", options, kind, 4, [1, 3, 3, 4 * multiplier])


@few
@given(st.data(), st.sampled_from([0, 1]), st.integers(1, 3), st.sampled_from([(2, 2), (3, 3), (1, 4)]))
def test_transpose_conv(data: st.DataObject, padding: int, stride: int, kernel: tuple[int, int]) -> None:
    x = data.draw(tensor([2, 4, 5, 3]))
    weight = data.draw(weights([6, *kernel, 3], 0, data.draw(st.booleans())))
    size = [n * stride if padding == 0 else (n - 1) * stride + k for n, k in zip((4, 5), kernel, strict=True)]
    shape = np.array([2, *size, 6], np.int32)
    operands = [shape, weight, x]
    if data.draw(st.booleans()):
        operands.append(data.draw(biases(x, weight, 6)))
    output = {
        "scale": output_scale(x, weight, 3 * kernel[0] * kernel[1]),
        "zero_point": data.draw(zero_points(np.int8)),
    }
    options = schema.TransposeConvOptionsT(padding=padding, strideH=stride, strideW=stride)
    constants = [position for position in range(len(operands)) if position != 2]
    model, arrays = single_operator(
        "TRANSPOSE_CONV", operands, (np.int8, output), options, constants=constants, version=3
    )
    assert_same(model, arrays)


@few
@given(st.data(), st.booleans(), st.booleans(), activations)
def test_fully_connected(data: st.DataObject, per_channel: bool, keep: bool, activation: int) -> None:
    x = data.draw(tensor([3, 4, 32]))
    weight = data.draw(weights([10, 32], 0, per_channel))
    operands = [x, weight, data.draw(biases(x, weight, 10))]
    output = (np.int8, {"scale": output_scale(x, weight, 32), "zero_point": data.draw(zero_points(np.int8))})
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=activation, keepNumDims=keep)
    model, arrays = single_operator("FULLY_CONNECTED", operands, output, options, constants=[1, 2], version=5)
    assert_same(model, arrays)


@few
@given(st.data(), st.booleans(), st.booleans(), st.sampled_from([[2, 3], [1, 3], [3]]))
def test_batch_matmul(data: st.DataObject, adj_x: bool, adj_y: bool, leading: list[int]) -> None:
    left = data.draw(tensor([2, 3, 6, 4] if adj_x else [2, 3, 4, 6]))
    right = data.draw(tensor([*leading, 5, 6] if adj_y else [*leading, 6, 5]))
    output = (np.int8, {"scale": output_scale(left, right, 6), "zero_point": data.draw(zero_points(np.int8))})
    options = schema.BatchMatMulOptionsT(adjX=adj_x, adjY=adj_y)
    model, arrays = single_operator("BATCH_MATMUL", [left, right], output, options, version=4)
    assert_same(model, arrays)


def test_fully_connected_without_bias_on_a_flattened_input() -> None:
    """Rows may span several axes of the input; the optional bias is left out by index -1."""
    model = ModelBuilder()
    generator = np.random.default_rng(0)
    x = model.tensor(np.int8, [2, 2, 3, 4], scale=0.1, zero_point=3)
    weight = model.constant(generator.integers(-127, 128, (5, 12)), np.int8, scale=0.02)
    y = model.tensor(np.int8, [4, 5], scale=0.5, zero_point=-7)
    model.operator("FULLY_CONNECTED", [x, weight, -1], [y], schema.FullyConnectedOptionsT(), version=4)
    assert_same(model.build([x], [y]), [generator.integers(-128, 128, (2, 2, 3, 4)).astype(np.int8)])
