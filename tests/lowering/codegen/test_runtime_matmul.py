"""Products of packed operands of sizes known only at run time: one kernel for all sizes, 0 and 1 among them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen.runtime_sweep import PART_STEPS
from tosaic.lowering.dialects.linalg import BatchMmt4dOp, Mmt4dOp
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.target import Target
from xdsl.dialects.tensor import EmptyOp

from .harness import targets
from .matrices import Product, compiled, product_region, type_of
from .roots import assert_products_close, pack_left, pack_right, random_array

BF16 = ml_dtypes.bfloat16
CASES = [
    # lhs, rhs, result, k0, lhs_offset
    (np.float32, np.float32, np.float32, 1, 0),
    (np.float64, np.float64, np.float64, 1, 0),
    (BF16, BF16, np.float32, 2, 0),
    (np.float16, np.float16, np.float32, 1, 0),
    (np.float16, np.float16, np.float16, 1, 0),
    (BF16, BF16, BF16, 1, 0),
    (np.int8, np.int8, np.int32, 4, 128),
    (np.int8, np.int8, np.int32, 2, 0),
    (np.int16, np.int16, np.int32, 2, 0),
    (np.int32, np.int32, np.int32, 1, 0),
    (np.int64, np.int64, np.int64, 1, 0),
    (np.int8, np.int8, np.int8, 2, 0),
]
EXAMPLES = settings(max_examples=8, deadline=None, database=None, derandomize=True)


@compiled
def _matmul(target: Target, case: int, batched: bool, m0: int, n0: int) -> Product:
    left, right, result, k0, offset = CASES[case]
    lead = [0] if batched else []
    rank = len(lead) + 4
    types = [type_of(left, [0] * (rank - 2), ()), type_of(right, [*lead, 0, 0, n0, k0], (rank - 2, rank - 1))]
    out = type_of(result, [0] * (len(lead) + 2), ())
    return Product(product_region(types, out, lambda args: [MatmulOp(args[0], args[1], out, m0, offset)]), target)


def _check_matmul(
    target: Target, case: int, m: int, n: int, k: int, m0: int, n0: int, batch: int | None, threads: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    left_type, right_type, result_type, k0, offset = CASES[case]
    batches = () if batch is None else (batch,)
    left = random_array(rng, left_type, (*batches, m, k))
    right = random_array(rng, right_type, (*batches, k, n))
    packed = pack_right(right, n0, k0)
    result = np.full((*batches, m, n), 77, result_type)
    product = _matmul(target, case, batch is not None, m0, n0)
    for at_end in (True, False):
        actual = product.run([left, packed], result, threads=threads, at_end=at_end)
        assert_products_close(actual, left, right, offset)


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: str(CASES[case]))
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    m=st.integers(0, 40),
    n=st.integers(0, 80),
    k=st.integers(0, 70),
    shape=st.sampled_from([(14, 32), (5, 16)]),
    batch=st.none() | st.integers(0, 3),
    threads=st.integers(1, 5),
    seed=st.integers(0, 100),
)
def test_matmul(target: Target, case: int, shape: tuple[int, int], **sizes: Any) -> None:
    _check_matmul(target, case, m0=shape[0], n0=shape[1], **sizes)


@pytest.mark.parametrize("case", [0, 2, 6])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 70, 2 * PART_STEPS + 3), (300, 33, PART_STEPS + 1), (131, 100, 40)])
def test_matmul_of_many_parts_and_blocks(case: int, m: int, n: int, k: int) -> None:
    k *= CASES[case][3]
    _check_matmul(targets()[0], case, m, n, k, m0=14, n0=32, batch=None, threads=3, seed=0)


@compiled
def _mmt4d(target: Target, case: int, batched: bool, m0: int, n0: int) -> Product:
    left, right, result, k0, _ = CASES[case]
    lead = [0] if batched else []
    rank = len(lead) + 4
    inner = (rank - 2, rank - 1)
    types = [type_of(left, [*lead, 0, 0, m0, k0], inner), type_of(right, [*lead, 0, 0, n0, k0], inner)]
    out = type_of(result, [*lead, 0, 0, m0, n0], inner)

    def root(arguments: Any) -> list[Any]:
        init = EmptyOp(arguments[2:], out)
        return [init, (BatchMmt4dOp if batched else Mmt4dOp)(arguments[0], arguments[1], init)]

    return Product(product_region(types, out, root, indices=rank - 2), target)


@pytest.mark.parametrize("case", [i for i, case in enumerate(CASES) if not case[4]], ids=lambda i: str(CASES[i]))
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@EXAMPLES
@given(
    m=st.integers(0, 30),
    n=st.integers(0, 40),
    k=st.integers(0, 20),
    shape=st.sampled_from([(8, 16), (1, 4), (20, 144), (3, 7)]),
    batch=st.none() | st.integers(0, 2),
    seed=st.integers(0, 100),
)
def test_mmt4d(
    target: Target, case: int, m: int, n: int, k: int, shape: tuple[int, int], batch: int | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    left_type, right_type, result_type, k0, _ = CASES[case]
    batches = () if batch is None else (batch,)
    m0, n0 = shape
    left, right = random_array(rng, left_type, (*batches, m, k)), random_array(rng, right_type, (*batches, k, n))
    packed_left, packed_right = pack_left(left, m0, k0), pack_right(right, n0, k0)
    result = np.full((*batches, packed_left.shape[-4], packed_right.shape[-4], m0, n0), 77, result_type)
    product = _mmt4d(target, case, batch is not None, m0, n0)
    actual = product.run([packed_left, packed_right, *result.shape[:-2]], result, threads=2)
    rows = np.swapaxes(actual, -3, -2).reshape(*batches, packed_left.shape[-4] * m0, packed_right.shape[-4] * n0)
    assert_products_close(rows[..., :m, :n], left, right)
