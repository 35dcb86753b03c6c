"""The programs of tosa.mlir, of unknown sizes, agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from .programs import assert_equal, call, integers, shapes

MATRICES = shapes(2, 6, seed=19)


@pytest.mark.parametrize("shape", MATRICES)
def test_elementwise(shape: tuple[int, ...]) -> None:
    a, b = integers(*shape), integers(*shape, seed=1)
    clamped = np.clip(a + b, np.float32(-1), np.float32(3))
    assert_equal(call("tosa", "elementwise", a, b), [clamped, clamped.astype(np.int32), a > b])


@pytest.mark.parametrize("shape", MATRICES)
def test_row_bias(shape: tuple[int, ...]) -> None:
    a, b = integers(*shape), integers(1, shape[1], seed=1)
    assert_equal(call("tosa", "row_bias", a, b), [a + b])


@pytest.mark.parametrize(("b", "m", "n", "k"), shapes(4, 6, seed=20))
def test_matmul(b: int, m: int, n: int, k: int) -> None:
    lhs, rhs = integers(b, m, k), integers(b, k, n, seed=1)
    assert_equal(call("tosa", "matmul", lhs, rhs), [lhs @ rhs])


@pytest.mark.parametrize("shape", [shape for shape in MATRICES if shape[0]])
def test_reductions(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    assert_equal(call("tosa", "reductions", a), [a.sum(1, keepdims=True), a.max(0, keepdims=True)])


@pytest.mark.parametrize(("m", "n", "k"), shapes(3, 6, seed=21))
def test_concatenated(m: int, n: int, k: int) -> None:
    a, b = integers(m, k), integers(n, k, seed=1)
    assert_equal(call("tosa", "concatenated", a, b), [np.concatenate([a, b])])


@pytest.mark.parametrize("shape", MATRICES)
def test_padded(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    assert_equal(call("tosa", "padded", a), [np.pad(a, ((1, 2), (0, 3)), constant_values=7)])


@pytest.mark.parametrize("shape", MATRICES)
def test_transposed(shape: tuple[int, ...]) -> None:
    a = integers(*shape, 3)
    assert_equal(call("tosa", "transposed", a), [np.ascontiguousarray(a.transpose(2, 0, 1))])


@pytest.mark.parametrize("m", [0, 1, 5, 33])
def test_reshaped(m: int) -> None:
    a = integers(m, 6)
    assert_equal(call("tosa", "reshaped", a), [a.reshape(m, 2, 3), a.reshape(-1)])


@pytest.mark.parametrize(("m", "n", "k"), shapes(3, 6, seed=22))
def test_mixed(m: int, n: int, k: int) -> None:
    a, b = integers(m, k), integers(k, n, seed=1)
    assert_equal(call("tosa", "mixed", a, b), [2 * np.clip(a @ b, np.float32(0), np.float32(6))])
