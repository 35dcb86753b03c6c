"""Products on emulated tensor cores against numpy: every type, odd sizes, and layouts as the manual has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.targets import nvptx
from xdsl.dialects.builtin import tf32
from xdsl.ir import SSAValue

from ..codegen.harness import Array
from ..codegen.roots import assert_products_close, make_region, pack_right, random_array, tensor_type
from ..codegen.test_convolution import EXAMPLES
from .harness import Emulated, assert_nothing_spills, gpu

TYPES = [
    (np.float16, np.float32),
    (np.float16, np.float16),
    (np.int8, np.int32),
    (ml_dtypes.bfloat16, np.float32),
    (ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    (np.float32, np.float32),
]
"""Of both sides, and of the result. f32 is multiplied as tf32."""
CASES = [
    (capability, types) for capability in ("sm_75", "sm_80") for types in TYPES[: 3 if capability == "sm_75" else None]
]
TILES = [(16, 32), (16, 64), (32, 32), (32, 64), (64, 32), (64, 64)]


def make_product(
    types: Sequence[Any], m: int, n: int, k: int, tile: tuple[int, int], batches: int, seed: int = 0
) -> tuple[RegionOp, Array, Array, Array, Array]:
    """(region, left, right in tiles, what is in the result before, right)"""
    rng = np.random.default_rng(seed)
    depth = 64 // np.dtype(types[0]).itemsize
    left = random_array(rng, types[0], (batches, m, k))
    right = random_array(rng, types[0], (batches, k, n))
    packed = np.stack([pack_right(each, tile[1], depth) for each in right])
    result = np.full((batches, m, n), 77, types[1])

    def product(arguments: Sequence[SSAValue]) -> MatmulOp:
        as_tf32 = tf32 if types[0] == np.float32 else None
        return MatmulOp(arguments[0], arguments[1], tensor_type(result), tile[0], multiply_type=as_tf32)

    return make_region([left, packed], result, product)[0], left, packed, result, right


def multiplied(side: Array) -> Array:
    """What tensor cores multiply: f32 rounded to tf32, ten bits of fraction and ties away from zero."""
    if side.dtype != np.float32:
        return side
    mantissa, exponent = np.frexp(np.abs(side).astype(np.float64))
    return np.copysign(np.ldexp(np.floor(mantissa * 2**11 + 0.5), exponent - 11), side).astype(np.float32)


@pytest.mark.parametrize(("capability", "types"), CASES, ids=str)
@EXAMPLES
@given(
    m=st.integers(1, 70),
    n=st.integers(1, 70),
    k=st.integers(1, 150),
    tile=st.sampled_from(TILES),
    batches=st.integers(1, 2),
    blocks=st.integers(0, 2),
    seed=st.integers(0, 100),
)
def test_product(
    capability: str,
    types: Sequence[Any],
    m: int,
    n: int,
    k: int,
    tile: tuple[int, int],
    batches: int,
    blocks: int,
    seed: int,
) -> None:
    region, left, packed, result, right = make_product(types, m, n, k, tile, batches, seed)
    (actual,) = Emulated(region, gpu(capability)).run([left, packed], [result], blocks=blocks)
    for got, rows, columns in zip(actual, left, right, strict=True):
        assert_products_close(got, multiplied(rows), multiplied(columns))


@pytest.mark.parametrize("tile", [(128, 256), (128, 128), (128, 64), (64, 64), (16, 64)], ids=str)
@pytest.mark.parametrize(("capability", "types"), [*CASES, ("sm_90a", TYPES[3])], ids=str)
def test_big_tiles_spill_nothing(capability: str, types: Sequence[Any], tile: tuple[int, int]) -> None:
    region, *_ = make_product(types, 512, 512, 512, tile, 1)
    emulated = Emulated(region, gpu(capability))
    assert emulated.launch.shared_bytes <= nvptx.shared_bytes(gpu(capability))
    assert_nothing_spills(emulated)


@pytest.mark.parametrize("k", [513, 514])
@pytest.mark.parametrize(("capability", "types"), CASES, ids=str)
def test_short_vectors_spill_nothing(capability: str, types: Sequence[Any], k: int) -> None:
    region, *_ = make_product(types, 511, 511, k, (128, 128), 1)
    assert_nothing_spills(Emulated(region, gpu(capability)))


@pytest.mark.parametrize("capability", ["sm_75", "sm_80", "sm_86"])
@pytest.mark.parametrize("k", [256, 192])
def test_big_tiles(capability: str, k: int) -> None:
    # Three rows of tiles, two panels; stages in pairs on sm_80, where there is an even number and room for them.
    region, left, packed, result, right = make_product(TYPES[2], 300, 260, k, (128, 256), 1)
    (actual,) = Emulated(region, gpu(capability)).run([left, packed], [result], blocks=4)
    assert_products_close(actual[0], left[0], right[0])
