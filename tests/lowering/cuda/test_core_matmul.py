"""Products on the CUDA cores of an emulated GPU against numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.tiled import MatmulOp
from xdsl.ir import SSAValue

from ..codegen.harness import Array
from ..codegen.roots import assert_products_close, make_region, pack_right, random_array, tensor_type
from ..codegen.test_convolution import EXAMPLES
from .harness import CAPABILITIES, Emulated, assert_nothing_spills, gpu

TYPES = [
    (np.float32, np.float32, np.float32),
    (np.float32, np.float16, np.float32),
    (np.float32, np.int8, np.float32),
    (np.float64, np.float64, np.float64),
    (np.int32, np.int32, np.int32),
    (np.int16, np.int8, np.int64),
]
TILES = [(4, 32), (16, 16), (16, 32), (32, 32), (64, 32), (32, 64), (64, 64)]


def make_matmul(
    types: Sequence[Any], m: int, n: int, k: int, tile: tuple[int, int], batch: int = 0, seed: int = 0
) -> tuple[RegionOp, Array, Array, Array, Array]:
    """(region, left, right in tiles, what is in the result before, right)"""
    rng = np.random.default_rng(seed)
    batches = (batch,) if batch else ()
    left = random_array(rng, types[0], (*batches, m, k))
    right = random_array(rng, types[1], (*batches, k, n))
    packed = pack_right(right, tile[1], 1)
    result = np.full((*batches, m, n), 77, types[2])

    def matmul(arguments: Sequence[SSAValue]) -> MatmulOp:
        return MatmulOp(arguments[0], arguments[1], tensor_type(result), tile[0])

    return make_region([left, packed], result, matmul)[0], left, packed, result, right


@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("capability", ["sm_75", "sm_80"])
@EXAMPLES
@given(
    m=st.integers(1, 70),
    n=st.integers(1, 70),
    k=st.integers(1, 150),
    tile=st.sampled_from(TILES),
    batch=st.integers(0, 3),
    blocks=st.integers(0, 2),
    seed=st.integers(0, 100),
)
def test_matmul(
    capability: str,
    types: Sequence[Any],
    m: int,
    n: int,
    k: int,
    tile: tuple[int, int],
    batch: int,
    blocks: int,
    seed: int,
) -> None:
    region, left, packed, result, right = make_matmul(types, m, n, k, tile, batch, seed)
    (actual,) = Emulated(region, gpu(capability)).run([left, packed], [result], blocks=blocks)
    assert_products_close(actual, left, right)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("tile", [(128, 128), (128, 64), (64, 64), (4, 32)], ids=str)
def test_products_of_models_spill_nothing(capability: str, tile: tuple[int, int]) -> None:
    region, *_ = make_matmul(TYPES[0], 128, 512, 256, tile)
    assert_nothing_spills(Emulated(region, gpu(capability)))
