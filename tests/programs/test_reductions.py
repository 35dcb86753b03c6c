"""The programs of reductions.mlir agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from .programs import assert_equal, call, integers, shapes

MATRICES = shapes(2, 8, seed=6)
LOW = np.float32(-np.inf)


@pytest.mark.parametrize("shape", MATRICES)
def test_row_sums(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    assert_equal(call("reductions", "row_sums", a), [a.sum(1)])


@pytest.mark.parametrize("shape", MATRICES)
def test_column_sums(shape: tuple[int, ...]) -> None:
    a, start = integers(*shape), integers(shape[1], seed=1)
    assert_equal(call("reductions", "column_sums", a, start), [start + a.sum(0)])


@pytest.mark.parametrize("shape", MATRICES)
def test_whole(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    assert_equal(call("reductions", "whole", a), [np.asarray(a.sum()), np.asarray(a.max(initial=LOW))])


@pytest.mark.parametrize("shape", shapes(3, 8, seed=7))
def test_cube(shape: tuple[int, ...]) -> None:
    a, ik, j = integers(*shape), integers(shape[0], shape[2], seed=1), integers(shape[1], seed=2)
    largest = np.maximum(a.max((0, 2), initial=LOW), j)
    assert_equal(call("reductions", "cube", a, ik, j), [ik + a.sum(1), largest])


@pytest.mark.parametrize("shape", MATRICES)
def test_two_results(shape: tuple[int, ...]) -> None:
    a, sums, largest = integers(*shape), integers(shape[0], seed=1), integers(shape[0], seed=2)
    expected = [sums + np.square(a).sum(1), np.maximum(largest, np.square(a).max(1, initial=LOW))]
    assert_equal(call("reductions", "two_results", a, sums, largest), expected)


@pytest.mark.parametrize("shape", [shape for shape in MATRICES if shape[1]])
def test_argmax(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    assert_equal(call("reductions", "argmax", a), [a.argmax(1).astype(np.int32)])


@pytest.mark.parametrize("shape", MATRICES)
def test_softmax(shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(shape).normal(size=shape).astype(np.float32)
    exact = np.exp(a.astype(np.float64) - a.max(1, initial=LOW, keepdims=True))
    exact /= exact.sum(1, keepdims=True)
    # A subtraction, an exponential of at most 4 units in the last place, n additions in any order, a division; the
    # error of the argument, at most half a unit of the largest difference, becomes one of the exponential.
    spread = float(np.ptp(a)) if a.size else 0.0
    bound = (4 + 1 + shape[1] + 1 + spread) * np.finfo(np.float32).eps
    for result in call("reductions", "softmax", a):
        assert result.shape == shape
        np.testing.assert_array_less(np.abs(result - exact), bound * exact + np.finfo(np.float32).tiny)
