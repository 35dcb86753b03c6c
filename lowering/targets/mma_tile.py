"""How a block of warps shares a contraction on the tensor cores of a GPU: by a model of its cycles.

A block computes `rows` x `columns` of the result, its warps, `down` by `across`, equal parts of them. In a step of 64
bytes of k of every row and column, 16 words of 32 bits (a tf32, two halves or four bytes each), an SM of an A100

- multiplies 16 rows * columns words, 512 in a cycle,
- reads 64 (rows / down + columns / across) bytes a warp from shared memory, 128 in a cycle,
- and gets 64 (rows + columns) bytes from the L2, about 48 in a cycle.

128 x 256 in warps of 64 x 64 multiply in 1024 cycles what takes 512 to read and 512 to get; 128 x 128 in 512 what takes
256 and 341; 64 x 64 in warps of 32 x 32 in 128 what takes 128 and 170. Results too small for a block on each SM are cut
in smaller tiles all the same: an idle SM does nothing at all.

128 sums and 240 registers in all of each of its 256 threads make a block of 128 x 256 the only one on its SM, with 144
KiB of shared memory for three times two steps. Per barrier it multiplies for 2048 cycles. The loads that no product
hides are those of its right side at the start, 32 KiB in 256 cycles, and a latency of about 60: at most 0.86 of the
multipliers' peak on an A100, which leaves room for 0.80 of what cuBLAS makes of it. Two blocks of 128 x 128 share an SM
and hide each other's. None of this has been measured. On an H100 mma.sync does not reach the peak, which is that of
wgmma: big products there are `wgmma_tile`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import bf16, f16, f32, i8, i32, tf32
from xdsl.ir import Attribute

from ..contraction import Contraction
from .block_tile import SMS

RUN_BYTES = 64
"""Of k that a step takes of every row and column."""

RING = 3
"""Groups of steps in shared memory: one that is computed with and two on their way."""

_LONE_WARPS = 8
_SHARED_ROOM = 48 * 1024

_WORDS_A_CYCLE = 512
_SHARED_BYTES = 128
_L2_BYTES = 48
_TYPICAL_SIZE = 1024
"""What an unknown size is taken for."""

_STEP_OVERHEAD = 60
"""Cycles between barriers that nobody hides for a lone block: waiting, latency of shared memory and of products."""


@dataclass(frozen=True)
class MmaTile:
    """The share of a block and of its warps."""

    rows: int
    columns: int
    down: int
    across: int

    @property
    def warps(self) -> int:
        return self.down * self.across

    def steps_together(self, steps: int, shared_bytes: int) -> int:
        """Of so many steps of RUN_BYTES those between two barriers, where a block's warps wait for each other.

        As many as divide all and as fit, RING times, in the share of one block of three on an SM, or in all
        `shared_bytes` of it for a block that has an SM for itself: small tiles get more bytes under way, big ones load
        a part of the stage while they multiply another.
        """
        room = shared_bytes if self.warps == _LONE_WARPS else min(_SHARED_ROOM, shared_bytes)
        ring = RING * RUN_BYTES * (self.rows + self.columns)
        return next((count for count in (4, 2) if steps % count == 0 and count * ring <= room), 1)


_TILES = (
    MmaTile(128, 256, 2, 4),
    MmaTile(128, 128, 2, 2),
    MmaTile(128, 64, 2, 2),
    MmaTile(64, 64, 2, 2),
    MmaTile(64, 32, 2, 2),
    MmaTile(32, 64, 1, 4),
    MmaTile(32, 32, 2, 2),
    MmaTile(16, 64, 1, 4),
    MmaTile(16, 32, 1, 4),
)

_SINCE: dict[tuple[Attribute, Attribute], int] = {
    (f16, f32): 75,
    (f16, f16): 75,
    (i8, i32): 75,
    (bf16, f32): 80,
    (bf16, bf16): 80,
    (tf32, f32): 80,
}
"""The compute capability from which on tensor cores multiply elements, by these and the result's type. As tf32 they
multiply f32 that may be rounded to it."""


def run_depth(element: Attribute) -> int:
    """Elements of k in a step."""
    return RUN_BYTES * 8 // element.bitwidth  # pyright: ignore[reportAttributeAccessIssue]


def choose_mma_tile(contraction: Contraction, capability: int, shared_bytes: int) -> MmaTile | None:
    """The tile with the fewest cycles; None for what tensor cores do not multiply."""
    since = _SINCE.get((contraction.multiply_type or contraction.lhs, contraction.result))
    if since is None or capability < since or contraction.lhs != contraction.rhs:
        return None
    contraction = contraction.supposing(_TYPICAL_SIZE)
    return min(_TILES, key=lambda tile: _cycles(contraction, tile, shared_bytes))


def mma_tile(rows: int, columns: int) -> MmaTile | None:
    """The tile of that size, if there is one."""
    return next((tile for tile in _TILES if (tile.rows, tile.columns) == (rows, columns)), None)


def _cycles(contraction: Contraction, tile: MmaTile, shared_bytes: int) -> float:
    """Of the SM with the most blocks; blocks of one SM hide each other's latency."""
    blocks = contraction.batch * -(-contraction.m // tile.rows) * -(-contraction.n // tile.columns)
    steps = -(-contraction.k // run_depth(contraction.lhs))
    words = tile.rows * tile.columns * RUN_BYTES // 4
    read = tile.warps * RUN_BYTES * (tile.rows / tile.down + tile.columns / tile.across)
    step = max(words / _WORDS_A_CYCLE, read / _SHARED_BYTES, RUN_BYTES * (tile.rows + tile.columns) / _L2_BYTES)
    return steps * max(-(-blocks // SMS) * step, step + _STEP_OVERHEAD / tile.steps_together(steps, shared_bytes))
