"""The programs of matmuls.mlir agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from .programs import assert_equal, call, integers, shapes

EXTENTS = shapes(3, 8, seed=2)
GENERICS = {
    "accumulate": (False, False),
    "generic_nn": (False, False),
    "generic_nt": (False, True),
    "generic_tn": (True, False),
    "generic_tt": (True, True),
    "generic_outer_reduction": (False, False),
}


def test_static() -> None:
    a, b = integers(4, 8), integers(8, 4)
    assert_equal(call("matmuls", "static", a, b), [a @ b])


@pytest.mark.parametrize(("m", "n", "k"), EXTENTS)
@pytest.mark.parametrize("function", GENERICS)
def test_products(function: str, m: int, n: int, k: int) -> None:
    a, b, c = integers(m, k), integers(k, n, seed=1), integers(m, n, seed=2)
    transposed = GENERICS[function]
    lhs, rhs = (
        np.ascontiguousarray(array.T) if flip else array for array, flip in zip((a, b), transposed, strict=True)
    )
    assert_equal(call("matmuls", function, lhs, rhs, c), [c + a @ b])


@pytest.mark.parametrize(("m", "n", "k"), EXTENTS)
def test_transposed_result(m: int, n: int, k: int) -> None:
    a, b, c = integers(m, k), integers(k, n, seed=1), integers(n, m, seed=2)
    assert_equal(call("matmuls", "generic_transposed_result", a, b, c), [c + (a @ b).T])


@pytest.mark.parametrize(("m", "n", "k"), EXTENTS)
def test_mapped(m: int, n: int, k: int) -> None:
    a, b, c = integers(m, k), integers(k, n, seed=1), integers(m, n, seed=2)
    at, bt = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    assert_equal(call("matmuls", "mapped", a, at, b, bt, c), [c + a @ b] * 4)


@pytest.mark.parametrize(("m", "n"), shapes(2, 8, seed=3))
def test_vectors(m: int, n: int) -> None:
    a, x, y, start = integers(m, n), integers(n, seed=1), integers(m, seed=2), np.float32(5)
    assert_equal(call("matmuls", "vectors", a, x, y, start), [a @ x, y @ a, np.asarray(start + x @ x)])


@pytest.mark.parametrize(("b", "m", "n", "k"), shapes(4, 8, seed=4))
def test_batched(b: int, m: int, n: int, k: int) -> None:
    lhs, rhs, init = integers(b, m, k), integers(b, k, n, seed=1), integers(b, m, n, seed=2)
    products = lhs @ rhs
    assert_equal(call("matmuls", "batched", lhs, rhs, init), [init + products, products.sum(0)])


def test_batch_vectors() -> None:
    a, x, c = integers(3, 5, 7), integers(3, 7, seed=1), integers(3, 5, seed=2)
    assert_equal(call("matmuls", "batch_vectors", a, x, c), [c + np.einsum("bmk,bk->bm", a, x)])


def test_many_loops() -> None:
    a, b = integers(2, 3, 5, 4, 8), integers(2, 3, 4, 8, 6, 2, seed=1)
    assert_equal(call("matmuls", "many_loops", a, b), [np.einsum("bhmkl,bhklno->bhmno", a, b)])


@pytest.mark.parametrize(("m", "n", "k", "o"), shapes(4, 8, seed=5))
def test_chain(m: int, n: int, k: int, o: int) -> None:
    a, b, bias, d = integers(m, k), integers(k, n, seed=1), integers(n, seed=2), integers(n, o, seed=3)
    assert_equal(call("matmuls", "chain", a, b, bias, d), [np.maximum(a @ b + bias, np.float32(0)) @ d])


@pytest.mark.parametrize("m", [0, 1, 5, 33])
def test_constant_weights(m: int) -> None:
    a = integers(m, 3)
    weights = np.array([[1, 2, 3], [-1, 0, 2]], np.float32)
    assert_equal(call("matmuls", "constant_weights", a), [a @ weights.T])
