"""The programs of tensors.mlir agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest
import tosaic.lowering
import tosaic.runtime
import tosaic.tosa
from tosaic.runtime.errors import ArgumentError

from .programs import assert_equal, call, integers, shapes

MATRICES = shapes(2, 8, seed=12)


@pytest.mark.parametrize(("shape", "row", "count"), [((1, 1), 0, 1), ((7, 5), 2, 0), ((7, 0), 6, 1), ((33, 65), 3, 29)])
def test_slices(shape: tuple[int, int], row: int, count: int) -> None:
    a = integers(*shape)
    replaced = a.copy()
    replaced[0] = a[row]
    assert_equal(call("tensors", "slices", a, row, count), [a[row : row + count], a[row], replaced])


def test_strided() -> None:
    a = integers(8, 6)
    part = a[1::2, ::3]
    replaced = a.copy()
    replaced[::2, 1::3] = part
    assert_equal(call("tensors", "strided", a), [part, replaced])


@pytest.mark.parametrize("low", [0, 1, 5])
@pytest.mark.parametrize("shape", MATRICES)
def test_padded(shape: tuple[int, ...], low: int) -> None:
    a = integers(*shape)
    ones = np.pad(a, ((low, 2), (1, low)), constant_values=1)
    assert_equal(
        call("tensors", "padded", a, low, np.float32(9)), [ones, np.pad(a, ((0, low), (1, 0)), constant_values=9)]
    )


@pytest.mark.parametrize("m", [0, 1, 4, 33])
def test_reshaped(m: int) -> None:
    a = integers(m, 6)
    got = call("tensors", "reshaped", a, np.array([3, 2 * m]))
    assert_equal(got, [a.reshape(-1), a.reshape(m, 2, 3), a.reshape(3, 2 * m)])


@pytest.mark.parametrize("m", [0, 1, 5])
def test_generated(m: int) -> None:
    products = np.arange(m)[:, None] * np.arange(3)
    v = np.float32(7)
    corner = np.array([[0, 0], [0, 7]], np.float32)
    got = call("tensors", "generated", m, v)
    assert_equal(got, [products.astype(np.float32), np.full(m, v), corner, np.array([2, m, 1])])


@pytest.mark.parametrize(("shape", "count"), [((1, 1), 1), ((5, 7), 0), ((5, 7), 9), ((33, 2), 17)])
def test_gathered(shape: tuple[int, int], count: int) -> None:
    a = integers(*shape)
    indices = np.random.default_rng(count).integers(0, shape[0], (count, 1)).astype(np.int32)
    assert_equal(call("tensors", "gathered", a, indices), [a[indices[:, 0]], a[indices[:, 0], 0]])


@pytest.mark.parametrize("n", [0, 1, 19])
def test_bits(n: int) -> None:
    a = integers(n)
    assert_equal(call("tensors", "bits", a), [a.view(np.int32)])


@pytest.mark.parametrize("shape", MATRICES)
def test_untouched(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    assert_equal(call("tensors", "untouched", a), [a, np.zeros((0, 3), np.int8)])


@pytest.mark.parametrize(("m", "n", "k"), shapes(3, 8, seed=13))
def test_concatenated(m: int, n: int, k: int) -> None:
    a, b = integers(m, k), integers(n, k, seed=1)
    joined = np.concatenate([a, b])
    assert_equal(call("tensors", "concatenated", a, b), [joined, np.concatenate([joined] * 3, axis=1)])


@pytest.mark.parametrize("n", [0, 1, 7])
def test_cast(n: int) -> None:
    a = integers(4, n)
    assert_equal(call("tensors", "cast", a), [a, 2 * a])


def test_cast_to_another_size() -> None:
    with pytest.raises(ArgumentError, match="4"):
        call("tensors", "cast", integers(3, 8))


def test_a_convolution_of_no_channels_is_its_accumulator() -> None:
    text = """func.func @main(%x: tensor<1x5x5x0xf32>, %w: tensor<2x3x3x0xf32>) -> tensor<1x3x3x2xf32> {
      %zero = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<1x3x3x2xf32>
      %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
      %sums = linalg.conv_2d_nhwc_fhwc ins(%x, %w : tensor<1x5x5x0xf32>, tensor<2x3x3x0xf32>)
        outs(%init : tensor<1x3x3x2xf32>) -> tensor<1x3x3x2xf32>
      return %sums : tensor<1x3x3x2xf32>
    }"""
    with tosaic.runtime.load(tosaic.lowering.compile(tosaic.tosa.read(text.encode()))) as program:
        (sums,) = program.run([np.ones((1, 5, 5, 0), np.float32), np.ones((2, 3, 3, 0), np.float32)])
    np.testing.assert_array_equal(sums, np.zeros((1, 3, 3, 2)))
