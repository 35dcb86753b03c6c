"""The programs of control_flow.mlir agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from .programs import assert_equal, call, integers, shapes


@pytest.mark.parametrize("n", [0, 1, 2, 7, 33])
def test_calls(n: int) -> None:
    a = integers(n, n)
    assert_equal(call("control_flow", "calls", a), [a @ a, a @ a @ a])


@pytest.mark.parametrize(("m", "n", "count"), [(0, 1, 2), (1, 1, 3), (7, 5, 0), (5, 7, 1), (17, 9, 4)])
def test_power(m: int, n: int, count: int) -> None:
    a, start = integers(n, n), integers(m, n, seed=1)
    assert_equal(call("control_flow", "power", a, start, count), [start @ np.linalg.matrix_power(a, count)])


@pytest.mark.parametrize("shape", shapes(2, 6, seed=8))
def test_rows(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    weights = np.arange(shape[0], dtype=np.float32)
    assert_equal(call("control_flow", "rows", a), [weights @ a, np.asarray(max(0, shape[0] - 1), np.int32)])


@pytest.mark.parametrize("shape", shapes(2, 4, seed=9))
def test_choose(shape: tuple[int, ...]) -> None:
    a, b = integers(*shape), integers(*shape, seed=1)
    assert_equal(call("control_flow", "choose", True, a, b), [a + b, np.asarray(shape[0])])
    assert_equal(call("control_flow", "choose", False, a, b), [b, np.asarray(shape[1])])


@pytest.mark.parametrize(("limit", "times"), [(1, 0), (10, 0), (11, 1), (100, 4)])
def test_doubled(limit: float, times: int) -> None:
    a = np.array([1, 2, 3, 4], np.float32)
    expected = [a * np.float32(2**times), np.asarray(times, np.int32)]
    assert_equal(call("control_flow", "doubled", a, np.float32(limit)), expected)


def test_scalars() -> None:
    got = call("control_flow", "scalars", np.float32(2), np.int32(8), 21)
    assert_equal(got, [np.asarray(np.float32(4)), np.asarray(np.int32(1)), np.asarray(42), np.asarray(False)])
