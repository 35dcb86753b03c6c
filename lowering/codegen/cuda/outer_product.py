"""Contractions on CUDA cores: what f32 is multiplied with where nobody asked for less, and types no tensor core has.

A block takes a tile of the result (`block_tile` says how large and why). Stages of `depth` steps of k of both sides
come to shared memory in a ring, asynchronously where the GPU can; every thread multiplies a column of its rows with a
row of its columns, step by step, into registers. Four steps of k of a left row are one 16-byte load, as are four
neighbouring columns of the right side, whose panels [K, columns] lie as they are staged.

The left side is a `LeftSide`: the rows of a matrix, or windows of an image (implicit GEMM).

Where the threads of a block share k in slices, each sums every `slices`-th part of a stage, and the sums of the slices
are added in order at the end; f32 sums then differ in rounding from those of one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...target import Target
from ...targets.block_tile import BlockTile
from ..arithmetic import i64
from ..emit import Function
from ..extent import Extent, emit_extent, extent_of, product
from ..kernel import Grid
from ..product import widen
from ..types import Value, bits_of, is_float, vector_type
from .block import SharedMemory, barrier, block_tiles, thread_index
from .left_side import LeftSide
from .pipeline import Accumulate, Pipeline
from .predicated import under
from .sliding import split_index

_GROUP = 4
"""Neighbouring columns, and steps of k, that are loaded together."""

Finish = Callable[[Function, Value, Value, Value, Value], None]
"""finish(f, batch, row, column, sums): of neighbouring columns, or of one."""


@dataclass(frozen=True)
class OuterProduct:
    """result[batches, m, n] = `left` [batches, m, k] times panels `right` [batches, panels, k, columns] of
    `right_element`, accumulated in `sums`."""

    target: Target
    tile: BlockTile
    left: LeftSide
    right: Value
    right_element: str
    sums: str
    batches: Extent
    m: Extent
    n: Extent
    k: Extent

    def emit(self, f: Function, finish: Finish) -> Grid:
        """Emits all tiles; `finish` is handed the sums."""
        tile = self.tile
        tiles = [
            self.batches,
            *(ceil_div(f, size, part) for size, part in ((self.m, tile.rows), (self.n, tile.columns))),
        ]
        panels = tiles[-1]
        steps = ceil_div(f, self.k, tile.depth)
        pipeline = Pipeline(
            self.target,
            self.left,
            self.right_element,
            tile.rows,
            tile.columns,
            tile.depth,
            steps,
            tile.threads,
            self.k,
        )
        memory = SharedMemory()
        ring = memory.allocate(max(pipeline.bytes, self._reduction_bytes))
        slice, ty, tx = self._places(f)
        accumulate = self._accumulator(f, slice, ty, tx)
        zeros = [f.zero(vector_type(self.sums, _GROUP))] * (tile.thread_rows * tile.thread_columns // _GROUP)
        with block_tiles(f, product(tiles)) as loop:
            batch, row_tile, panel = split_index(f, loop.index, tiles)
            first, column = f.mul(row_tile, i64(tile.rows)), f.mul(panel, i64(tile.columns))
            number = f.add(f.mul(batch, emit_extent(f, panels)), panel)
            address = f.gep(self.right, f.mul(number, emit_extent(f, pipeline.panel_bytes)))
            barrier(f)  # what the tile before left in the ring has been read
            sums = pipeline.run(f, ring, batch, first, address, zeros, accumulate)
            sums = self._reduce(f, ring, slice, sums)
            self._store(f, batch, f.add(first, ty), f.add(column, tx), slice, sums, finish)
        blocks = product(tiles)
        return Grid(tile.threads, blocks if isinstance(blocks, int) else 0, memory.bytes)

    def _places(self, f: Function) -> tuple[Value, Value, Value]:
        """(slice, first row, first column) of this thread in the tile."""
        tile = self.tile
        across = tile.columns // tile.thread_columns
        slice, down, right = split_index(f, thread_index(f), [tile.slices, tile.rows // tile.thread_rows, across])
        return slice, f.mul(down, i64(tile.thread_rows)), f.mul(right, i64(_GROUP))

    # Products

    @property
    def _left_pitch(self) -> int:
        """Bytes of the steps of one row in a stage."""
        return self.tile.depth * self._left_size

    @property
    def _right_pitch(self) -> int:
        """Bytes of one step of a panel."""
        return self.tile.columns * self._right_size

    @property
    def _slice_depth(self) -> int:
        return self.tile.depth // self.tile.slices

    @property
    def _left_size(self) -> int:
        return bits_of(self.left.element) // 8

    @property
    def _right_size(self) -> int:
        return bits_of(self.right_element) // 8

    @property
    def _group_distance(self) -> int:
        """Columns between the groups of a thread: neighbouring threads take neighbouring groups."""
        return self.tile.columns // self.tile.thread_columns * _GROUP

    def _accumulator(self, f: Function, slice: Value, ty: Value, tx: Value) -> Accumulate:
        """Adds a stage's products of this thread's slice, [rows][groups of columns]."""
        left_at = f.add(f.mul(ty, i64(self._left_pitch)), f.mul(slice, i64(self._slice_depth * self._left_size)))
        right_at = f.add(f.mul(slice, i64(self._slice_depth * self._right_pitch)), f.mul(tx, i64(self._right_size)))

        def accumulate(left: Value, right: Value, sums: Sequence[Value]) -> Sequence[Value]:
            return self._accumulate(f, f.gep(left, left_at), f.gep(right, right_at), sums)

        return accumulate

    def _accumulate(self, f: Function, left: Value, right: Value, sums: Sequence[Value]) -> list[Value]:
        """One stage's products more."""
        groups = self.tile.thread_columns // _GROUP
        updated = list(sums)
        for k in range(0, self._slice_depth, _GROUP):
            rows = [
                self._load(f, left, row * self._left_pitch + k * self._left_size, self.left.element)
                for row in range(self.tile.thread_rows)
            ]
            for step in range(_GROUP):
                at = (k + step) * self._right_pitch
                columns = [
                    self._load(f, right, at + group * self._group_distance * self._right_size, self.right_element)
                    for group in range(groups)
                ]
                for row, elements in enumerate(rows):
                    factor = f.splat(f.extract(elements, step), _GROUP)
                    for group, values in enumerate(columns):
                        place = row * groups + group
                        updated[place] = self._step(f, factor, values, updated[place])
        return updated

    def _load(self, f: Function, address: Value, offset: int, element: str) -> Value:
        loaded = f.load(vector_type(element, _GROUP), f.gep(address, offset))
        return widen(f, self.target, loaded, self.sums)

    def _step(self, f: Function, a: Value, b: Value, sum: Value) -> Value:
        return f.fma(a, b, sum) if is_float(self.sums) else f.add(sum, f.mul(a, b))

    # Results

    @property
    def _reduction_bytes(self) -> int:
        """Of the sums of all slices but the first."""
        return (self.tile.slices - 1) * self.tile.rows * self.tile.columns * bits_of(self.sums) // 8

    def _reduce(self, f: Function, memory: Value, slice: Value, sums: list[Value]) -> list[Value]:
        """The sums of all slices, for the first one's threads."""
        if self.tile.slices == 1:
            return sums
        size = _GROUP * bits_of(self.sums) // 8
        others = self.tile.slice_threads
        inner = f.urem(thread_index(f), i64(others))

        def at(slice: Value, number: int) -> Value:
            """Neighbouring threads write neighbouring vectors."""
            line = f.add(f.mul(f.sub(slice, i64(1)), i64(len(sums))), i64(number))
            return f.gep(memory, f.mul(f.add(f.mul(line, i64(others)), inner), i64(size)))

        barrier(f)  # the last stage has been read
        with f.if_(f.icmp("ne", slice, i64(0))):
            for number, value in enumerate(sums):
                f.store(value, at(slice, number))
        barrier(f)
        with f.if_(f.icmp("eq", slice, i64(0)), sums) as first:
            totals = list(sums)
            for other in range(1, self.tile.slices):
                parts = [f.load(vector_type(self.sums, _GROUP), at(i64(other), number)) for number in range(len(sums))]
                add = f.fadd if is_float(self.sums) else f.add
                totals = [add(total, part) for total, part in zip(totals, parts, strict=True)]
            first.yield_(*totals)
        return first.results

    def _store(
        self, f: Function, batch: Value, row: Value, column: Value, slice: Value, sums: Sequence[Value], finish: Finish
    ) -> None:
        """Hands to `finish` what there is of this thread's sums, if it belongs to the first slice."""
        tile, groups = self.tile, self.tile.thread_columns // _GROUP
        width = _GROUP if is_multiple(self.n, _GROUP) else 1
        is_first = f.icmp("eq", slice, i64(0)) if tile.slices > 1 else None
        for first in range(0, tile.thread_columns, width):
            group, lane = divmod(first, _GROUP)
            at_column = f.add(column, i64(group * self._group_distance + lane))
            values = [sums[i * groups + group] for i in range(tile.thread_rows)]
            if width == 1:
                values = [f.extract(value, lane) for value in values]
            whole = is_multiple(self.n, tile.columns)
            inside = None if whole else f.icmp("slt", at_column, emit_extent(f, self.n))
            with under(f, is_first, inside):
                self._store_column(f, batch, row, at_column, values, finish)

    def _store_column(
        self, f: Function, batch: Value, row: Value, column: Value, values: Sequence[Value], finish: Finish
    ) -> None:
        """The rows that there are of one group of columns."""
        for i, value in enumerate(values):
            at = f.add(row, i64(i))
            whole = is_multiple(self.m, self.tile.rows)
            with under(f, None if whole else f.icmp("slt", at, emit_extent(f, self.m))):
                finish(f, batch, at, column, value)


def is_multiple(size: Extent, part: int) -> bool:
    """Whether a size certainly consists of whole parts."""
    return isinstance(size, int) and size % part == 0


def ceil_div(f: Function, size: Extent, part: int) -> Extent:
    """How many parts cover a size."""
    return extent_of(f.ceildiv(emit_extent(f, size), i64(part)))
