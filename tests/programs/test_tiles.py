"""The programs of tiles.mlir agree with numpy."""

from __future__ import annotations

import numpy as np
import pytest

from .programs import Array, assert_equal, call, integers, shapes


def pack(rows: Array, tile: tuple[int, int]) -> Array:
    """[M1, N1, M0, N0] of `rows` [M, N], padded with zeros."""
    m, n = (-(-size // extent) for size, extent in zip(rows.shape, tile, strict=True))
    padded = np.zeros((m * tile[0], n * tile[1]), rows.dtype)
    padded[: rows.shape[0], : rows.shape[1]] = rows
    return padded.reshape(m, tile[0], n, tile[1]).transpose(0, 2, 1, 3)


def test_packed() -> None:
    a = integers(5, 7)
    assert_equal(call("tiles", "packed", a), [pack(a, (4, 4))])


def test_permuted() -> None:
    a = integers(8, 6)
    assert_equal(call("tiles", "permuted", a), [pack(a, (4, 2)).transpose(1, 0, 3, 2), a])


def test_matmul() -> None:
    a, b = integers(17, 33), integers(33, 9, seed=1)
    assert_equal(call("tiles", "matmul", a, b), [a @ b])


@pytest.mark.parametrize(("m", "n", "k"), shapes(3, 8, seed=10))
def test_mmt4d(m: int, n: int, k: int) -> None:
    a, b = integers(m, k, 4, 2, dtype=np.int8), integers(n, k, 3, 2, dtype=np.int8, seed=1)
    c = integers(m, n, 4, 3, dtype=np.int32, seed=2)
    products = np.einsum("mkac,nkbc->mnab", a.astype(np.int32), b.astype(np.int32))
    assert_equal(call("tiles", "mmt4d", a, b, c), [c + products])


def test_batch_mmt4d() -> None:
    a, b, c = integers(2, 1, 3, 4, 2), integers(2, 2, 3, 5, 2, seed=1), integers(2, 1, 2, 4, 5, seed=2)
    assert_equal(call("tiles", "batch_mmt4d", a, b, c), [c + np.einsum("zmkac,znkbc->zmnab", a, b)])


@pytest.mark.parametrize("shape", shapes(2, 8, seed=11))
def test_dynamic(shape: tuple[int, ...]) -> None:
    a = integers(*shape)
    assert_equal(call("tiles", "dynamic", a), [pack(a, (4, 2)), a])
