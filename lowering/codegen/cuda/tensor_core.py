"""Contractions on tensor cores: a block of warps multiplies stages of both sides by `mma.sync` (see `mma`).

A stage holds 64 bytes of k of every row and column, each together: of the left side because rows are copied so, of the
right side because its layout is tiles of [columns, 64 bytes], made offline for weights. So a stage of a panel is one
piece of memory, its copies are of neighbouring vectors, and a lane's share of a fragment is one vector of 16 bytes.

Sums leave through shared memory: lanes hold pairs of neighbours in rows 8 apart, while what follows (biases, clamps,
requantisation, other operands, stores) wants neighbouring threads at neighbouring vectors, and its code once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...target import Target
from ...targets.mma_tile import MmaTile
from ...targets.nvptx import shared_bytes
from ..arithmetic import i64
from ..emit import Function
from ..extent import Extent, emit_extent, product
from ..kernel import Grid
from ..types import I32, Value, bits_of, vector_type
from .block import WARP, SharedMemory, barrier, block_tiles, lane_index, thread_index
from .left_side import LeftSide
from .mma import COLUMNS, ROWS, RUN_BYTES, VECTOR_WORDS, Mma
from .outer_product import ceil_div, is_multiple
from .pipeline import Pipeline
from .predicated import under
from .sliding import split_index

_GROUP = 4
"""Neighbouring columns that are finished together, where the result has a multiple of them."""

_FEWEST_BYTES = 24 * 1024
"""Of shared memory for sums that cost no block its place on an SM."""

_ROWS_TOGETHER = 8
"""Tiles of rows that blocks take before the next panel: 108 blocks of 128 x 256 then read 8 tiles of rows and 14 panels
of 8192 x 8192 halves, 74 MB, instead of 4 and all 32."""

_PADDING = 32
"""Bytes behind a row of sums in shared memory: rows 8 apart in a store begin in other banks."""

Finish = Callable[[Function, Value, Value, Value, Value], None]
"""finish(f, batch, row, column, sums): of neighbouring columns, or of one."""


@dataclass(frozen=True)
class TensorCoreProduct:
    """result[batches, m, n] = `left` [batches, m, k] times tiles `right` [batches, panels, steps, columns, depth]."""

    target: Target
    tile: MmaTile
    mma: Mma
    left: LeftSide
    right: Value
    batches: Extent
    m: Extent
    n: Extent
    steps: Extent

    def emit(self, f: Function, finish: Finish) -> Grid:
        """Emits all tiles; `finish` is handed the sums."""
        tile = self.tile
        down, panels = ceil_div(f, self.m, tile.rows), ceil_div(f, self.n, tile.columns)
        together = _rows_together(down)
        far = down // together if isinstance(down, int) else down
        tiles = [self.batches, far, panels, together]
        pipeline = self._pipeline
        slabs = self._slabs(pipeline.bytes)
        memory = SharedMemory()
        ring = memory.allocate(max(pipeline.bytes, tile.rows // slabs * self._pitch))
        with block_tiles(f, product(tiles)) as loop:
            batch, above, panel, below = split_index(f, loop.index, tiles)
            first = f.mul(f.add(f.mul(above, i64(together)), below), i64(tile.rows))
            number = f.add(f.mul(batch, emit_extent(f, panels)), panel)
            address = f.gep(self.right, f.mul(number, emit_extent(f, pipeline.panel_bytes)))
            zeros = [f.zero(self.mma.sums)] * (4 * self._down * self._across)
            barrier(f)  # the sums of the tile before have been read
            sums = pipeline.run(f, ring, batch, first, address, zeros, self._accumulator(f))
            for slab in range(slabs):
                barrier(f)  # the last stage, or slab, has been read
                self._spread(f, ring, sums, slab, slabs)
                barrier(f)
                self._finish(f, ring, batch, first, f.mul(panel, i64(tile.columns)), slab, slabs, finish)
        blocks = product(tiles)
        return Grid(tile.warps * WARP, blocks if isinstance(blocks, int) else 0, memory.bytes)

    @property
    def _pipeline(self) -> Pipeline:
        tile = self.tile
        pipeline = Pipeline(
            self.target,
            self.left,
            self.mma.element,
            tile.rows,
            tile.columns,
            self.mma.depth,
            self.steps,
            tile.warps * WARP,
        )
        if not isinstance(self.steps, int) or not pipeline.is_asynchronous:
            return pipeline
        return replace(pipeline, group=tile.steps_together(self.steps, shared_bytes(self.target)))

    # Products

    @property
    def _down(self) -> int:
        """Instructions' tiles of a warp, one below the other."""
        return self.tile.rows // self.tile.down // ROWS

    @property
    def _across(self) -> int:
        return self.tile.columns // self.tile.across // COLUMNS

    def _corner(self, f: Function) -> tuple[Value, Value]:
        """The first row and column of this thread's warp in the tile."""
        warp = f.udiv(thread_index(f), i64(WARP))
        down, across = f.udiv(warp, i64(self.tile.across)), f.urem(warp, i64(self.tile.across))
        return f.mul(down, i64(self._down * ROWS)), f.mul(across, i64(self._across * COLUMNS))

    def _accumulator(self, f: Function) -> Callable[[Value, Value, Sequence[Value]], Sequence[Value]]:
        row, column = self._corner(f)
        # Lane (g, t) loads vector t of the rows and columns g: a warp's lanes lie one behind the other.
        lane = f.mul(lane_index(f), i64(VECTOR_WORDS * 4))
        left_at = f.add(f.mul(row, i64(RUN_BYTES)), lane)
        right_at = f.add(f.mul(column, i64(RUN_BYTES)), lane)

        def words(address: Value, line: int) -> list[Value]:
            vector = f.load(vector_type(I32, VECTOR_WORDS), f.gep(address, line * RUN_BYTES))
            return self.mma.words_of(f, vector)

        def accumulate(left: Value, right: Value, sums: Sequence[Value]) -> Sequence[Value]:
            rows, columns = f.gep(left, left_at), f.gep(right, right_at)
            across = [words(columns, j * COLUMNS) for j in range(self._across)]
            updated: list[Value] = []
            for i in range(self._down):
                upper, lower = words(rows, i * ROWS), words(rows, i * ROWS + ROWS // 2)
                for j, each in enumerate(across):
                    place = 4 * (i * self._across + j)
                    updated += self.mma.accumulate(f, upper, lower, each, sums[place : place + 4])
            return updated

        return accumulate

    # Results

    @property
    def _size(self) -> int:
        return bits_of(self.mma.sums) // 8

    @property
    def _pitch(self) -> int:
        """Bytes of a row of sums in shared memory."""
        return self.tile.columns * self._size + _PADDING

    def _slabs(self, ring_bytes: int) -> int:
        """In how many parts the sums go through shared memory, so that they need no more of it than stages do.

        A slab has as many rows of each warp, whole tiles of instructions.
        """
        room = max(ring_bytes, _FEWEST_BYTES)
        counts = [count for count in range(1, self._down + 1) if self._down % count == 0]
        return next((count for count in counts if self.tile.rows // count * self._pitch <= room), self._down)

    def _spread(self, f: Function, memory: Value, sums: Sequence[Value], slab: int, slabs: int) -> None:
        """Writes this lane's sums of a slab to shared memory."""
        corner, column = self._corner(f)
        lane = lane_index(f)
        row = f.add(f.udiv(corner, i64(slabs)), f.udiv(lane, i64(4)))
        column = f.add(column, f.mul(f.urem(lane, i64(4)), i64(2)))
        start = f.gep(memory, f.add(f.mul(row, i64(self._pitch)), f.mul(column, i64(self._size))))
        count = len(sums) // slabs
        own = sums[slab * count : (slab + 1) * count]
        pairs = [own[first : first + 2] for first in range(0, count, 2)]
        for number, (first, second) in enumerate(pairs):
            tile, half = divmod(number, 2)
            i, j = divmod(tile, self._across)
            at = (i * ROWS + half * (ROWS // 2)) * self._pitch + j * COLUMNS * self._size
            pair = f.insert(f.insert(f.undefined(vector_type(self.mma.sums, 2)), first, 0), second, 1)
            f.store(pair, f.gep(start, at))

    def _finish(
        self,
        f: Function,
        memory: Value,
        batch: Value,
        first: Value,
        column: Value,
        slab: int,
        slabs: int,
        finish: Finish,
    ) -> None:
        """Hands to `finish` what there is of a slab, neighbouring vectors to neighbouring threads."""
        tile, height = self.tile, self._down * ROWS // slabs
        width = _GROUP if is_multiple(self.n, _GROUP) else 1
        groups = tile.columns // width
        with f.loop(thread_index(f), i64(tile.rows // slabs * groups), i64(tile.warps * WARP)) as vector:
            line, group = f.udiv(vector.index, i64(groups)), f.urem(vector.index, i64(groups))
            offset = f.mul(group, i64(width))
            in_warp = f.mul(f.udiv(line, i64(height)), i64(height * (slabs - 1)))
            row = f.add(first, f.add(f.add(line, in_warp), i64(slab * height)))
            at_column = f.add(column, offset)
            inside = [
                None if is_multiple(self.m, tile.rows) else f.icmp("slt", row, emit_extent(f, self.m)),
                None if is_multiple(self.n, tile.columns) else f.icmp("slt", at_column, emit_extent(f, self.n)),
            ]
            with under(f, *inside):
                address = f.add(f.mul(line, i64(self._pitch)), f.mul(offset, i64(self._size)))
                finish(f, batch, row, at_column, f.load(vector_type(self.mma.sums, width), f.gep(memory, address)))


def _rows_together(tiles: Extent) -> int:
    """The most tiles of rows, up to _ROWS_TOGETHER, that divide all of them."""
    if not isinstance(tiles, int):
        return 1
    return next(count for count in range(_ROWS_TOGETHER, 0, -1) if tiles % count == 0)
