"""How a block of warps shares an attention on the tensor cores of a GPU: by a model of its cycles.

A warp has 16 * `down` rows of the result and all of the block's `columns` keys and values. Of a tile of rows x columns
scores an SM of an A100, with operands of two bytes,

- multiplies rows * columns * (depth + width + 8) times, 1024 in a cycle, the last 8 for the totals of rows,
- reads 2 * columns * (depth + width) bytes a warp from shared memory, 128 in a cycle, and writes them once,
- computes 6 instructions for every score, 64 lanes of them in a cycle, besides its exponential, 16 in a cycle,
- and gets 2 * columns * (depth + width) bytes from the L2, about 48 in a cycle.

With depth and width of 64, four warps of 16 rows and 64 columns multiply in 544 cycles what takes 640 to read and
write, 384 to compute and 341 to get: shared memory bounds it. Four warps of 32 rows, whose fragments of keys and values
serve twice as many, multiply in 1088 what takes 640, 768 and 341: multiplying bounds it. So long sequences take 128
rows by 64 columns, at 250 registers a thread; two such blocks share an SM, one multiplying while the other computes.

A lone warp has a quarter of an SM and does one thing after the other. 12 heads of 128 x 128 are 96 warps of 16 rows:
latency, which one tile of 128 columns has once. By the model they take 2.5 thousand cycles.

Multiplied as tf32, operands have four bytes, half as many products are made in a cycle, and every warp rounds all keys
and values for itself, about 16 in a cycle: as long as it takes to multiply them with 32 rows. None of this has been
measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from .block_tile import SMS

WARP_ROWS = 16
"""Of one instruction."""

_MULTIPLIED_BYTES = 2048
_SHARED_BYTES = 128
_L2_BYTES = 48
_SCORES_A_CYCLE = 64 / 6
_ROUNDED = 16
_SCHEDULERS = 4
_WARP = 32
_OVERHEAD = 600
"""Cycles of a tile of keys that nobody hides for a lone block: latency of the L2, of products, of shuffles."""

_TOTALS = 8
"""Columns of the second product that are the totals of rows."""

_REGISTERS = 208
_ADDRESSES = 40
"""Of registers: addresses, counters, and the fragments of keys and values on their way."""
_AHEAD = 45
"""Registers more that ptxas takes to load ahead; up to _REGISTERS and these it spills nothing."""
_FILE = 65536
"""Registers of an SM."""


@dataclass(frozen=True)
class AttentionSizes:
    """`batches` of [rows, depth] times [depth, columns] times [columns, width], of elements of `element_bytes`."""

    batches: int
    rows: int
    columns: int
    depth: int
    width: int
    element_bytes: int


@dataclass(frozen=True)
class TensorAttentionTile:
    """`warps` of 16 * `down` rows each, with `columns` keys and values at a time."""

    warps: int
    down: int
    columns: int

    @property
    def rows(self) -> int:
        return self.warps * self.down * WARP_ROWS

    def stages(self, columns: int) -> int:
        """Of keys and values in shared memory: one that is computed with, and one on its way if there is another."""
        return 2 if columns > self.columns else 1

    def registers(self, sizes: AttentionSizes) -> int:
        """Of a thread: its sums and totals, fragments of the query, and scores."""
        query = sizes.depth * sizes.element_bytes // 8
        return self.down * (sizes.width // 2 + 4 + query + self.columns // 2) + _ADDRESSES


def choose_tensor_attention_tile(sizes: AttentionSizes, shared_bytes: int) -> TensorAttentionTile | None:
    """The tile with the fewest cycles; None if none fits a thread's registers and a block's shared memory."""
    tiles = [TensorAttentionTile(*each) for each in product((4, 2, 1), (2, 1), (128, 64, 32, 16))]
    fitting = [tile for tile in tiles if tile.registers(sizes) <= _REGISTERS and _bytes(tile, sizes) <= shared_bytes]
    return min(fitting, key=lambda tile: _cycles(tile, sizes, shared_bytes), default=None)


def line_pitch(line_bytes: int) -> int:
    """Bytes from one line in shared memory to the next: an odd number of 16, so that the eight lines of a matrix lie in
    different banks."""
    vectors = line_bytes // 16
    return 16 * (vectors + 1 - vectors % 2)


def _bytes(tile: TensorAttentionTile, sizes: AttentionSizes) -> int:
    """Of shared memory, whichever dimension of an operand is contiguous."""

    def matrix(rows: int, columns: int) -> int:
        size = sizes.element_bytes
        return max(rows * line_pitch(columns * size), columns * line_pitch(rows * size))

    stage = matrix(tile.columns, sizes.depth) + matrix(tile.columns, sizes.width)
    return matrix(tile.rows, sizes.depth) + tile.stages(sizes.columns) * stage


def _cycles(tile: TensorAttentionTile, sizes: AttentionSizes, shared_bytes: int) -> float:
    """Of the SM with the most blocks."""
    busiest = -(-sizes.batches * -(-sizes.rows // tile.rows) // SMS)
    steps = -(-sizes.columns // tile.columns)
    scores = tile.rows * tile.columns
    elements = tile.columns * (sizes.depth + sizes.width)
    multiply = scores * (sizes.depth + sizes.width + _TOTALS) * sizes.element_bytes / _MULTIPLIED_BYTES
    compute = scores / _SCORES_A_CYCLE + (tile.warps * elements / _ROUNDED if sizes.element_bytes == 4 else 0)
    share = (tile.warps + 1) * elements * sizes.element_bytes / _SHARED_BYTES
    together = max(multiply, compute, share, elements * sizes.element_bytes / _L2_BYTES)
    alone = (multiply + compute) * _SCHEDULERS / tile.warps + _OVERHEAD
    registers = tile.warps * _WARP * (tile.registers(sizes) + _AHEAD)
    room = min(_FILE // registers, shared_bytes // _bytes(tile, sizes))
    resident = min(busiest, max(room, 1))
    return steps * -(-busiest // resident) * max(resident * together, alone)
