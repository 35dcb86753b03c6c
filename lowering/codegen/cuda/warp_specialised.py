"""Contractions on the tensor cores of an H100 (sm_90a): a warpgroup that copies and others that multiply.

One thread of the first warpgroup starts the copies of both sides of a stage, the left side's box by its tensor map and
the right side's piece of a panel, into a ring of stages. A `full` barrier of each stage counts their bytes, an `empty`
one the warps that have multiplied them. Blocks are persistent: while sums of a tile leave, stages of the next come.

Sums leave through shared memory of their warp, 32 columns at a time, so that neighbouring threads finish and store
neighbouring vectors; no other warp is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...targets.wgmma_tile import SMS, WgmmaTile
from ..arithmetic import i64
from ..emit import Function
from ..kernel import Grid
from ..types import I32, Value, bits_of, vector_type
from . import mbarrier
from .block import (
    SHARED_ALIGNMENT,
    WARP,
    SharedMemory,
    barrier,
    block_tiles,
    grid_blocks,
    lane_index,
    synchronise_warp,
    thread_index,
)
from .predicated import under
from .tensor_core import Finish
from .warpgroup import STEP_BYTES, THREADS, Wgmma, limit_registers

_STAGES = 4
_BAND = 16
"""Tiles of rows that follow each other before the next tile of columns."""

_SLAB = 32
"""Columns whose sums leave together."""

_PADDING = 32
"""Bytes behind a row of sums: four rows that lanes store at once begin in other banks."""

_GROUP = 4
_WARP_ROWS = 16
_WARPS = THREADS // WARP
_COPYING_REGISTERS, _MULTIPLYING_REGISTERS = 40, 232
"""Of 168 that each of 384 threads starts with: 40 + 2 x 232 = 3 x 168."""


@dataclass(frozen=True)
class WarpSpecialisedProduct:
    """result[batches, m, n] = rows of `left`, a tensor map of [batches * m, k], times parts `right` of tiles
    [batches, panels, k parts, columns, part] of `steps` stages."""

    tile: WgmmaTile
    wgmma: Wgmma
    left: Value
    right: Value
    batches: int
    m: int
    n: int
    steps: int

    def emit(self, f: Function, finish: Finish) -> Grid:
        """Emits all tiles; `finish` is handed the sums."""
        memory = SharedMemory()
        ring = _Ring(self, memory)
        sums = memory.allocate(self.tile.groups * _WARPS * self._slab_bytes)
        thread = thread_index(f)
        with f.if_(f.icmp("eq", thread, i64(0))):
            ring.initialise(f)
        barrier(f)
        copying, multiplying, done = f.label("copying"), f.label("multiplying"), f.label("done")
        f.branch_if(f.icmp("ult", thread, i64(THREADS)), copying, multiplying)
        f.place(copying)
        if self.tile.groups > 1:
            limit_registers(f, _COPYING_REGISTERS, more=False)
        with f.if_(f.icmp("eq", thread, i64(0))):
            self._copy(f, ring)
        f.branch(done)
        f.place(multiplying)
        if self.tile.groups > 1:
            limit_registers(f, _MULTIPLYING_REGISTERS, more=True)
        warp = f.sub(f.udiv(thread, i64(WARP)), i64(_WARPS))
        self._multiply(f, ring, warp, f.gep(sums, f.mul(warp, i64(self._slab_bytes))), finish)
        f.branch(done)
        f.place(done)
        return Grid((1 + self.tile.groups) * THREADS, min(self._tiles, SMS), memory.bytes)

    @property
    def _row_tiles(self) -> int:
        return -(-self.m // self.tile.rows)

    @property
    def _panels(self) -> int:
        return -(-self.n // self.tile.columns)

    @property
    def _tiles(self) -> int:
        return self.batches * self._row_tiles * self._panels

    def _place(self, f: Function, index: Value) -> tuple[Value, Value, Value]:
        """Batch, tile of rows and panel of a tile: bands of _BAND tiles of rows, by columns, the last one narrower."""
        row_tiles, panels = self._row_tiles, self._panels
        each = f.const(I32, row_tiles * panels)
        index = f.cast("trunc", index, I32)
        batch, rest = f.udiv(index, each), f.urem(index, each)
        band_tiles = f.const(I32, _BAND * panels)
        band, rest = f.udiv(rest, band_tiles), f.urem(rest, band_tiles)
        first = f.mul(band, f.const(I32, _BAND))
        left = f.sub(f.const(I32, row_tiles), first)
        height = f.select(f.icmp("ult", left, f.const(I32, _BAND)), left, f.const(I32, _BAND))
        row_tile, panel = f.add(first, f.urem(rest, height)), f.udiv(rest, height)
        batch, row_tile, panel = (f.cast("zext", value, "i64") for value in (batch, row_tile, panel))
        return batch, row_tile, panel

    # The thread that copies

    def _copy(self, f: Function, ring: _Ring) -> None:
        panel_bytes = self.steps * ring.right_bytes
        with block_tiles(f, self._tiles) as tiles:
            batch, row_tile, panel = self._place(f, tiles.index)
            row = f.add(f.mul(batch, i64(self.m)), f.mul(row_tile, i64(self.tile.rows)))
            row = f.cast("trunc", row, I32)
            number = f.add(f.mul(batch, i64(self._panels)), panel)
            source = f.gep(self.right, f.mul(number, i64(panel_bytes)))
            before = self._stages_before(f, tiles.index)
            with f.loop(0, self.steps) as step:
                stage, parity = ring.stage(f, f.add(before, step.index))
                mbarrier.wait(f, ring.empty(f, stage), f.xor(parity, f.const(I32, 1)))
                full = ring.full(f, stage)
                mbarrier.expect(f, full, ring.stage_bytes)
                column = f.cast("trunc", f.mul(step.index, i64(self.wgmma.depth)), I32)
                mbarrier.copy_box(f, ring.left(f, stage), self.left, column, row, full)
                piece = f.gep(source, f.mul(step.index, i64(ring.right_bytes)))
                mbarrier.copy_bytes(f, ring.right(f, stage), piece, ring.right_bytes, full)

    def _stages_before(self, f: Function, tile: Value) -> Value:
        """How many stages this block has had before `tile`, which is its own first one plus the grid's size times what
        it did."""
        return f.mul(f.udiv(tile, grid_blocks(f)), i64(self.steps))

    # The warpgroups that multiply

    def _multiply(self, f: Function, ring: _Ring, warp: Value, memory: Value, finish: Finish) -> None:
        group = f.udiv(warp, i64(_WARPS))
        own_rows = f.mul(group, i64(64 * STEP_BYTES))
        zeros = [f.zero(self.wgmma.sums)] * (self.tile.columns // 2)
        is_first = f.icmp("eq", lane_index(f), i64(0))
        with block_tiles(f, self._tiles) as tiles:
            batch, row_tile, panel = self._place(f, tiles.index)
            before = self._stages_before(f, tiles.index)
            with f.loop(0, self.steps, carried=zeros) as step:
                stage, parity = ring.stage(f, f.add(before, step.index))
                mbarrier.wait(f, ring.full(f, stage), parity)
                left = self.wgmma.left(f, f.gep(ring.left(f, stage), own_rows))
                right = self.wgmma.right(f, ring.right(f, stage), self.tile.columns)
                sums = self.wgmma.accumulate(f, left, right, self.tile.columns, step.values)
                with f.if_(is_first):
                    mbarrier.arrive(f, ring.empty(f, stage))
                step.yield_(*sums)
            first = f.add(f.mul(row_tile, i64(self.tile.rows)), f.mul(warp, i64(_WARP_ROWS)))
            corner = f.mul(panel, i64(self.tile.columns))
            for slab in range(self.tile.columns // _SLAB):
                count = _SLAB // 2
                synchronise_warp(f)  # the slab before has been read
                self._spread(f, memory, step.results[slab * count : (slab + 1) * count])
                synchronise_warp(f)
                self._finish(f, memory, batch, first, f.add(corner, i64(slab * _SLAB)), finish)

    @property
    def _size(self) -> int:
        return bits_of(self.wgmma.sums) // 8

    @property
    def _pitch(self) -> int:
        return _SLAB * self._size + _PADDING

    @property
    def _slab_bytes(self) -> int:
        return _WARP_ROWS * self._pitch

    def _spread(self, f: Function, memory: Value, sums: Sequence[Value]) -> None:
        """Writes this lane's sums of a slab to its warp's memory."""
        lane = lane_index(f)
        row, column = f.udiv(lane, i64(4)), f.mul(f.urem(lane, i64(4)), i64(2))
        start = f.gep(memory, f.add(f.mul(row, i64(self._pitch)), f.mul(column, i64(self._size))))
        for number in range(0, len(sums), 2):
            tile, half = divmod(number // 2, 2)
            pair = f.undefined(vector_type(self.wgmma.sums, 2))
            pair = f.insert(f.insert(pair, sums[number], 0), sums[number + 1], 1)
            f.store(pair, f.gep(start, half * 8 * self._pitch + tile * 8 * self._size))

    def _finish(self, f: Function, memory: Value, batch: Value, first: Value, column: Value, finish: Finish) -> None:
        """Hands to `finish` what there is of a slab, neighbouring vectors to neighbouring lanes."""
        width = _GROUP if self.n % _GROUP == 0 else 1
        groups = _SLAB // width
        with f.loop(lane_index(f), i64(_WARP_ROWS * groups), i64(WARP)) as vector:
            line, offset = f.udiv(vector.index, i64(groups)), f.mul(f.urem(vector.index, i64(groups)), i64(width))
            row, at_column = f.add(first, line), f.add(column, offset)
            inside = [
                f.icmp("slt", row, i64(self.m)) if self.m % self.tile.rows else None,
                f.icmp("slt", at_column, i64(self.n)) if self.n % self.tile.columns else None,
            ]
            with under(f, *inside):
                address = f.add(f.mul(line, i64(self._pitch)), f.mul(offset, i64(self._size)))
                sums = f.load(vector_type(self.wgmma.sums, width), f.gep(memory, address))
                finish(f, batch, row, at_column, sums)


class _Ring:
    """The stages of a block in shared memory and their barriers."""

    def __init__(self, product: WarpSpecialisedProduct, memory: SharedMemory) -> None:
        self._arrivals = product.tile.groups * _WARPS
        self._left_bytes = product.tile.rows * STEP_BYTES
        self.right_bytes = product.tile.columns * STEP_BYTES
        self._stages = _STAGES
        self._memory = memory.allocate(self._stages * self.stage_bytes, SHARED_ALIGNMENT)
        self._barriers = memory.allocate(2 * self._stages * mbarrier.BYTES)

    @property
    def stage_bytes(self) -> int:
        return self._left_bytes + self.right_bytes

    def initialise(self, f: Function) -> None:
        """Makes the barriers."""
        for stage in range(self._stages):
            mbarrier.initialise(f, self.full(f, i64(stage)), 1)
            mbarrier.initialise(f, self.empty(f, i64(stage)), self._arrivals)
        mbarrier.publish(f)

    def stage(self, f: Function, number: Value) -> tuple[Value, Value]:
        """Where the stage of that number of all that the block has is in the ring, and the parity (i32) of its turn."""
        turn = f.cast("trunc", f.udiv(number, i64(self._stages)), I32)
        return f.urem(number, i64(self._stages)), f.and_(turn, f.const(I32, 1))

    def left(self, f: Function, stage: Value) -> Value:
        return f.gep(self._memory, f.mul(stage, i64(self.stage_bytes)))

    def right(self, f: Function, stage: Value) -> Value:
        return f.gep(self.left(f, stage), self._left_bytes)

    def full(self, f: Function, stage: Value) -> Value:
        return f.gep(self._barriers, f.mul(stage, i64(mbarrier.BYTES)))

    def empty(self, f: Function, stage: Value) -> Value:
        return f.gep(self.full(f, stage), self._stages * mbarrier.BYTES)
