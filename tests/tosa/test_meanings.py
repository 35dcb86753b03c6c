"""Meanings against formulas of the TOSA 1.0 specification in plain Python integers, one element at a time."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.tosa import dialect as tosa
from tosaic.tosa.dialect import TosaOp
from tosaic.tosa.interpreter import evaluate_operation
from xdsl.dialects.builtin import IntegerType, TensorType, bf16, f16, f32, i1, i8, i16, i32
from xdsl.ir import Attribute, Block, SSAValue

from .builders import tensor, zero

I32 = st.integers(-(2**31), 2**31 - 1)
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = {"int8": i8, "int16": i16, "int32": i32, "float32": f32}


def values(*types: Attribute) -> tuple[SSAValue, ...]:
    return Block(arg_types=types).args


def value_of(array: np.ndarray) -> SSAValue:
    return values(tensor(array.dtype.name, *array.shape))[0]


def run(operation: TosaOp, *operands: np.ndarray) -> np.ndarray:
    operation.verify()
    return evaluate_operation(operation, operands)[0]


def shape_operand(*extents: int) -> tuple[SSAValue, np.ndarray]:
    return tosa.ConstShapeOp(extents).output, np.array(extents, np.int64)


def random(seed: int, dtype: str, *shape: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if dtype == "float32":
        return generator.standard_normal(shape, np.float32)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)


# Scaling


def scale_32(value: int, multiplier: int, shift: int, double_round: bool) -> int:
    rounding = 1 << (shift - 1)
    if double_round and shift > 31:
        rounding += (1 << 30) if value >= 0 else -(1 << 30)
    return (value * multiplier + rounding) >> shift


@given(I32, st.integers(2**30, 2**31 - 1), st.integers(2, 62), st.sampled_from(["SINGLE_ROUND", "DOUBLE_ROUND"]))
def test_rescale_to_i8_rounds_and_saturates(value: int, multiplier: int, shift: int, mode: str) -> None:
    zero_point = np.array([-7], np.int8)
    operands = np.array([value], np.int32), np.array([multiplier], np.int32), np.array([shift], np.int8)
    zeros = np.array([0], np.int32), zero_point
    flags = {"scale32": True, "per_channel": False, "input_unsigned": False, "output_unsigned": False}
    operation = tosa.RescaleOp(
        *map(value_of, operands), zero("int32"), value_of(zero_point), rounding_mode=mode, **flags, element_type=i8
    )
    expected = min(max(scale_32(value, multiplier, shift, mode == "DOUBLE_ROUND") - 7, -128), 127)
    assert run(operation, *operands, *zeros).tolist() == [expected]


@given(st.integers(-(2**47), 2**47 - 1), st.integers(0, 2**15 - 1), st.integers(2, 62))
def test_rescale_of_i48_by_16_bits(value: int, multiplier: int, shift: int) -> None:
    operands = np.array([value], np.int64), np.array([multiplier], np.int16), np.array([shift], np.int8)
    i48 = IntegerType(48)
    operation = tosa.RescaleOp(
        *values(TensorType(i48, [1]), TensorType(i16, [1]), TensorType(i8, [1]), TensorType(i48, [1])),
        zero("int16"),
        scale32=False,
        rounding_mode="SINGLE_ROUND",
        per_channel=False,
        input_unsigned=False,
        output_unsigned=False,
        element_type=i16,
    )
    expected = min(max((value * multiplier + (1 << (shift - 1))) >> shift, -(2**15)), 2**15 - 1)
    assert run(operation, *operands, np.zeros(1, np.int64), np.zeros(1, np.int16)).tolist() == [expected]


def test_rescale_reads_and_writes_unsigned_bits() -> None:
    """uint8 200 less 128 is 72; and back."""
    scale = np.array([1 << 30], np.int32), np.array([30], np.int8)
    flags = {"scale32": True, "rounding_mode": "SINGLE_ROUND", "per_channel": False}
    bits, signed = np.array([200], np.uint8).view(np.int8), np.array([72], np.int8)
    middle, none = np.array([128], np.uint8).view(np.int8), np.array([0], np.int8)
    types = [tensor("int8", 1), tensor("int32", 1), *[tensor("int8", 1)] * 3]
    reads = tosa.RescaleOp(*values(*types), **flags, input_unsigned=True, output_unsigned=False, element_type=i8)
    writes = tosa.RescaleOp(*values(*types), **flags, input_unsigned=False, output_unsigned=True, element_type=i8)
    assert run(reads, bits, *scale, middle, none).tolist() == signed.tolist()
    assert run(writes, signed, *scale, none, middle).tolist() == bits.tolist()


def test_rescale_per_channel() -> None:
    operands = (
        np.array([[100, 100], [-100, -101]], np.int32),
        np.array([1 << 30] * 2, np.int32),
        np.array([30, 31], np.int8),
    )
    flags = {"scale32": True, "per_channel": True, "input_unsigned": False, "output_unsigned": False}
    operation = tosa.RescaleOp(
        *map(value_of, operands), zero("int32"), zero("int8"), rounding_mode="SINGLE_ROUND", **flags, element_type=i8
    )
    result = run(operation, *operands, np.zeros(1, np.int32), np.zeros(1, np.int8))
    assert result.tolist() == [[100, 50], [-100, -50]]


# Element-wise integers


@given(I32, I32, st.integers(0, 62))
def test_mul_of_i32_rounds_its_shift(left: int, right: int, shift: int) -> None:
    a, b, s = np.array([left], np.int32), np.array([right], np.int32), np.array([shift], np.int8)
    product = left * right
    expected = (product + (1 << (shift - 1))) >> shift if shift else product
    wrapped = (expected + 2**31) % 2**32 - 2**31
    assert run(tosa.MulOp(*map(value_of, (a, b, s))), a, b, s).tolist() == [wrapped]


@given(I32, st.integers(0, 31), st.booleans())
def test_arithmetic_right_shift(value: int, shift: int, rounds: bool) -> None:
    a, b = np.array([value], np.int32), np.array([shift], np.int32)
    expected = math.floor(Fraction(value, 2**shift) + Fraction(1, 2)) if rounds and shift else value >> shift
    assert run(tosa.ArithmeticRightShiftOp(value_of(a), value_of(b), round=rounds), a, b).tolist() == [expected]


@given(I32, st.integers(0, 31))
def test_logical_right_shift_fills_with_zeros(value: int, shift: int) -> None:
    a, b = np.array([value], np.int32), np.array([shift], np.int32)
    result = run(tosa.LogicalRightShiftOp(value_of(a), value_of(b)), a, b)
    assert result.view(np.uint32).tolist() == [(value % 2**32) >> shift]


@given(I32, I32.filter(bool))
def test_intdiv_truncates(dividend: int, divisor: int) -> None:
    a, b = np.array([dividend], np.int32), np.array([divisor], np.int32)
    if (dividend, divisor) == (-(2**31), -1):
        return  # overflows: the specification forbids it
    assert run(tosa.IntDivOp(value_of(a), value_of(b)), a, b).tolist() == [math.trunc(Fraction(dividend, divisor))]


@given(I32)
def test_clz(value: int) -> None:
    a = np.array([value], np.int32)
    assert run(tosa.ClzOp(value_of(a)), a).tolist() == [32 - (value % 2**32).bit_length()]


@given(st.integers(-128, 127), st.integers(-128, 127), st.integers(-128, 127))
def test_negate_of_i8_saturates(value: int, input_zp: int, output_zp: int) -> None:
    operands = [np.array([number], np.int8) for number in (value, input_zp, output_zp)]
    expected = min(max(-(value - input_zp) + output_zp, -128), 127)
    assert run(tosa.NegateOp(*map(value_of, operands)), *operands).tolist() == [expected]


@given(SEEDS, st.integers(-128, 127))
def test_table_of_i8(seed: int, value: int) -> None:
    table, x = random(seed, "int8", 256), np.array([value], np.int8)
    assert run(tosa.TableOp(value_of(x), value_of(table)), x, table).tolist() == [table[value + 128]]


@given(SEEDS, st.integers(-(2**15), 2**15 - 1))
def test_table_of_i16_interpolates(seed: int, value: int) -> None:
    table, x = random(seed, "int16", 513), np.array([value], np.int16)
    index, fraction = (value + 2**15) >> 7, value & 127
    base, following = int(table[index]), int(table[index + 1])
    assert run(tosa.TableOp(value_of(x), value_of(table)), x, table).tolist() == [
        base * 128 + (following - base) * fraction
    ]


# Conversion


@given(st.floats(width=32), st.sampled_from([(np.int8, i8), (np.int16, i16), (np.int32, i32)]))
def test_cast_of_floats_rounds_to_even_and_saturates(value: float, target: tuple[type, Attribute]) -> None:
    x = np.array([value], np.float32)
    result = run(tosa.CastOp(value_of(x), target[1]), x)
    limits = np.iinfo(target[0])
    if math.isnan(value):
        expected = 0
    elif math.isinf(value):
        expected = limits.max if value > 0 else limits.min
    else:
        expected = min(max(round(Fraction(value)), limits.min), limits.max)
    assert result.dtype == target[0]
    assert result.tolist() == [expected]


def test_cast_between_integers_keeps_the_low_bits() -> None:
    x = np.array([300, -1, -129], np.int32)
    assert run(tosa.CastOp(value_of(x), i8), x).tolist() == [44, -1, 127]
    assert run(tosa.CastOp(value_of(x), i1), x).tolist() == [True, True, True]


@given(I32)
def test_cast_of_i32_to_f32_rounds_once(value: int) -> None:
    x = np.array([value], np.int32)
    assert run(tosa.CastOp(value_of(x), f32), x).tolist() == x.astype(np.float32).tolist()


# Half precision: computed wide, rounded once


@pytest.mark.parametrize("element", [f16, bf16], ids=str)
def test_half_precision_is_rounded_once(element: Attribute) -> None:
    dtype = evaluate_operation(tosa.CastOp(*values(TensorType(f32, [4])), element), [np.zeros(4, np.float32)])[0].dtype
    x = np.linspace(0.1, 1.7, 4).astype(dtype)
    result = run(tosa.ExpOp(*values(TensorType(element, [4]))), x)
    assert result.dtype == dtype
    assert result.tolist() == np.exp(x.astype(np.float64)).astype(dtype).tolist()


def test_float64_is_not_rounded() -> None:
    x = np.array([1.0], np.float32)
    (result,) = evaluate_operation(tosa.ExpOp(value_of(x)), [x], float64=True)
    assert result.dtype == np.float64
    assert result[0] == math.e


@given(st.floats(-100, 100, width=32))
def test_sigmoid_and_erf(value: float) -> None:
    x = np.array([value], np.float32)
    assert run(tosa.SigmoidOp(value_of(x)), x)[0] == pytest.approx(1 / (1 + math.exp(-value)), rel=3e-7)
    assert run(tosa.ErfOp(value_of(x)), x)[0] == np.float32(math.erf(value))


def test_nan_modes() -> None:
    x, y = np.array([np.nan, 1, np.nan], np.float32), np.array([2, np.nan, np.nan], np.float32)
    for mode, expected in (("PROPAGATE", [np.nan] * 3), ("IGNORE", [2, 1, np.nan])):
        operation = tosa.MaximumOp(value_of(x), value_of(y), nan_mode=mode)
        np.testing.assert_array_equal(run(operation, x, y), expected)
    clamp = tosa.ClampOp(value_of(x), 0.0, 6.0, nan_mode="IGNORE")
    np.testing.assert_array_equal(run(clamp, x), np.array([0, 1, 0], np.float32))


# Contractions and windows


def naive_conv2d(x, w, bias, pad, stride, dilation):
    """The specification's loop nest over exact Python numbers; `x` and `w` are without zero points."""
    n, height, width, _ = x.shape
    oc, kh, kw, ic = w.shape
    oh = (height - 1 + pad[0] + pad[1] - (kh - 1) * dilation[0]) // stride[0] + 1
    ow = (width - 1 + pad[2] + pad[3] - (kw - 1) * dilation[1]) // stride[1] + 1
    out = np.zeros((n, oh, ow, oc), x.dtype)
    for b, oy, ox, o, ky, kx, c in itertools.product(*map(range, (n, oh, ow, oc, kh, kw, ic))):
        iy, ix = oy * stride[0] - pad[0] + ky * dilation[0], ox * stride[1] - pad[2] + kx * dilation[1]
        if 0 <= iy < height and 0 <= ix < width:
            out[b, oy, ox, o] += x[b, iy, ix, c] * w[o, ky, kx, c]
    return out + bias


WINDOWS = st.fixed_dictionaries(
    {
        "pad": st.lists(st.integers(0, 2), min_size=4, max_size=4),
        "stride": st.lists(st.integers(1, 2), min_size=2, max_size=2),
        "dilation": st.lists(st.integers(1, 2), min_size=2, max_size=2),
    }
)


def fitting_extent(kernel: int, pad: list[int], stride: int, dilation: int, count: int) -> int:
    """The input extent for which `count` windows fit exactly."""
    return (count - 1) * stride + (kernel - 1) * dilation + 1 - sum(pad)


@settings(max_examples=25, deadline=None)
@given(SEEDS, WINDOWS, st.sampled_from(["int8", "int16", "float32"]), st.integers(1, 3), st.integers(1, 3))
def test_conv2d(seed: int, window: dict[str, list[int]], dtype: str, kernel: int, count: int) -> None:
    pad, stride, dilation = window["pad"], window["stride"], window["dilation"]
    height = fitting_extent(kernel, pad[:2], stride[0], dilation[0], count + 3)
    width = fitting_extent(kernel, pad[2:], stride[1], dilation[1], count + 4)
    weight_dtype, bias_dtype = ("float32", "float32") if dtype == "float32" else ("int8", "int32")
    x, w = random(seed, dtype, 2, height, width, 2), random(seed + 1, weight_dtype, 3, kernel, kernel, 2)
    input_zp = np.array([5 if dtype == "int8" else 0], dtype)
    weight_zp = np.zeros(1, weight_dtype)
    bias = random(seed + 2, bias_dtype, 3) if dtype != "int16" else np.array([2**40, -(2**40), 3])
    bias_type = TensorType(IntegerType(48), [3]) if dtype == "int16" else tensor(bias_dtype, 3)
    operation = tosa.Conv2DOp(
        value_of(x),
        value_of(w),
        *values(bias_type),
        value_of(input_zp),
        value_of(weight_zp),
        **window,
        acc_type=DTYPES["float32" if dtype == "float32" else "int32"],
    )
    exact = np.float64 if dtype == "float32" else object
    expected = naive_conv2d(
        x.astype(exact) - input_zp.astype(exact), w.astype(exact), bias.astype(exact), pad, stride, dilation
    )
    result = run(operation, x, w, bias, input_zp, weight_zp)
    if dtype == "float32":
        terms = kernel * kernel * x.shape[-1] + 1
        magnitude = naive_conv2d(
            np.abs(x).astype(exact), np.abs(w).astype(exact), np.abs(bias).astype(exact), pad, stride, dilation
        )
        # f32 products and their sums in any order, each rounded to half an eps.
        assert (np.abs(result - expected) <= terms * np.finfo(np.float32).eps * magnitude).all()
    else:
        wrapped = expected if dtype == "int16" else (expected + 2**31) % 2**32 - 2**31
        assert (result == wrapped.astype(np.int64)).all()


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_is_a_convolution_of_every_channel(multiplier: int) -> None:
    x, w = random(1, "int8", 1, 6, 7, 4), random(2, "int8", 3, 2, 4, multiplier)
    bias, zp = random(3, "int8", 4 * multiplier).astype(np.int32), np.array([-3], np.int8)
    operation = tosa.DepthwiseConv2DOp(
        *map(value_of, (x, w, bias, zp, np.zeros(1, np.int8))), pad=[1, 1, 0, 1], stride=[1, 2], dilation=[2, 1],
        acc_type=i32,
    )  # fmt: skip
    result = run(operation, x, w, bias, zp, np.zeros(1, np.int8))
    for channel in range(4):
        weight = w[:, :, channel, :].transpose(2, 0, 1)[..., None].astype(np.int64)
        part = slice(channel * multiplier, (channel + 1) * multiplier)
        centred = x[..., channel : channel + 1].astype(np.int64) + 3
        expected = naive_conv2d(centred, weight, bias[part], [1, 1, 0, 1], [1, 2], [2, 1])
        assert (result[..., part] == expected).all()


@pytest.mark.parametrize("out_pad", [[0, 0, 0, 0], [-1, -2, 1, 0], [2, 0, -2, -1]])
def test_transpose_conv2d_adds_a_kernel_for_every_element(out_pad: list[int]) -> None:
    x, w = random(1, "int8", 2, 3, 4, 2), random(2, "int8", 3, 3, 4, 2)
    bias, none = np.array([10, 20, 30], np.int32), np.zeros(1, np.int8)
    stride = [2, 3]
    operation = tosa.TransposeConv2DOp(
        *map(value_of, (x, w, bias, none, none)), out_pad=out_pad, stride=stride, acc_type=i32
    )
    top, bottom, left, right = out_pad
    expected = np.zeros((2, (3 - 1) * 2 + top + bottom + 3, (4 - 1) * 3 + left + right + 4, 3), np.int64) + bias
    for n, iy, ix, ky, kx, oc, ic in itertools.product(*map(range, (2, 3, 4, 3, 4, 3, 2))):
        oy, ox = iy * 2 + top + ky, ix * 3 + left + kx
        if 0 <= oy < expected.shape[1] and 0 <= ox < expected.shape[2]:
            expected[n, oy, ox, oc] += int(x[n, iy, ix, ic]) * int(w[oc, ky, kx, ic])
    assert (run(operation, x, w, bias, none, none) == expected).all()


def test_matmul_of_wide_integers_is_exact() -> None:
    """Products of i16 exceed what the mantissa of f32 holds."""
    a, b, none = random(1, "int16", 2, 3, 300), random(2, "int16", 2, 300, 4), np.zeros(1, np.int16)
    expected = np.einsum("nhc,ncw->nhw", a.astype(np.int64), b.astype(np.int64))
    result = run(tosa.MatMulOp(*map(value_of, (a, b, none, none))), a, b, none, none)
    assert (result == expected).all()


def test_avg_pool_of_i8_counts_no_padding_and_rounds() -> None:
    x, zps = random(3, "int8", 1, 5, 5, 2), (np.array([4], np.int8), np.array([-9], np.int8))
    operation = tosa.AvgPool2DOp(value_of(x), *map(value_of, zps), [3, 3], [1, 1], [1, 1, 1, 1], i32)
    result = run(operation, x, *zps)
    for y, column, channel in itertools.product(range(5), range(5), range(2)):
        window = x[0, max(y - 1, 0) : y + 2, max(column - 1, 0) : column + 2, channel].astype(int)
        total, count = int((window - 4).sum()), window.size
        # The reciprocal of the specification: ((1 << 30) + 1 << k) / count, shift 30 + k.
        bits = (count - 1).bit_length()
        scaled = scale_32(total, (((1 << 30) + 1) << bits) // count, 30 + bits, False)
        assert result[0, y, column, channel] == min(max(scaled - 9, -128), 127)


def test_max_pool_ignores_padding() -> None:
    x = np.full((1, 2, 2, 1), -128, np.int8)
    operation = tosa.MaxPool2DOp(value_of(x), [2, 2], [2, 2], [1, 1, 1, 1])
    assert run(operation, x).tolist() == x.tolist()


# Resize


def resized_at(x: np.ndarray, y: int, column: int, scale: tuple[int, ...], offset: list[int], mode: str) -> int:
    """One output element of an i8 image by the specification, in Python integers."""
    corners: list[tuple[int, int, int]] = []
    for axis, index in ((0, y), (1, column)):
        numerator, denominator, extent = scale[2 * axis], scale[2 * axis + 1], x.shape[axis]
        position = index * denominator + offset[axis]
        low = position // numerator
        distance = position - low * numerator
        corners.append((min(max(low, 0), extent - 1), min(max(low + 1, 0), extent - 1), distance))
    (y0, y1, dy), (x0, x1, dx) = corners
    y_n, x_n = scale[0], scale[2]
    if mode == "NEAREST_NEIGHBOR":
        return int(x[y1 if 2 * dy >= y_n else y0, x1 if 2 * dx >= x_n else x0])
    top = int(x[y0, x0]) * (x_n - dx) + int(x[y0, x1]) * dx
    bottom = int(x[y1, x0]) * (x_n - dx) + int(x[y1, x1]) * dx
    return top * (y_n - dy) + bottom * dy


@settings(max_examples=30, deadline=None)
@given(
    SEEDS,
    st.lists(st.integers(1, 4), min_size=4, max_size=4),
    st.lists(st.integers(-2, 2), min_size=2, max_size=2),
    st.sampled_from(["NEAREST_NEIGHBOR", "BILINEAR"]),
)
def test_resize(seed: int, scale: list[int], offset: list[int], mode: str) -> None:
    extents = (3, 4)
    # The border that makes the last position land on a whole step.
    border = [(-((extents[a] - 1) * scale[2 * a] - offset[a])) % scale[2 * a + 1] for a in (0, 1)]
    x = random(seed, "int8", 1, *extents, 1)
    operands = [shape_operand(*scale), shape_operand(*offset), shape_operand(*border)]
    operation = tosa.ResizeOp(value_of(x), *(value for value, _ in operands), mode=mode)
    result = run(operation, x, *(array for _, array in operands))
    for y, column in itertools.product(*map(range, result.shape[1:3])):
        assert result[0, y, column, 0] == resized_at(x[0, :, :, 0], y, column, tuple(scale), offset, mode)


# Indices


def test_scatter_undoes_gather() -> None:
    x, indices = random(1, "int32", 2, 5, 3), np.array([[4, 0, 2], [1, 3, 0]], np.int32)
    gathered = run(tosa.GatherOp(value_of(x), value_of(indices)), x, indices)
    assert (gathered[1, 2] == x[1, 0]).all()
    blank = np.zeros_like(x)
    back = run(tosa.ScatterOp(*map(value_of, (blank, indices, gathered))), blank, indices, gathered)
    kept = np.zeros((2, 5, 1), bool)
    kept[np.arange(2)[:, None], indices] = True
    assert (back == np.where(kept, x, 0)).all()
    assert not blank.any()


def test_gather_refuses_an_index_outside() -> None:
    x, indices = random(1, "int32", 1, 5, 3), np.array([[-1]], np.int32)
    with pytest.raises(Exception, match="outside of 0 to 4"):
        run(tosa.GatherOp(value_of(x), value_of(indices)), x, indices)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=4), st.lists(st.integers(1, 50), min_size=4, max_size=4))
def test_shape_arithmetic(left: list[int], right: list[int]) -> None:
    right = right[: len(left)]
    operands = [shape_operand(*left), shape_operand(*right)]
    first, second = (array for _, array in operands)
    expected = {
        tosa.DivCeilShapeOp: [math.ceil(Fraction(a, b)) for a, b in zip(left, right, strict=True)],
        tosa.DivFloorShapeOp: [a // b for a, b in zip(left, right, strict=True)],
        tosa.ModShapeOp: [a % b for a, b in zip(left, right, strict=True)],
        tosa.MinShapeOp: [min(a, b) for a, b in zip(left, right, strict=True)],
    }
    for operation, result in expected.items():
        assert run(operation(*(value for value, _ in operands)), first, second).tolist() == result
    assert run(tosa.Log2CeilShapeOp(operands[0][0]), first).tolist() == [math.ceil(math.log2(a)) for a in left]
    assert run(tosa.Log2FloorShapeOp(operands[0][0]), first).tolist() == [math.floor(math.log2(a)) for a in left]


def test_fourier_transform_of_an_impulse_is_flat() -> None:
    real, imaginary = np.zeros((1, 4, 8), np.float32), np.zeros((1, 4, 8), np.float32)
    real[0, 0, 0] = 1
    forward = tosa.FFT2DOp(value_of(real), value_of(imaginary), inverse=False)
    spectrum = evaluate_operation(forward, [real, imaginary])
    np.testing.assert_array_equal(spectrum, [np.ones((1, 4, 8)), np.zeros((1, 4, 8))])
    inverse = tosa.FFT2DOp(value_of(real), value_of(imaginary), inverse=True)
    # Neither direction is normalised. 32 terms of float64, whose eps is 2e-16.
    np.testing.assert_allclose(evaluate_operation(inverse, spectrum)[0], 32 * real, atol=1e-13)
