"""How a block of threads shares a contraction on the CUDA cores of a GPU: by a model of its cycles.

A block computes `rows` x `columns` of the result, a thread `thread_rows` x `thread_columns` of them in registers. Per
step of k the block multiplies rows * columns times, 64 at once on an SM of an A100, and loads from shared memory
rows * columns (1 / thread_rows + 1 / thread_columns) elements, 32 at once: 8 x 8 a thread load in half the time that
they multiply, 4 x 4 in the same. From the L2 it gets 4 (rows + columns) bytes, about 32 in a cycle: in 32 cycles of the
256 that 128 x 128 multiply, but in 4.5 of the 2 of 4 x 32. Results too small for enough large blocks are better cut in
small ones, and where even those are few, the threads of a block share k in `slices`.

By this an A100 takes 1.25 times as long for 4096 cubes as its multipliers would, 1.7 times for the 3x3 convolutions of
resnet50 at batch 1, whose results are no more than a few tiles for each SM.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import AnyFloat, IntegerType

from ..contraction import Contraction

SMS = 108
"""Of the GPU that kernels are shaped for, an A100. H100 has 132."""

_TYPICAL_SIZE = 1024
_DEPTH = 16
_MULTIPLIERS = 64
_BANKS = 32
_L2_BYTES = 32
_BLOCK_OVERHEAD = 300
"""Cycles of a block until its first stage is there and after its last: about a thousand, mostly behind others' work."""

_STEP_OVERHEAD = 24
"""Cycles of a step of k that no other warp of a lone block hides: latency of shared memory, a barrier every few."""


@dataclass(frozen=True)
class BlockTile:
    """The share of a block and its threads; a stage holds `depth` steps of k, an equal part for each of `slices`."""

    rows: int
    columns: int
    thread_rows: int
    thread_columns: int
    slices: int = 1
    depth: int = _DEPTH

    @property
    def slice_threads(self) -> int:
        return self.rows // self.thread_rows * (self.columns // self.thread_columns)

    @property
    def threads(self) -> int:
        return self.slice_threads * self.slices


_TILES = (
    BlockTile(128, 128, 8, 8),
    BlockTile(128, 64, 8, 8),
    BlockTile(64, 64, 8, 4),
    BlockTile(64, 32, 4, 4),
    BlockTile(32, 64, 4, 4),
    BlockTile(32, 32, 4, 4, 4, 32),
    BlockTile(16, 32, 4, 4, 4, 32),
    BlockTile(16, 16, 2, 4),
    BlockTile(4, 32, 4, 4, 16, 128),
)


def choose_block_tile(contraction: Contraction) -> BlockTile:
    """The tile with the fewest cycles; sizes that are not known are taken for large."""
    contraction = contraction.supposing(_TYPICAL_SIZE)
    fitting = [tile for tile in _TILES if tile.thread_rows * tile.thread_columns <= _most_sums(contraction)]
    return min(fitting, key=lambda tile: _cycles(contraction, tile))


def _most_sums(contraction: Contraction) -> int:
    """That a thread has registers for: half of those of 64 bits."""
    result = contraction.result
    return 32 if isinstance(result, IntegerType | AnyFloat) and result.bitwidth == 64 else 64


def block_tile(rows: int, columns: int) -> BlockTile | None:
    """The tile of that size, if there is one."""
    return next((tile for tile in _TILES if (tile.rows, tile.columns) == (rows, columns)), None)


def _cycles(contraction: Contraction, tile: BlockTile) -> float:
    """Of the SM with the most blocks; blocks of one SM hide each other's latency, products and loads half of each."""
    blocks = contraction.batch * -(-contraction.m // tile.rows) * -(-contraction.n // tile.columns)
    busiest = -(-blocks // SMS)
    products = tile.rows * tile.columns
    loads = products * (1 / tile.thread_rows + 1 / tile.thread_columns)
    multiply, load = products / _MULTIPLIERS, loads / _BANKS
    fetch = 4 * (tile.rows + tile.columns) / _L2_BYTES
    step = max(multiply + load / 2, load + multiply / 2, fetch)
    alone = max(step, _STEP_OVERHEAD / tile.slices)
    return contraction.k * max(busiest * step, alone) + busiest * _BLOCK_OVERHEAD
