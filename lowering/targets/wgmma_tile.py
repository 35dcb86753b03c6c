"""How blocks share a contraction on the tensor cores of an H100: one warpgroup of four copies, the others multiply.

A stage holds 128 bytes of k of `rows` rows and `columns` columns. An SM multiplies 1024 words of k (32 bits) of
row-column pairs in a cycle, which is 989 TFLOP/s of bf16 on 132 SMs at 1.83 GHz: 1024 cycles for a stage of 128 x 256.
For it the SM

- reads 128 (rows + columns rows / 64) bytes of shared memory, 80 KiB, 128 bytes a cycle: 640 cycles, hidden;
- gets 128 (rows + columns) bytes from the L2, 48 KiB, 85 FLOP a byte: 1536 cycles at the 32 bytes a cycle that each SM
  has of about 7 TB/s when all ask at once, and three stages ahead, so that latencies of 600 to 1000 cycles are hidden.

So the L2 limits large products, to about 0.65 of the peak. What would raise that is a cluster of two blocks that share
what they fetch (multicast): 64 KiB for two blocks of the same columns instead of 96. Blocks that run together take
16 tiles of rows by 8 of columns, a square whose DRAM traffic is 1 / 16 and 1 / 8 of that. None of this was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import bf16, f16, f32, i8, i32, tf32
from xdsl.ir import Attribute

from ..contraction import Contraction
from ..dialects.encoding import UNKNOWN

CAPABILITY = "sm_90a"
"""The one that has these instructions: sm_100 has others."""

SMS = 132
"""Of an H100 (SXM)."""

STEP_BYTES = 128
"""Of k that a stage takes of every row and column."""

PART_BYTES = 16
"""Of k of a column that lie together in a tile."""

_GROUP_ROWS = 64
_WORDS_A_CYCLE = 1024
_L2_BYTES = 32
_TILE_OVERHEAD = 1500
"""Cycles before the first stage of a block is there, and while the sums of its last tile leave."""


@dataclass(frozen=True)
class WgmmaTile:
    """The share of a block: 64 rows of it for each warpgroup that multiplies."""

    rows: int
    columns: int

    @property
    def groups(self) -> int:
        return self.rows // _GROUP_ROWS


_TILES = tuple(WgmmaTile(rows, columns) for rows in (128, 64) for columns in (256, 128, 64, 32))

_TYPES: tuple[tuple[Attribute, Attribute], ...] = (
    (f16, f32),
    (f16, f16),
    (bf16, f32),
    (bf16, bf16),
    (tf32, f32),
    (i8, i32),
)
"""What elements are multiplied as, and the result."""


def choose_wgmma_tile(contraction: Contraction) -> WgmmaTile | None:
    """The tile with the fewest cycles; None for what is not multiplied so.

    That are other types; sizes that are not known; fewer rows than an instruction has (64) and fewer columns than a
    tile (32), most of which would be zeros; k that is no multiple of a stage, as tiles of the right side are not padded
    to one; and windows, which the copy engine does not find as a matrix.
    """
    sizes = (contraction.batch, contraction.m, contraction.n, contraction.k)
    if contraction.op_type == "conv_2d" or UNKNOWN in sizes or contraction.lhs != contraction.rhs:
        return None
    if (contraction.multiply_type or contraction.lhs, contraction.result) not in _TYPES:
        return None
    few = contraction.m < _GROUP_ROWS or contraction.n < _TILES[-1].columns
    if few or contraction.k % (STEP_BYTES // PART_BYTES * part_depth(contraction.lhs)):
        return None
    return min(_TILES, key=lambda tile: _cycles(contraction, tile))


def part_depth(element: Attribute) -> int:
    """Elements of k in PART_BYTES."""
    return PART_BYTES * 8 // element.bitwidth  # pyright: ignore[reportAttributeAccessIssue]


def wgmma_tile(rows: int, columns: int) -> WgmmaTile | None:
    """The tile of that size, if there is one."""
    return next((tile for tile in _TILES if (tile.rows, tile.columns) == (rows, columns)), None)


def _cycles(contraction: Contraction, tile: WgmmaTile) -> float:
    """Of the SM with the most tiles."""
    tiles = contraction.batch * -(-contraction.m // tile.rows) * -(-contraction.n // tile.columns)
    steps = contraction.k // (STEP_BYTES // PART_BYTES * part_depth(contraction.lhs))
    words = tile.rows * tile.columns * STEP_BYTES // 4
    step = max(words / _WORDS_A_CYCLE, STEP_BYTES * (tile.rows + tile.columns) / _L2_BYTES)
    return -(-tiles // SMS) * steps * step + _TILE_OVERHEAD
