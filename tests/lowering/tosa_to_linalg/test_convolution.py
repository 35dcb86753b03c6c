from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from tosaic.tosa import dialect as tosa
from tosaic.tosa.elements import ElementsAttr
from xdsl.dialects.builtin import IntegerType, TensorType, f32, i32

from .equivalence import Constant, check_exact, check_sum, constant, floats, integers, names, seeds, shape, zero_point


@st.composite
def windows(draw: st.DrawFn, axes: int = 2) -> dict[str, Any]:
    """Attributes and extents of a convolution over `axes` spatial axes whose strides divide as TOSA demands."""
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    stride = [draw(st.integers(1, 3)) for _ in range(axes)]
    dilation = [draw(st.integers(1, 2)) for _ in range(axes)]
    pad = [draw(st.integers(0, 2)) for _ in range(2 * axes)]
    extents = []
    for axis in range(axes):
        reach = (kernel[axis] - 1) * dilation[axis] + 1 + draw(st.integers(0, 3)) * stride[axis]
        extents.append(reach - pad[2 * axis] - pad[2 * axis + 1])
    assume(min(extents) >= 1)
    return {"kernel": kernel, "extents": extents, "pad": pad, "stride": stride, "dilation": dilation}


def attributes(window: dict[str, Any]) -> dict[str, Any]:
    return {name: window[name] for name in ("pad", "stride", "dilation")}


@settings(max_examples=40, deadline=None)
@given(windows(), st.integers(1, 4), st.integers(1, 4), seeds)
def test_conv2d_in_floats(window: dict[str, Any], inputs: int, outputs: int, seed: int) -> None:
    operands = [
        floats(seed, 2, *window["extents"], inputs),
        Constant(floats(seed + 1, outputs, *window["kernel"], inputs)),
        Constant(floats(seed + 2, outputs)),
        zero_point(0, np.float32),
        zero_point(0, np.float32),
    ]
    terms = int(np.prod(window["kernel"])) * inputs + 1
    check_sum(operands, lambda *values: tosa.Conv2DOp(*values, **attributes(window), acc_type=f32), terms)


@settings(max_examples=40, deadline=None)
@given(windows(), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, -128, 5]), st.sampled_from([0, 3]), seeds)
def test_conv2d_in_integers(
    window: dict[str, Any], inputs: int, outputs: int, input_zp: int, weight_zp: int, seed: int
) -> None:
    operands = [
        integers(seed, np.int8, 2, *window["extents"], inputs),
        Constant(integers(seed + 1, np.int8, outputs, *window["kernel"], inputs)),
        Constant(integers(seed + 2, np.int32, outputs) >> 12),
        zero_point(input_zp, np.int8),
        zero_point(weight_zp, np.int8),
    ]
    check_exact(operands, lambda *values: tosa.Conv2DOp(*values, **attributes(window), acc_type=i32))


@settings(max_examples=40, deadline=None)
@given(windows(), st.integers(1, 4), st.integers(1, 3), st.sampled_from([0, -128, 5]), st.sampled_from([0, 3]), seeds)
def test_depthwise_in_integers(
    window: dict[str, Any], channels: int, multiplier: int, input_zp: int, weight_zp: int, seed: int
) -> None:
    operands = [
        integers(seed, np.int8, 2, *window["extents"], channels),
        Constant(integers(seed + 1, np.int8, *window["kernel"], channels, multiplier)),
        Constant(integers(seed + 2, np.int32, channels * multiplier) >> 12),
        zero_point(input_zp, np.int8),
        zero_point(weight_zp, np.int8),
    ]
    check_exact(operands, lambda *values: tosa.DepthwiseConv2DOp(*values, **attributes(window), acc_type=i32))


@settings(max_examples=20, deadline=None)
@given(windows(), st.integers(1, 4), st.integers(1, 3), seeds)
def test_depthwise_in_floats(window: dict[str, Any], channels: int, multiplier: int, seed: int) -> None:
    operands = [
        floats(seed, 2, *window["extents"], channels),
        Constant(floats(seed + 1, *window["kernel"], channels, multiplier)),
        Constant(floats(seed + 2, channels * multiplier)),
        zero_point(0, np.float32),
        zero_point(0, np.float32),
    ]
    terms = int(np.prod(window["kernel"])) + 1
    check_sum(operands, lambda *values: tosa.DepthwiseConv2DOp(*values, **attributes(window), acc_type=f32), terms)


@settings(max_examples=15, deadline=None)
@given(windows(axes=3), st.sampled_from([0, 5]), seeds)
def test_conv3d(window: dict[str, Any], weight_zp: int, seed: int) -> None:
    operands = [
        integers(seed, np.int8, 1, *window["extents"], 3),
        Constant(integers(seed + 1, np.int8, 2, *window["kernel"], 3)),
        Constant(integers(seed + 2, np.int32, 2) >> 12),
        zero_point(-7, np.int8),
        zero_point(weight_zp, np.int8),
    ]
    check_exact(operands, lambda *values: tosa.Conv3DOp(*values, **attributes(window), acc_type=i32))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(-1, 2)] * 4),
    st.sampled_from([0, 9]),
    st.sampled_from([0, -4]),
    st.sampled_from([4, 16]),
    seeds,
)
def test_transpose_conv2d(
    extents: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    out_pad: tuple[int, ...],
    input_zp: int,
    weight_zp: int,
    channels: int,
    seed: int,
) -> None:
    assume(all(amount > -kernel[axis // 2] for axis, amount in enumerate(out_pad)))
    results = [
        (extents[axis] - 1) * stride[axis] + kernel[axis] + sum(out_pad[2 * axis : 2 * axis + 2]) for axis in (0, 1)
    ]
    assume(min(results) >= 1)
    operands = [
        integers(seed, np.int8, 2, *extents, 3),
        Constant(integers(seed + 1, np.int8, channels, *kernel, 3)),
        Constant(integers(seed + 2, np.int32, channels) >> 12),
        zero_point(input_zp, np.int8),
        zero_point(weight_zp, np.int8),
    ]
    check_exact(operands, lambda *values: tosa.TransposeConv2DOp(*values, out_pad=out_pad, stride=stride, acc_type=i32))


@pytest.mark.parametrize("stride, convolutions", [((2, 2), 2), ((3, 2), 1), ((1, 2), 1)])
def test_phases_of_rows_with_fewer_taps_are_convolutions_of_their_own(
    stride: tuple[int, int], convolutions: int
) -> None:
    operands = [
        integers(1, np.int8, 1, 5, 6, 3),
        Constant(integers(2, np.int8, 16, 3, 3, 3)),
        Constant(integers(3, np.int32, 16) >> 12),
        zero_point(5, np.int8),
        zero_point(0, np.int8),
    ]
    after = check_exact(
        operands,
        lambda *values: tosa.TransposeConv2DOp(*values, out_pad=(0, -1, 0, -1), stride=stride, acc_type=i32),
    )
    assert names(after).count("linalg.conv_2d_nhwc_fhwc") == convolutions


def test_words_accumulate_in_48_bits() -> None:
    bias_type = IntegerType(48)
    operands = [
        integers(1, np.int16, 1, 4, 4, 300),
        Constant(integers(2, np.int8, 2, 2, 2, 300)),
        zero_point(0, np.int16),
        zero_point(0, np.int8),
    ]

    def make(x: Any, w: Any, input_zp: Any, weight_zp: Any) -> tosa.Conv2DOp:
        bias = tosa.ConstOp(ElementsAttr.from_array(np.array([1 << 40, -5]), TensorType(bias_type, [2])))
        window = {"pad": [0] * 4, "stride": [1, 1], "dilation": [1, 1]}
        return tosa.Conv2DOp(x, w, bias, input_zp, weight_zp, **window, acc_type=bias_type)

    check_exact(operands, make)


@pytest.mark.parametrize("dtype", [np.float16, bfloat16])
def test_half_precision_accumulates_in_f32(dtype: type) -> None:
    operands = [
        floats(3, 1, 5, 5, 8, dtype=dtype),
        Constant(floats(4, 6, 3, 3, 8, dtype=dtype)),
        Constant(floats(5, 6, dtype=dtype)),
        zero_point(0, dtype),
        zero_point(0, dtype),
    ]
    window = {"pad": [1] * 4, "stride": [1, 1], "dilation": [1, 1]}
    check_sum(operands, lambda *values: tosa.Conv2DOp(*values, **window, acc_type=f32), 73)


def test_one_bias_for_all_channels() -> None:
    operands = [
        integers(6, np.int8, 1, 4, 4, 3),
        Constant(integers(7, np.int8, 5, 1, 1, 3)),
        constant([77], np.int32),
        zero_point(0, np.int8),
        zero_point(0, np.int8),
    ]
    window = {"pad": [0] * 4, "stride": [1, 1], "dilation": [1, 1]}
    check_exact(operands, lambda *values: tosa.Conv2DOp(*values, **window, acc_type=i32))


def test_without_bias_and_padding_only_the_convolution_remains() -> None:
    operands = [
        floats(8, 1, 4, 4, 3),
        Constant(floats(9, 5, 1, 1, 3)),
        constant([0] * 5, np.float32),
        zero_point(0, np.float32),
        zero_point(0, np.float32),
    ]
    window = {"pad": [0] * 4, "stride": [1, 1], "dilation": [1, 1]}
    after = check_sum(operands, lambda *values: tosa.Conv2DOp(*values, **window, acc_type=f32), 3)
    root = ["arith.constant", "tensor.empty", "linalg.fill", "linalg.conv_2d_nhwc_fhwc", "func.return"]
    assert names(after) == ["tosa.const", *root]


def test_a_slice_that_only_trims_for_the_stride_is_not_needed() -> None:
    """TOSA must give a 1x1 convolution with stride 2 only 7 of 8 rows; in linalg it simply reads those it needs."""
    operands = [
        integers(10, np.int8, 1, 8, 8, 3),
        Constant(integers(11, np.int8, 5, 1, 1, 3)),
        constant([0] * 5, np.int32),
        zero_point(0, np.int8),
        zero_point(0, np.int8),
        shape(0, 0, 0, 0),
        shape(1, 7, 7, 3),
    ]

    def make(x: Any, w: Any, bias: Any, input_zp: Any, weight_zp: Any, start: Any, size: Any) -> tosa.Conv2DOp:
        window = {"pad": [0] * 4, "stride": [2, 2], "dilation": [1, 1]}
        return tosa.Conv2DOp(tosa.SliceOp(x, start, size), w, bias, input_zp, weight_zp, **window, acc_type=i32)

    assert "tensor.extract_slice" not in names(check_exact(operands, make))


def test_a_slice_of_another_part_is_kept() -> None:
    operands = [
        integers(12, np.int8, 1, 8, 8, 3),
        Constant(integers(13, np.int8, 5, 1, 1, 3)),
        constant([0] * 5, np.int32),
        zero_point(0, np.int8),
        zero_point(0, np.int8),
        shape(0, 1, 0, 0),
        shape(1, 7, 7, 3),
    ]

    def make(x: Any, w: Any, bias: Any, input_zp: Any, weight_zp: Any, start: Any, size: Any) -> tosa.Conv2DOp:
        window = {"pad": [0] * 4, "stride": [2, 2], "dilation": [1, 1]}
        return tosa.Conv2DOp(tosa.SliceOp(x, start, size), w, bias, input_zp, weight_zp, **window, acc_type=i32)

    assert "tensor.extract_slice" in names(check_exact(operands, make))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), *[st.integers(1, 6)] * 3, st.sampled_from([0, 4]), st.sampled_from([0, -6]), st.booleans(), seeds
)
def test_matmul_in_integers(
    batch: int, rows: int, inner: int, columns: int, a_zp: int, b_zp: int, transposed: bool, seed: int
) -> None:
    right = (batch, columns, inner) if transposed else (batch, inner, columns)
    operands = [
        integers(seed, np.int8, batch, rows, inner),
        integers(seed + 1, np.int8, *right),
        zero_point(a_zp, np.int8),
        zero_point(b_zp, np.int8),
    ]

    def make(a: Any, b: Any, a_zp: Any, b_zp: Any) -> tosa.MatMulOp:
        return tosa.MatMulOp(a, tosa.TransposeOp(b, [0, 2, 1]) if transposed else b, a_zp, b_zp)

    after = check_exact(operands, make)
    if transposed and min(inner, columns) > 1:
        assert names(after).count("linalg.generic") == (a_zp != 0) * 2 + (b_zp != 0) * 2 + bool(a_zp or b_zp)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, bfloat16])
def test_matmul_in_floats(dtype: type) -> None:
    operands = [
        floats(14, 2, 5, 33, dtype=dtype),
        floats(15, 2, 33, 7, dtype=dtype),
        zero_point(0, dtype),
        zero_point(0, dtype),
    ]
    check_sum(operands, tosa.MatMulOp, 33)
