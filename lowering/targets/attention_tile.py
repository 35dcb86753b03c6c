"""How a block of threads shares an attention on the CUDA cores of a GPU: by a model of its cycles.

A block makes `rows` rows of the result, `columns` keys and values at a time; a thread has `rows` / 8 rows and every
16th column. Per element of a tile of scores both products multiply depth + width times, 64 at once on an SM of an A100,
and load 1 / thread_rows + 1 / thread_columns elements from shared memory for each, 32 at once; the exponential is some
40 instructions of 128 lanes at once. Every tile of rows reads all keys and values from the L2, 32 bytes in a cycle.

12 heads of 128 x 128 of depth 64 are 24 tiles of 64 rows for 108 SMs, or 96 of 16: those take less than half the time,
although each of them loads twice as often. Long sequences take 64 rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from .block_tile import SMS

THREADS = 128
DOWN, ACROSS = 8, 16
"""Threads one below the other, and beside each other: half a warp shares a row."""

_MULTIPLIERS = 64
_BANKS = 32
_LANES = 128
_EXPONENTIAL = 40
_L2_BYTES = 32
_OVERHEAD = 500
"""Cycles of a tile of keys that nobody hides for a lone block: latency of the L2, and three barriers."""

_MOST_SUMS = 64
"""Elements of the result that a thread keeps in registers."""

_GROUP = 4


@dataclass(frozen=True)
class AttentionTile:
    """Rows of scores that a block makes, and columns that it has of them at once."""

    rows: int
    columns: int
    depth: int
    width: int

    @property
    def thread_rows(self) -> int:
        return self.rows // DOWN

    @property
    def thread_columns(self) -> int:
        return self.columns // ACROSS

    @property
    def depth_pitch(self) -> int:
        """Elements from one row of queries or keys in shared memory to the next: vectors of neighbouring rows lie in
        different banks."""
        return _odd_groups(self.depth)

    @property
    def columns_pitch(self) -> int:
        """That of weights."""
        return _odd_groups(self.columns)

    @property
    def query_bytes(self) -> int:
        return 4 * self.rows * self.depth_pitch

    @property
    def key_bytes(self) -> int:
        """Of keys, and of the weights that take their place."""
        return 4 * max(self.columns * self.depth_pitch, self.rows * self.columns_pitch)

    @property
    def value_bytes(self) -> int:
        return 4 * self.columns * self.width

    @property
    def shared_bytes(self) -> int:
        return self.query_bytes + self.key_bytes + self.value_bytes


def choose_attention_tile(
    batches: int, rows: int, columns: int, depth: int, width: int, shared_bytes: int
) -> AttentionTile | None:
    """The tile with the fewest cycles; None if none fits a block's shared memory and a thread's registers.

    Threads stage equal numbers of vectors.
    """
    tiles = [AttentionTile(m, n, depth, width) for m in (64, 32, 16) for n in (64, 32, 16)]
    fitting = [
        tile
        for tile in tiles
        if tile.shared_bytes <= shared_bytes
        and tile.thread_rows * width <= _MOST_SUMS * ACROSS
        and all(
            size % (THREADS * _GROUP) == 0 for size in (tile.rows * depth, tile.columns * depth, tile.columns * width)
        )
    ]
    return min(fitting, key=lambda tile: _cycles(tile, batches, rows, columns), default=None)


def _cycles(tile: AttentionTile, batches: int, rows: int, columns: int) -> float:
    """Of the SM with the most blocks."""
    busiest = -(-batches * -(-rows // tile.rows) // SMS)
    steps = -(-columns // tile.columns)
    scores = tile.rows * tile.columns
    share = 1 / tile.thread_rows
    loads = tile.depth * (share + 1 / tile.thread_columns) + tile.width * (share + ACROSS / tile.width)
    multiply, load = scores * (tile.depth + tile.width) / _MULTIPLIERS, scores * loads / _BANKS
    fetch = 4 * tile.columns * (tile.depth + tile.width) / _L2_BYTES
    step = max(multiply + load / 2, load + multiply / 2, fetch) + scores * _EXPONENTIAL / _LANES
    return steps * max(busiest * step, step + _OVERHEAD)


def _odd_groups(elements: int) -> int:
    groups = elements // _GROUP
    return (groups + 1 - groups % 2) * _GROUP
