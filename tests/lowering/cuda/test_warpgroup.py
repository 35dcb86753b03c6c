"""Products of warpgroups on the emulated tensor cores of an H100 against numpy, and which products are theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tosaic.lowering
import tosaic.runtime
from hypothesis import given
from hypothesis import strategies as st
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.dialects.encoding import UNKNOWN
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.target import Tile
from tosaic.runtime.errors import DeviceError
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import bf16, f32, i8, i32, tf32
from xdsl.ir import Attribute, SSAValue

from ..codegen.harness import Array
from ..codegen.roots import assert_products_close, make_region, pack_right, random_array, tensor_type
from ..codegen.test_convolution import EXAMPLES
from .harness import Emulated, assert_nothing_spills, gpu

TYPES = [
    (np.float16, np.float32),
    (np.float16, np.float16),
    (ml_dtypes.bfloat16, np.float32),
    (ml_dtypes.bfloat16, ml_dtypes.bfloat16),
    (np.float32, np.float32),
    (np.int8, np.int32),
]
"""Of both sides, and of the result. f32 is multiplied as tf32."""

TILES = [(64, 32), (64, 64), (64, 128), (128, 32), (128, 64)]
HOPPER = gpu("sm_90a")


def make_product(
    types: Sequence[Any], m: int, n: int, k: int, tile: tuple[int, int], batches: int = 1, seed: int = 0
) -> tuple[RegionOp, Array, Array, Array, Array]:
    """(region, left, right in tiles, what is in the result before, right)"""
    rng = np.random.default_rng(seed)
    left = random_array(rng, types[0], (batches, m, k))
    right = random_array(rng, types[0], (batches, k, n))
    packed = np.stack([pack_right(each, tile[1], 16 // np.dtype(types[0]).itemsize) for each in right])
    result = np.full((batches, m, n), 77, types[1])

    def product(arguments: Sequence[SSAValue]) -> MatmulOp:
        as_tf32 = tf32 if types[0] == np.float32 else None
        return MatmulOp(arguments[0], arguments[1], tensor_type(result), tile[0], multiply_type=as_tf32)

    return make_region([left, packed], result, product)[0], left, packed, result, right


def as_multiplied(side: Array) -> Array:
    """What warpgroups multiply: the upper 19 bits of f32, everything of other types."""
    return (side.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) if side.dtype == np.float32 else side


@pytest.mark.parametrize("types", TYPES, ids=str)
@EXAMPLES
@given(
    m=st.integers(1, 200),
    n=st.integers(1, 140),
    steps=st.integers(1, 6),
    tile=st.sampled_from(TILES),
    batches=st.integers(1, 2),
    blocks=st.integers(0, 2),
    seed=st.integers(0, 100),
)
def test_product(
    types: Sequence[Any], m: int, n: int, steps: int, tile: tuple[int, int], batches: int, blocks: int, seed: int
) -> None:
    k = steps * 128 // np.dtype(types[0]).itemsize
    region, left, packed, result, right = make_product(types, m, n, k, tile, batches, seed)
    emulated = Emulated(region, HOPPER)
    assert emulated.launch.tensor_maps
    (actual,) = emulated.run([left, packed], [result], blocks=blocks)
    for got, rows, columns in zip(actual, left, right, strict=True):
        assert_products_close(got, as_multiplied(rows), as_multiplied(columns))


@pytest.mark.parametrize("tile", [(128, 256), (128, 128), (64, 256), (64, 32)], ids=str)
@pytest.mark.parametrize("types", TYPES, ids=str)
def test_nothing_spills_and_no_instruction_waits_for_another(types: Sequence[Any], tile: tuple[int, int]) -> None:
    """ptxas warns where it puts wgmma one behind the other, and where it ignores setmaxnreg."""
    region, *_ = make_product(types, 512, 512, 512, tile)
    assert_nothing_spills(Emulated(region, HOPPER))


_WRONG = [
    ("wgmma.fence.sync.aligned;", "", "without wgmma.fence"),
    ("wgmma.wait_group.sync.aligned 0;", "", "wgmma still reads what is overwritten"),
    ("fence.mbarrier_init.release.cluster;", "", "fence.mbarrier_init is missing"),
    ("bar.sync", "// ", "another thread initialised the mbarrier"),
    ("bar.warp.sync", "// ", "a race"),
    ("mbarrier.arrive.shared::cta.b64 _, [", "// ", "waits for a phase that never ends"),
    (", 12288;", ", 12304;", "waits for a phase that never ends"),
    (", 12288;", ", 8192;", "more bytes come"),
]
"""What is in the kernel, what is there instead, and what the emulator says of it."""


@pytest.mark.parametrize(("text", "by", "reason"), _WRONG, ids=str)
def test_what_is_wrong_is_told(text: str, by: str, reason: str) -> None:
    with pytest.raises(DeviceError, match=reason):
        run_changed(lambda code: code.replace(text, by))


def test_sums_are_not_used_before_they_were_waited_for() -> None:
    with pytest.raises(DeviceError, match="uses sums of wgmma before"):
        run_changed(lambda code: code.replace("wgmma.wait_group.sync.aligned 0;", ""), steps=1)


@pytest.mark.parametrize(
    ("wait", "parity", "reason"),
    [
        (0, 0, "waits for a phase that never ends"),  # the first stages were never full, so they never become empty
        (0, 1, "a race"),  # stages are overwritten that nobody waited for
        (1, 1, "waits for a phase that never ends"),  # of stages that are full a first time
    ],
    ids=str,
)
def test_wrong_phases_are_told(wait: int, parity: int, reason: str) -> None:
    def change(code: str) -> str:
        parts = re.split(r"(try_wait\.parity\.shared::cta\.b64 p, \[%r\d+\], )(%r\d+)", code)
        assert len(parts) == 7
        parts[2 + 3 * wait] = str(parity)
        return "".join(parts)

    with pytest.raises(DeviceError, match=reason):
        run_changed(change)


def run_changed(change: Callable[[str], str], steps: int = 6) -> None:
    """Runs a product of as many stages whose PTX was changed."""
    region, left, packed, result, _ = make_product(TYPES[2], 64, 32, steps * 64, (64, 32))
    emulated = Emulated(region, HOPPER)
    before = bytes(emulated.image.code).decode()
    after = change(before)
    assert after != before
    emulated.image = replace(emulated.image, code=after.encode())
    emulated.run([left, packed], [result])


_PROGRAM = """
device.declare @gpu = "cuda-emulator@sm_90a"
func.func @main(%a: tensor<130x128xbf16>, %b: tensor<128x96xbf16>, %bias: tensor<96xf32>) -> tensor<130x96xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<130x96xf32>
  %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<130x96xf32>) -> tensor<130x96xf32>
  %product = linalg.matmul
    ins(%a, %b : tensor<130x128xbf16>, tensor<128x96xbf16>) outs(%init : tensor<130x96xf32>) -> tensor<130x96xf32>
  %rows = linalg.broadcast ins(%bias : tensor<96xf32>) outs(%empty : tensor<130x96xf32>) dimensions = [0]
  %sum = linalg.add
    ins(%product, %rows : tensor<130x96xf32>, tensor<130x96xf32>) outs(%empty : tensor<130x96xf32>)
    -> tensor<130x96xf32>
  return %sum : tensor<130x96xf32>
}
"""


def test_a_program_hands_tensor_maps_to_its_kernels() -> None:
    """Packed right side, tensor map and fused sum, through an artifact and the runtime of the device."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-8, 8, shape).astype(ml_dtypes.bfloat16) for shape in ((130, 128), (128, 96)))
    bias = rng.integers(-8, 8, 96).astype(np.float32)
    artifact = tosaic.lowering.compile(parse(_PROGRAM, "program"))
    (image,) = (image for variant in artifact.variants for image in variant.images if image.launches)
    assert any(launch.tensor_maps for launch in image.launches)
    with tosaic.runtime.load(artifact) as program:
        (result,) = program.run([a, b, bias])
    # Sums of small integers are exact.
    np.testing.assert_array_equal(result, a.astype(np.float32) @ b.astype(np.float32) + bias)


def contraction(
    m: int,
    n: int,
    k: int,
    left: Attribute = bf16,
    result: Attribute = f32,
    op: str = "matmul",
    multiply_type: Attribute | None = None,
) -> Contraction:
    return Contraction(op, left, left, result, 1, m, n, k, m, multiply_type)


@pytest.mark.parametrize(
    ("of", "tile"),
    [
        (contraction(4096, 4096, 4096), Tile(128, 256, 8)),
        (contraction(4096, 4096, 4096, i8, i32), Tile(128, 256, 16)),
        (contraction(4096, 4096, 4096, f32, multiply_type=tf32), Tile(128, 256, 4)),
        (contraction(64, 32, 64), Tile(64, 32, 8)),
    ],
    ids=str,
)
def test_tiles_of_warpgroups(of: Contraction, tile: Tile) -> None:
    assert HOPPER.tile(of) == tile


@pytest.mark.parametrize(
    "of",
    [
        contraction(63, 4096, 4096),
        contraction(4096, 31, 4096),
        contraction(4096, 4096, 4096 + 32),
        contraction(UNKNOWN, 4096, 4096),
        contraction(4096, 4096, 4096, op="conv_2d"),
        contraction(4096, 4096, 4096, f32, f32),
    ],
    ids=str,
)
def test_other_products_are_not_theirs(of: Contraction) -> None:
    """They are tiled as on any GPU with tensor cores."""
    assert HOPPER.tile(of) == gpu("sm_90").tile(of)
