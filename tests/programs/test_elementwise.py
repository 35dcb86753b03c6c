"""The programs of elementwise.mlir agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from .programs import assert_equal, call, integers, shapes

MATRICES = shapes(2, 8, seed=1)


def test_static_add() -> None:
    a, b = integers(10), integers(10, seed=1)
    assert_equal(call("elementwise", "static_add", a, b), [a + b])


def test_constants() -> None:
    a = integers(2, 3)
    factor = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    numbers = np.array([[-1, 0, 1], [2, 3, np.iinfo(np.int64).max]])
    assert_equal(call("elementwise", "constants", a), [a * factor + np.float32(2.5), numbers])


@pytest.mark.parametrize("shape", MATRICES)
@pytest.mark.parametrize("function", ["dynamic_add", "input_in_outs"])
def test_add(function: str, shape: tuple[int, ...]) -> None:
    a, b = integers(*shape), integers(*shape, seed=1)
    assert_equal(call("elementwise", function, a, b), [a + b])


@pytest.mark.parametrize("shape", MATRICES)
def test_fused_chain(shape: tuple[int, ...]) -> None:
    a, bias, scale = integers(*shape), integers(shape[1], seed=1), np.float32(2)
    assert_equal(call("elementwise", "fused_chain", a, bias, scale), [np.maximum(a * scale + bias, np.float32(0))])


@pytest.mark.parametrize("shape", MATRICES)
def test_whole_tensors(shape: tuple[int, ...]) -> None:
    a, b = integers(*shape), integers(*shape, seed=1)
    less = a * b < a
    smaller = np.abs(np.where(less, a * b, a))
    assert_equal(call("elementwise", "whole_tensors", a, b), [smaller, less, smaller.astype(np.int32)])


@pytest.mark.parametrize("shape", MATRICES)
def test_named(shape: tuple[int, ...]) -> None:
    a, b = integers(*shape), integers(*shape, seed=1)
    negated = -np.square(np.maximum((a + b) * b - a, b))
    assert_equal(call("elementwise", "named", a, b), [negated, 2 * np.minimum(negated, a)])


@pytest.mark.parametrize("shape", MATRICES)
def test_indices(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    rows, columns = np.indices(shape)
    diagonal = np.where(rows == columns, a, np.float32(0))
    assert_equal(call("elementwise", "indices", a), [rows * 100 + columns, diagonal])


@pytest.mark.parametrize("shape", MATRICES)
def test_moved(shape: tuple[int, ...]) -> None:
    a, row = integers(*shape), integers(shape[1], seed=1)
    rows = np.broadcast_to(row, shape)
    assert_equal(call("elementwise", "moved", a, row), [2 * a.T, rows, rows])
