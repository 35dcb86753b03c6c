"""The programs of older.mlir, in spellings that MLIR has given up, agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from .programs import assert_equal, call, integers, shapes
from .test_tiles import pack


@pytest.mark.parametrize("shape", shapes(2, 5, seed=17))
def test_named(shape: tuple[int, ...]) -> None:
    a, b = integers(*shape), integers(*shape, seed=1)
    negated = -np.square(np.maximum((a + b) * b - a, b))
    assert_equal(call("older", "named", a, b), [negated, 2 * np.minimum(negated, a)])


@pytest.mark.parametrize(("m", "n", "k"), shapes(3, 5, seed=18))
def test_named_transposes(m: int, n: int, k: int) -> None:
    a, b, c = integers(m, k), integers(k, n, seed=1), integers(m, n, seed=2)
    at, bt = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    assert_equal(call("older", "named_transposes", a, at, b, bt, c), [c + a @ b] * 4)


def test_permuted() -> None:
    a = integers(8, 6)
    assert_equal(call("older", "permuted", a), [pack(a, (4, 2)).transpose(1, 0, 3, 2), a])
