"""Packing and unpacking tensors of sizes known only at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.dialects.linalg import PackOp, UnpackOp
from tosaic.lowering.target import Target
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Operation, SSAValue

from .harness import targets
from .matrices import Product, compiled, product_region, type_of
from .roots import ELEMENTS, pack_right, random_array

EXAMPLES = settings(max_examples=10, deadline=None, database=None, derandomize=True)


@compiled
def _pack(target: Target, dtype: Any, rows: int, columns: int, transposed: bool, unpack: bool) -> Product:
    """[k, n], or [n, k] where transposed, in tiles [n1, k1, n0, k0]; or back."""
    positions, outer = ([0, 1], [0, 1]) if transposed else ([1, 0], [1, 0])
    plain, packed = type_of(dtype, [0, 0], ()), type_of(dtype, [0, 0, columns, rows], (2, 3))
    parts = {"inner_dims_pos": positions, "inner_tiles": [columns, rows], "outer_dims_perm": outer}
    source, result = (packed, plain) if unpack else (plain, packed)

    def root(arguments: Sequence[SSAValue]) -> Sequence[Operation]:
        empty = EmptyOp(arguments[1:], result)
        if unpack:
            return [empty, UnpackOp(arguments[0], empty, **parts)]
        element = ELEMENTS[np.dtype(dtype)]
        seven = ConstantOp(FloatAttr(7.0, element) if np.dtype(dtype).kind == "f" else IntegerAttr(7, element))
        return [empty, seven, PackOp(arguments[0], empty, padding_value=seven, **parts)]

    return Product(product_region([source], result, root, indices=2), target)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.float64])
@pytest.mark.parametrize("tile", [(1, 32), (4, 16), (2, 7)])
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    k=st.integers(0, 70),
    n=st.integers(0, 100),
    transposed=st.booleans(),
    threads=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_pack_and_unpack(
    target: Target, dtype: Any, tile: tuple[int, int], k: int, n: int, transposed: bool, threads: int, seed: int
) -> None:
    k0, n0 = tile
    plain = random_array(np.random.default_rng(seed), dtype, (k, n))
    padded = np.full((-(-k // k0) * k0, -(-n // n0) * n0), 7, dtype)
    padded[:k, :n] = plain
    tiles = pack_right(padded, n0, k0)
    rows = np.ascontiguousarray(plain.T) if transposed else plain
    pack = _pack(target, dtype, k0, n0, transposed, False)
    unpack = _pack(target, dtype, k0, n0, transposed, True)
    for at_end in (True, False):
        packed = pack.run([rows, *tiles.shape[:2]], np.full_like(tiles, 3), threads=threads, at_end=at_end)
        np.testing.assert_array_equal(packed, tiles)
        unpacked = unpack.run([tiles, *rows.shape], np.full_like(rows, 3), threads=threads, at_end=at_end)
        np.testing.assert_array_equal(unpacked, rows)
