"""int8 weights with float activations, which LiteRT's hybrid kernels round to int8 at run time, and so do we."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importers.quantized_data import Quantized, seeds, weights
from tests.importers.tflite_builder import Array, ModelBuilder, run_imported, run_reference, single_operator

EPS = float(np.finfo(np.float32).eps)
few = settings(max_examples=40, deadline=None)


@st.composite
def activations(draw: st.DrawFn, shape: list[int]) -> Array:
    """Rows of every magnitude, around zero or on one side of it, one of them nothing but zeros."""
    generator = np.random.default_rng(draw(seeds))
    x = generator.uniform(draw(st.sampled_from([-1.0, 0.0, 0.5, -3.0])), 1.0, shape)
    x *= 10.0 ** generator.integers(-3, 4, [shape[0], *[1] * (len(shape) - 1)])
    if draw(st.booleans()):
        x[0] = 0
    return x.astype(np.float32)


def uncertainty(x: Array, axes: tuple[int, ...], asymmetric: bool) -> Array:
    """By how much each element as the product sees it may differ from what LiteRT's kernels see.

    That is a whole step where the element, in steps, lies as near to the middle between two as f32 rounds: the factor
    has three roundings, the product and the sum with the zero point one each, of numbers up to 256. If the zero point
    itself lies so, all elements of the row may. Everything is rounded a few times more on the way to the result.
    """
    wide = x.astype(np.float64)
    low, high = wide.min(axis=axes, keepdims=True), wide.max(axis=axes, keepdims=True)
    if asymmetric:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    step = (high - low) / 255 if asymmetric else np.maximum(-low, high) / 127
    step = np.where(step == 0, 1, step)
    zero_point = -128 - low / step if asymmetric else np.zeros_like(low)
    near = 5 * 256 * EPS
    inexact = np.abs(np.abs(zero_point - np.floor(zero_point)) - 0.5) < near
    position = wide / step + np.round(zero_point)
    inexact = inexact | (np.abs(position - np.floor(position) - 0.5) < near)
    return inexact * step + 8 * EPS * (np.abs(wide) + step)


def check(
    name: str,
    x: Array,
    weight: Quantized,
    bias: Array,
    options: Any,
    *,
    axes: tuple[int, ...],
    asymmetric: bool,
    channels: int = 0,
    rectified: bool = False,
) -> None:
    """Ours and LiteRT's results differ by no more than what the elements may differ by, times the weights."""
    model, arrays = single_operator(name, [x, weight, bias], np.float32, options, constants=[1, 2], version=5)
    if rectified:
        model, x = behind_relu(name, x, weight, bias, options), np.maximum(x, 0)
    (ours,), (reference,) = run_imported(model, arrays), run_reference(model, arrays)
    values, quantization = weight
    along = [-1 if axis == channels else 1 for axis in range(values.ndim)]
    real = np.abs(values) * quantization["scale"].reshape(along if quantization["scale"].size > 1 else -1)
    operands = [
        uncertainty(x, axes, asymmetric).astype(np.float32),
        real.reshape(values.shape).astype(np.float32),
        (4 * EPS * np.abs(bias)).astype(np.float32),
    ]
    options.asymmetricQuantizeInputs = False
    bounding, arrays = single_operator(name, operands, np.float32, options, constants=[1, 2], version=1)
    (bound,) = run_reference(bounding, arrays)
    # The bound itself is computed in f32.
    assert ours.shape == reference.shape
    assert (np.abs(ours.astype(np.float64) - reference) <= 1.01 * bound).all()


def behind_relu(name: str, x: Array, weight: Quantized, bias: Array, options: Any) -> bytes:
    """A model in which the operator reads what a RELU makes of its argument."""
    model = ModelBuilder()
    argument, positive, result = (model.tensor(np.float32, shape) for shape in (x.shape, x.shape, []))
    model.operator("RELU", [argument], [positive])
    weights = model.tensor(np.int8, weight[0].shape, data=weight[0], **weight[1])
    model.operator(name, [positive, weights, model.constant(bias, np.float32)], [result], options, version=5)
    return model.build([argument], [result])


def biases(draw: st.DataObject, channels: int) -> Array:
    return np.random.default_rng(draw.draw(seeds)).standard_normal(channels).astype(np.float32)


@few
@given(st.data(), st.booleans(), st.booleans(), st.booleans())
def test_fully_connected(data: st.DataObject, per_channel: bool, asymmetric: bool, keep: bool) -> None:
    x = data.draw(activations([4, 3, 32]))
    weight = data.draw(weights([10, 32], 0, per_channel))
    options = schema.FullyConnectedOptionsT(keepNumDims=keep, asymmetricQuantizeInputs=asymmetric)
    check("FULLY_CONNECTED", x, weight, biases(data, 10), options, axes=(2,), asymmetric=asymmetric)


@few
@given(st.data(), st.booleans(), st.sampled_from([(1, 0, 1), (1, 1, 2), (3, 1, 1), (3, 1, 2), (3, 0, 1)]))
def test_conv_2d(data: st.DataObject, padded: bool, window: tuple[int, int, int]) -> None:
    """Weights with channel scales mean images with a zero point, which are not padded; others have none."""
    kernel, valid, stride = window
    per_channel = not (padded and kernel > 1)
    x = data.draw(activations([2, 8, 7, 5]))
    weight = data.draw(weights([6, kernel, kernel, 5], 0, per_channel))
    options = schema.Conv2DOptionsT(padding=0 if padded else valid | (kernel > 1), strideH=stride, strideW=stride)
    check("CONV_2D", x, weight, biases(data, 6), options, axes=(1, 2, 3), asymmetric=per_channel)


@few
@given(st.data())
def test_grouped_conv_2d(data: st.DataObject) -> None:
    x = data.draw(activations([2, 6, 5, 6]))
    weight = data.draw(weights([4, 3, 3, 3], 0, per_channel=True))
    options = schema.Conv2DOptionsT(padding=1, strideH=1, strideW=1)
    check("CONV_2D", x, weight, biases(data, 4), options, axes=(1, 2, 3), asymmetric=True)


@few
@given(st.data(), st.integers(1, 2), st.integers(1, 2))
def test_depthwise_conv_2d(data: st.DataObject, stride: int, multiplier: int) -> None:
    x = data.draw(activations([2, 8, 7, 3]))
    weight = data.draw(weights([1, 3, 3, 3 * multiplier], 3, per_channel=True))
    options = schema.DepthwiseConv2DOptionsT(padding=1, strideH=stride, strideW=stride, depthMultiplier=multiplier)
    arguments = {"axes": (1, 2, 3), "asymmetric": True, "channels": 3}
    check("DEPTHWISE_CONV_2D", x, weight, biases(data, 3 * multiplier), options, **arguments)


@few
@given(st.data(), st.booleans(), st.booleans(), st.integers(1, 2), st.booleans())
def test_behind_a_relu(data: st.DataObject, depthwise: bool, per_channel: bool, stride: int, padded: bool) -> None:
    """No element is negative, so that the zero point is known, and images may be padded."""
    x = data.draw(activations([2, 8, 7, 5]))
    window = {"padding": 0 if padded else 1, "strideH": stride, "strideW": stride}
    if depthwise:
        weight = data.draw(weights([1, 3, 3, 5], 3, per_channel=True))
        options: Any = schema.DepthwiseConv2DOptionsT(depthMultiplier=1, **window)
        arguments = {"axes": (1, 2, 3), "asymmetric": True, "channels": 3, "rectified": True}
        check("DEPTHWISE_CONV_2D", x, weight, biases(data, 5), options, **arguments)
        return
    weight = data.draw(weights([6, 3, 3, 5], 0, per_channel))
    options = schema.Conv2DOptionsT(**window)
    check("CONV_2D", x, weight, biases(data, 6), options, axes=(1, 2, 3), asymmetric=per_channel, rectified=True)


@few
@given(st.data(), st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D"]))
def test_padded_images_stay_in_float(data: st.DataObject, name: str) -> None:
    """What lies outside of an image is zero, whose rounded value only a call knows: the product is exact instead."""
    depthwise = name == "DEPTHWISE_CONV_2D"
    shape, axis = ([1, 3, 3, 5], 3) if depthwise else ([7, 3, 3, 5], 0)
    x, (values, quantization) = data.draw(activations([2, 6, 5, 5])), data.draw(weights(shape, axis, True))
    bias = biases(data, shape[axis])
    kind = schema.DepthwiseConv2DOptionsT if depthwise else schema.Conv2DOptionsT
    options: Any = kind(padding=0, strideH=1, strideW=1)
    if depthwise:
        options.depthMultiplier = 1
    operands = [x, (values, quantization), bias]
    hybrid, arrays = single_operator(name, operands, np.float32, options, constants=[1, 2], version=5)
    along = [-1 if position == axis else 1 for position in range(4)]
    real = (values * quantization["scale"].reshape(along)).astype(np.float32)

    def in_float(*operands: Array) -> Array:
        model, arguments = single_operator(name, operands, np.float32, options, constants=[1, 2])
        return run_reference(model, arguments)[0]

    # Up to 45 products, their sums in any order, the scale and the bias, each rounded to half an eps, here and there.
    bound = 50 * EPS * in_float(np.abs(x), np.abs(real), np.abs(bias))
    (ours,) = run_imported(hybrid, arrays)
    assert (np.abs(ours - in_float(x, real, bias)) <= bound).all()
