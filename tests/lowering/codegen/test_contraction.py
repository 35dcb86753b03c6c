"""Matrix products over tiled operands, executed on every target against numpy, all buffers between guard pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen.contraction import emit_matmul
from tosaic.lowering.codegen.runtime_matmul import emit_mmt4d
from tosaic.lowering.dialects.linalg import BatchMmt4dOp, Mmt4dOp
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.target import Target
from xdsl.ir import SSAValue

from .harness import targets
from .roots import assert_products_close, emit_region, pack_left, pack_right, random_array, tensor_type, values


class Types(NamedTuple):
    left: Any
    right: Any
    result: Any
    k0: int
    offset: int = 0


BF16 = ml_dtypes.bfloat16
TYPES = [
    Types(np.float32, np.float32, np.float32, 1),
    Types(np.float32, np.float16, np.float32, 1),
    Types(np.float32, np.int8, np.float32, 1),
    Types(np.float32, np.float32, np.float32, 2),
    Types(BF16, BF16, np.float32, 2),
    Types(BF16, BF16, np.float32, 1),
    Types(np.float16, np.float16, np.float32, 1),
    Types(np.int8, np.int8, np.int32, 4, 128),
    Types(np.int8, np.int8, np.int32, 2),
    Types(np.int8, np.int8, np.int32, 2, 128),
    Types(np.int8, np.int8, np.int32, 1),
    Types(np.int16, np.int8, np.int64, 1),
]
EXAMPLES = settings(max_examples=4, deadline=None, database=None, derandomize=True)


def check_matmul(
    target: Target,
    types: Types,
    m: int,
    n: int,
    k: int,
    m0: int,
    n0: int,
    batch: int = 0,
    threads: int = 1,
    seed: int = 0,
) -> None:
    rng = np.random.default_rng(seed)
    batches = (batch,) if batch else ()
    left = random_array(rng, types.left, (*batches, m, k))
    right = random_array(rng, types.right, (*batches, k, n))
    packed = pack_right(right, n0, types.k0)
    # Rows and columns of the result that nobody writes would keep this value.
    result = np.full((*batches, m, n), 77, types.result)

    def matmul(arguments: Sequence[SSAValue]) -> MatmulOp:
        lhs, rhs = arguments
        return MatmulOp(lhs, rhs, tensor_type(result), m0, types.offset)

    root = emit_region(emit_matmul, target, [left, packed], result, matmul)
    for at_end in (True, False):
        actual = root.run(left, packed, threads=threads, at_end=at_end)
        assert_products_close(actual, left, right, types.offset)


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    m=st.integers(1, 40),
    n=st.integers(1, 80),
    k=st.integers(1, 70),
    m0=st.integers(1, 14),
    n0=st.sampled_from([4, 8, 16, 32, 48]),
    batch=st.integers(0, 3),
    threads=st.integers(1, 5),
    seed=st.integers(0, 100),
)
def test_matmul(target: Target, types: Types, **case: Any) -> None:
    check_matmul(target, types, **case)


@pytest.mark.parametrize("types", [TYPES[0], TYPES[1], TYPES[2], TYPES[4], TYPES[7]], ids=str)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_matmul_sweeps_k_in_blocks(target: Target, types: Types) -> None:
    """More steps than one block holds, rows whose distance is a multiple of a page, more rows than one block."""
    check_matmul(target, types, m=131, n=70, k=2048 * types.k0, m0=8, n0=16, threads=3)


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_one_row_takes_all_columns(target: Target) -> None:
    check_matmul(target, TYPES[0], m=1, n=1001, k=257, m0=8, n0=32, threads=2)


@pytest.mark.parametrize("types", [t for t in TYPES if not t.offset], ids=str)
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    m=st.integers(1, 30),
    n=st.integers(1, 40),
    k=st.integers(1, 20),
    m0=st.integers(1, 8),
    n0=st.sampled_from([4, 8, 16]),
    batch=st.integers(0, 2),
    seed=st.integers(0, 100),
)
def test_mmt4d(target: Target, types: Types, m: int, n: int, k: int, m0: int, n0: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = (batch,) if batch else ()
    left = random_array(rng, types.left, (*batches, m, k))
    right = random_array(rng, types.right, (*batches, k, n))
    packed_left, packed_right = pack_left(left, m0, types.k0), pack_right(right, n0, types.k0)
    result = np.full((*batches, packed_left.shape[-4], packed_right.shape[-4], m0, n0), 77, types.result)

    def mmt4d(arguments: Sequence[SSAValue]) -> Mmt4dOp | BatchMmt4dOp:
        lhs, rhs = arguments
        (init,) = values(result)
        return BatchMmt4dOp(lhs, rhs, init) if batch else Mmt4dOp(lhs, rhs, init)

    root = emit_region(emit_mmt4d, target, [packed_left, packed_right], result, mmt4d)
    actual = root.run(packed_left, packed_right, threads=2)
    rows = np.swapaxes(actual, -3, -2).reshape(*batches, packed_left.shape[-4] * m0, -1)
    assert_products_close(rows[..., :m, :n], left, right)
