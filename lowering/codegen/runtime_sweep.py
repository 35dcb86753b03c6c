"""The loops around the micro-kernel where sizes are known only when a kernel is called.

The same loops as in `sweep`, but that every bound is computed: blocks of rows, panels of columns, parts of k. Scratch
memory is bounded whatever the sizes: k is swept in parts of at most `PART_STEPS` steps, a block holds at most
`BLOCK_ROWS` rows. Register tiles come in a few heights; the call takes the lowest that cuts its rows into as few tiles
as the highest would, so that one row costs one row and thirteen do not cost twice fourteen. Rows of the last tile that
do not exist are computed from whatever scratch holds and never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from .arithmetic import i64
from .emit import Function
from .microkernel import Microkernel
from .sweep import Finish
from .types import Value

PART_STEPS = 1024
"""Steps of k swept at once: a part of a panel (128 KiB of f32 at n0 = 32) stays in L2 beside the block of rows."""
BLOCK_ROWS = 128
_UNITS_PER_THREAD = 8
"""Units of work that keep threads within some percent of each other."""
_HEIGHTS = (12, 10, 8, 6, 4, 2, 1)
"""Heights of register tiles besides the highest one."""


class RuntimeLeftSide(Protocol):
    """Where the rows of the left side come from."""

    @property
    def prepares(self) -> bool:
        """Whether `block` copies to scratch, or only points at what is there."""
        ...

    def block(
        self, f: Function, scratch: Value, batch: Value, row: Value, rows: Value, step: Value, steps: Value
    ) -> Value:
        """The address of rows [row, row + rows) at step `step`, of which `steps` can be read as the kernels read."""
        ...

    def tile_distance(self, f: Function, height: Value) -> Value:
        """Bytes between tiles of `height` rows in what `block` gives."""
        ...


def heights(m0: int) -> list[int]:
    """The heights of register tiles where the target wants `m0` rows and there may be any number, highest first."""
    return [m0, *(height for height in _HEIGHTS if height < m0)]


@dataclass(frozen=True)
class RuntimeSweep:
    """result[batches, m, n] in tiles of `kernels` (of falling m0), with `panels` right panels of `steps` steps.

    `panel_address(f, batch, panel)` is where the right panel begins. A tile may be too high for the registers: then it
    is computed in `slices` of the (one) kernel.
    """

    kernels: Sequence[Microkernel]
    batches: Value
    m: Value
    panels: Value
    steps: Value
    panel_address: Callable[[Function, Value, Value], Value]
    slices: int = 1

    @property
    def tile_rows(self) -> int:
        """Rows of the highest tile."""
        return self.highest.m0 * self.slices

    @property
    def highest(self) -> Microkernel:
        return self.kernels[0]

    @cached_property
    def block_rows(self) -> int:
        """Rows of a block, at most."""
        return max(BLOCK_ROWS // self.tile_rows, 1) * self.tile_rows

    @property
    def _sums_bytes(self) -> int:
        # Tiles of any height fit: a tile of h rows takes h rows of sums.
        return -(-self.block_rows * self.highest.row_bytes // 64) * 64

    def scratch_bytes(self, prepared_bytes: int) -> int:
        return self._sums_bytes + prepared_bytes

    def emit(
        self,
        f: Function,
        left: RuntimeLeftSide,
        scratch: Value,
        thread: Value,
        threads: Value,
        finish: Finish,
    ) -> None:
        """Emits thread `thread`'s share. `scratch` holds the tiles in progress, then what `left` keeps there."""
        for kernel in self.kernels:
            f.attach(kernel.function(_tile_name(f, kernel), None, accumulate=True))
        one = i64(1)
        height = self._height(f)
        tiles = f.ceildiv(self.m, height)
        blocks, block_tiles = self._blocks(f, height, tiles, threads)
        batch_work = f.mul(tiles, self.panels)
        with f.if_(f.icmp("ne", f.mul(batch_work, self.batches), i64(0))):
            share = _Share(self, blocks, block_tiles, tiles, batch_work)
            first = share.first_unit(f, thread, threads)
            last = share.first_unit(f, f.add(thread, one), threads)
            with f.loop(first, last, carried=[i64(-1)]) as unit:
                panel, block_of_all = f.urem(unit.index, self.panels), f.udiv(unit.index, self.panels)
                batch, block = f.udiv(block_of_all, blocks), f.urem(block_of_all, blocks)
                row = f.mul(f.mul(block, block_tiles), height)
                rows = f.min(f.mul(block_tiles, height), f.sub(self.m, row))
                fresh = f.icmp("ne", block_of_all, unit.values[0])
                self._unit(f, left, scratch, batch, row, rows, panel, height, fresh, finish)
                unit.yield_(block_of_all)

    def _height(self, f: Function) -> Value:
        """The lowest height that makes no more tiles than the highest does."""
        most = i64(self.tile_rows)
        tiles = f.max(f.ceildiv(self.m, most), i64(1))
        wanted = f.ceildiv(self.m, tiles)
        height = most
        for kernel in self.kernels[1:]:
            height = f.select(f.icmp("sle", wanted, i64(kernel.m0)), i64(kernel.m0), height)
        return height

    def _blocks(self, f: Function, height: Value, tiles: Value, threads: Value) -> tuple[Value, Value]:
        """(blocks of rows per batch, tiles per block): few blocks, but enough units for all threads."""
        one = i64(1)
        most = f.udiv(i64(self.block_rows), height)
        fewest = f.max(f.ceildiv(tiles, most), one)
        wanted = f.ceildiv(f.mul(threads, i64(_UNITS_PER_THREAD)), f.max(f.mul(self.batches, self.panels), one))
        blocks = f.select(f.icmp("eq", threads, one), fewest, f.max(fewest, f.min(wanted, tiles)))
        block_tiles = f.max(f.ceildiv(tiles, blocks), one)
        return f.ceildiv(tiles, block_tiles), block_tiles

    def _unit(
        self,
        f: Function,
        left: RuntimeLeftSide,
        scratch: Value,
        batch: Value,
        row: Value,
        rows: Value,
        panel: Value,
        height: Value,
        fresh: Value,
        finish: Finish,
    ) -> None:
        """One block of rows times one panel. `fresh` tells whether the unit before was of another block."""
        kernel = self.highest
        right = self.panel_address(f, batch, panel)
        parts = f.max(f.ceildiv(self.steps, i64(PART_STEPS)), i64(1))
        whole = f.icmp("eq", parts, i64(1))
        prepared = f.gep(scratch, self._sums_bytes)
        with f.loop(i64(0), parts) as part:
            step = f.mul(part.index, i64(PART_STEPS))
            steps = f.min(i64(PART_STEPS), f.sub(self.steps, step))
            if left.prepares:
                with f.if_(f.or_(fresh, f.xor(whole, f.const("i1", True)))):
                    left.block(f, prepared, batch, row, rows, step, steps)
                address = prepared
            else:
                address = left.block(f, prepared, batch, row, rows, step, steps)
            right_part = f.gep(right, f.mul(step, i64(kernel.panel_step_bytes)))
            distance = left.tile_distance(f, height)
            is_last = f.icmp("eq", f.add(part.index, i64(1)), parts)
            tile_bytes = f.mul(height, i64(kernel.row_bytes))
            with f.loop(i64(0), f.ceildiv(rows, height)) as tile:
                sums = f.gep(scratch, f.mul(tile.index, tile_bytes))
                with f.if_(f.icmp("eq", part.index, i64(0))):
                    self._clear(f, sums, tile_bytes)
                self._tile(f, height, [f.gep(address, f.mul(tile.index, distance)), right_part, sums, steps])
                with f.if_(is_last):
                    done = f.mul(tile.index, height)
                    finish(f, sums, batch, f.add(row, done), (i64(0), f.min(height, f.sub(rows, done))), panel)

    def _tile(self, f: Function, height: Value, arguments: Sequence[Value]) -> None:
        if len(self.kernels) == 1:
            left, right, sums, steps = arguments
            kernel = self.highest
            with f.loop(0, self.slices) as piece:
                row = f.mul(piece.index, i64(kernel.m0))
                left = f.gep(left, f.mul(row, i64(kernel.row_stride)))
                sums = f.gep(sums, f.mul(row, i64(kernel.row_bytes)))
                f.call("void", _tile_name(f, kernel), [left, right, sums, steps])
            return
        for kernel in self.kernels:
            with f.if_(f.icmp("eq", height, i64(kernel.m0))):
                f.call("void", _tile_name(f, kernel), arguments)

    def _clear(self, f: Function, sums: Value, size: Value) -> None:
        step = self.highest.vector_bytes
        with f.loop(i64(0), size, step) as loop:
            f.store(f.zero(self.highest.product.sums), f.gep(sums, loop.index), min(step, 64))


@dataclass(frozen=True)
class _Share:
    """Units (block of rows, panel) in shares that are even in tiles: the last block of rows has fewer."""

    sweep: RuntimeSweep
    blocks: Value
    block_tiles: Value
    tiles: Value
    batch_work: Value

    def first_unit(self, f: Function, thread: Value, threads: Value) -> Value:
        panels = self.sweep.panels
        full_blocks = f.sub(self.blocks, i64(1))
        full_work = f.mul(f.mul(full_blocks, self.block_tiles), panels)
        done = f.udiv(f.mul(thread, f.mul(self.sweep.batches, self.batch_work)), threads)
        batch, rest = f.udiv(done, self.batch_work), f.urem(done, self.batch_work)
        last_tiles = f.sub(self.tiles, f.mul(full_blocks, self.block_tiles))
        in_last = f.add(f.mul(full_blocks, panels), f.udiv(f.sub(rest, full_work), last_tiles))
        unit = f.select(f.icmp("ult", rest, full_work), f.udiv(rest, self.block_tiles), in_last)
        return f.add(f.mul(batch, f.mul(self.blocks, panels)), unit)


def _tile_name(f: Function, kernel: Microkernel) -> str:
    return f"{f.name}.tile{kernel.m0}"
