"""The loops around the micro-kernel: blocks of rows, panels of columns, blocks of k, and their share per thread.

Why these loops, in bytes and flops. A register tile reads its right panel [steps, n0, k0] once per m0 rows: from L1 or
L2 that is one vector per m0 multiply-adds, which the cache delivers. So a block of rows visits all panels in turn and
each panel serves every row tile of the block while it is in L2. The whole right side is read once per block: at
least 64 rows (fewer only if there are no more) make that 1/32 byte per flop for f32, 8 GB/s at 270 GFLOP/s, which even
memory can give. The block's own rows, 512 KiB at most beyond those 64, stay in the rest of L2.

A unit of work is one block of rows times one panel; a thread takes a contiguous range of units, so that it prepares
a block of rows once and sweeps it over its panels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from .arithmetic import i64
from .emit import Function
from .microkernel import Finish as FinishInRegisters
from .microkernel import Microkernel
from .product import Product
from .types import Value

_BLOCK_BYTES = 512 * 1024
_FEWEST_ROWS, _MOST_ROWS = 64, 128
MOST_STEPS = 1024
"""Beyond this many steps a panel is swept in parts, so that a part (128 KiB of f32 at n0 = 32) stays in L2."""
_RESIDENT_BYTES = 768 * 1024
"""A right side of this size stays in an L2 of 1 MiB in any order, so that blocks may be as small as balance asks."""
_FEW_BLOCKS = 4
"""So few blocks of rows that a right side comes from afar for a good part of them, though it stays in L2 then."""
_LEAST_SHARE = 16
"""Bytes of a right side to be brought nearer by a step: with less each line would be asked for all too often."""
_UNITS = 32
"""Units that keep threads within a few percent of each other."""


class LeftSide(Protocol):
    """Where the rows of the left side come from."""

    @property
    def prepares(self) -> bool:
        """Whether `block` copies rows to scratch (then it is called once per block), or only points at them."""
        ...

    def prepared_bytes(self, rows: int) -> int:
        """Bytes of scratch that a block of so many rows takes."""
        ...

    def block(self, f: Function, scratch: Value, batch: Value, first: Value, rows: Value) -> Value:
        """The address of row `first` of `batch`, `rows` of which can be read at the micro-kernel's strides."""
        ...


Prefetch = Callable[[Function, Value, Value, int, Value], None]
"""prefetch(f, batch, row, rows, panel): rows [row, row + rows) of that panel are about to be computed."""

Finish = Callable[[Function, Value, Value, Value, tuple[Value, Value], Value], None]
"""finish(f, sums, batch, row, rows, panel): rows [row + rows[0], row + rows[1]) of that panel are final in `sums`."""


class FinishAtOnce(FinishInRegisters, Protocol):
    """What finishes tiles in registers, and what is passed to the function of a tile for it."""

    def arguments(self, batch: Value, row: Value, panel: Value) -> list[Value]: ...


@dataclass(frozen=True)
class Sweep:
    """result[batches, m, n] in tiles of `kernel`, `steps` steps of k each, with `panels` right panels per batch.

    `row_pitch` is the distance in bytes between rows of a block as `LeftSide` gives it (for tiled rows that of a tile
    divided by m0). `right_is_batched` tells whether each batch has panels of its own.
    """

    kernel: Microkernel
    batches: int
    m: int
    panels: int
    steps: int
    row_pitch: int
    right_is_batched: bool
    stored: Product | None = None
    """The product for panels as they lie in memory, where `kernel` reads them widened: the first row tile of a unit
    widens its panel and leaves it in scratch for the others."""

    @cached_property
    def tiles(self) -> int:
        """Row tiles of one batch; the last one overlaps its neighbour where m0 does not divide m."""
        return -(-self.m // self.kernel.m0)

    @cached_property
    def tiles_per_block(self) -> int:
        rows = min(max(_BLOCK_BYTES // max(self.row_pitch, 1), _FEWEST_ROWS), _MOST_ROWS)
        blocks = -(-self.tiles // max(1, rows // self.kernel.m0))
        if self.panels * self._panel_bytes <= _RESIDENT_BYTES:
            units = _UNITS // 4 if self.stored else _UNITS
            blocks = max(blocks, min(self.tiles, -(-units // (self.batches * self.panels))))
        return -(-self.tiles // blocks)

    @cached_property
    def blocks(self) -> int:
        return -(-self.tiles // self.tiles_per_block)

    @property
    def block_rows(self) -> int:
        return min(self.tiles_per_block * self.kernel.m0, self.m)

    @cached_property
    def k_blocks(self) -> int:
        """Equal parts that k is swept in."""
        fewest = -(-self.steps // MOST_STEPS)
        return next((parts for parts in range(fewest, 2 * fewest) if self.steps % parts == 0), 1)

    @property
    def sums_bytes(self) -> int:
        """Bytes of scratch, at its start, for the tiles in progress: one, or a block of them when k is blocked."""
        return self.kernel.tile_bytes * (self.tiles_per_block if self.k_blocks > 1 else 1)

    def scratch_bytes(self, left: LeftSide) -> int:
        """Bytes of scratch that one thread needs."""
        return self._unpacked_offset(left) + (self._panel_bytes if self.stored else 0)

    def _unpacked_offset(self, left: LeftSide) -> int:
        return self._prepared_offset + -(-left.prepared_bytes(self.block_rows) // 64) * 64

    @property
    def _prepared_offset(self) -> int:
        return -(-self.sums_bytes // 64) * 64

    @property
    def _panel_bytes(self) -> int:
        return self.steps * self.kernel.panel_step_bytes

    @property
    def _stored_panel_bytes(self) -> int:
        """Bytes of a panel in memory."""
        return self.steps * self._stored_step_bytes

    @property
    def _stored_step_bytes(self) -> int:
        product = self.stored or self.kernel.product
        return self.kernel.panel_step_bytes // self.kernel.product.right_step * product.right_step

    @property
    def _part_bytes(self) -> int:
        """Bytes of a panel's part, as it lies in memory."""
        return self.steps // self.k_blocks * self._stored_step_bytes

    @property
    def _ahead(self) -> int:
        """Bytes of the part of a panel behind the one at work that each step of a row tile brings to L2.

        A panel that comes from L3 or memory arrives slower than its first row tile could use it, and the others of
        the block read nothing from there: spread over all of them the same bytes take no time. 0 where most blocks
        find them in L2, or each part serves one tile only.
        """
        share = -(-self._stored_step_bytes // self.tiles_per_block)
        stays = self.panels * self._panel_bytes <= _RESIDENT_BYTES and not self.right_is_batched
        is_near = stays and (self.blocks > _FEW_BLOCKS or share < _LEAST_SHARE)
        if self.stored is not None or is_near or self.kernel.segments > 1 or self.tiles_per_block == 1:
            return 0
        return share

    def emit(
        self,
        f: Function,
        left: LeftSide,
        right: Value,
        scratch: Value,
        thread: Value,
        threads: Value,
        finish: Finish,
        prefetch: Prefetch,
        at_once: FinishAtOnce | None = None,
    ) -> None:
        """Emits thread `thread`'s share. `scratch` holds `sums_bytes`, then what `left` keeps there.

        Tiles are finished `at_once` where that is given, else by `finish`.
        """
        first = self._first_unit(f, thread, threads)
        last = self._first_unit(f, f.add(thread, i64(1)), threads)
        prepared = f.gep(scratch, self._prepared_offset)
        f.attach(self._tile(f, at_once))
        if self.stored is not None:
            f.attach(self._tile(f, None, first=True))
        unpacked = f.gep(scratch, self._unpacked_offset(left))
        with f.loop(first, last, carried=[i64(-1)]) as unit:
            panel = f.urem(unit.index, i64(self.panels))
            block_of_all = f.udiv(unit.index, i64(self.panels))
            batch, block = f.udiv(block_of_all, i64(self.blocks)), f.urem(block_of_all, i64(self.blocks))
            if self.batches == 1:
                batch, block = i64(0), block_of_all
            nominal, start, rows, tiles = self._block(f, block)
            if left.prepares:
                with f.if_(f.icmp("ne", block_of_all, unit.values[0])):
                    left.block(f, prepared, batch, start, rows)
                rows_address = prepared
            else:
                rows_address = left.block(f, prepared, batch, start, rows)
            which = f.add(f.mul(batch, i64(self.panels)), panel) if self.right_is_batched else panel
            right_address = f.gep(right, f.mul(which, i64(self._stored_panel_bytes)))

            def finish_tile(sums: Value, row: Value, skip: Value, batch: Value = batch, panel: Value = panel) -> None:
                finish(f, sums, batch, row, (skip, i64(self.kernel.m0)), panel)

            def prefetch_tile(row: Value, batch: Value = batch, panel: Value = panel) -> None:
                prefetch(f, batch, row, self.kernel.m0, panel)

            def tile(
                rows: Value,
                right: Value,
                sums: Value,
                number: Value,
                row: Value,
                batch: Value = batch,
                panel: Value = panel,
            ) -> None:
                finishing = at_once.arguments(batch, row, panel) if at_once else []
                share = i64(self.steps // self.k_blocks * self._ahead)
                ahead = [f.gep(f.gep(right, self._part_bytes), f.mul(number, share))] if self._ahead else []
                f.call("void", _tile_name(f), [rows, right, sums, *ahead, *finishing])

            right_side = right_address, unpacked
            self._block_times_panel(
                f,
                rows_address,
                right_side,
                scratch,
                nominal,
                start,
                tiles,
                tile,
                None if at_once else finish_tile,
                prefetch_tile,
            )
            unit.yield_(block_of_all)

    def _first_unit(self, f: Function, thread: Value, threads: Value) -> Value:
        """Where the share of `thread` begins: shares are even in tiles, of which the last block of rows has fewer."""
        full_blocks = self.blocks - 1
        full_work = full_blocks * self.tiles_per_block * self.panels
        batch_work = self.tiles * self.panels
        done = f.udiv(f.mul(thread, i64(self.batches * batch_work)), threads)
        batch, rest = f.udiv(done, i64(batch_work)), f.urem(done, i64(batch_work))
        in_full = f.udiv(rest, i64(self.tiles_per_block))
        last_tiles = self.tiles - full_blocks * self.tiles_per_block
        in_last = f.add(i64(full_blocks * self.panels), f.udiv(f.sub(rest, i64(full_work)), i64(last_tiles)))
        unit = f.select(f.icmp("ult", rest, i64(full_work)), in_full, in_last)
        return f.add(f.mul(batch, i64(self.blocks * self.panels)), unit)

    def _tile(self, f: Function, at_once: FinishAtOnce | None, *, first: bool = False) -> Function:
        """The function that computes one tile over one block of k; with `first` one that widens the panel."""
        steps, accumulates = self.steps // self.k_blocks, self.k_blocks > 1
        if not first:
            return self.kernel.function(_tile_name(f), steps, accumulate=accumulates, finish=at_once, ahead=self._ahead)
        return self.kernel.function(_first_name(f), steps, accumulate=accumulates, stored=self.stored)

    def _block(self, f: Function, block: Value) -> tuple[Value, Value, Value, Value]:
        """(row its first tile would start at, row it starts at so as not to pass the end, rows, tiles) of a block."""
        m0 = self.kernel.m0
        nominal = f.mul(block, i64(self.tiles_per_block * m0))
        start = nominal if self.m % m0 == 0 else f.min(nominal, i64(self.m - m0))
        if self.tiles % self.tiles_per_block == 0:
            tiles = i64(self.tiles_per_block)
        else:
            tiles = f.min(i64(self.tiles_per_block), f.sub(i64(self.tiles), f.mul(block, i64(self.tiles_per_block))))
        if self.m % (self.tiles_per_block * m0) == 0:
            rows = i64(self.block_rows)
        else:
            rows = f.min(i64(self.block_rows), f.sub(i64(self.m), start))
        return nominal, start, rows, tiles

    def _block_times_panel(
        self,
        f: Function,
        left: Value,
        right: tuple[Value, Value],
        scratch: Value,
        nominal: Value,
        start: Value,
        tiles: Value,
        compute: Callable[[Value, Value, Value, Value, Value], None],
        finish: Callable[[Value, Value, Value], None] | None,
        prefetch: Callable[[Value], None],
    ) -> None:
        kernel, parts = self.kernel, self.k_blocks
        steps = self.steps // parts
        if parts > 1:
            _clear(f, kernel, scratch, self.sums_bytes)
        with f.loop(0, parts) as part:
            left_part = f.gep(left, f.mul(part.index, i64(steps * kernel.step_stride)))
            in_memory = f.gep(right[0], f.mul(part.index, i64(steps * self._stored_step_bytes)))
            right_part = in_memory
            if self.stored is not None:
                right_part = f.gep(right[1], f.mul(part.index, i64(steps * kernel.panel_step_bytes)))
            with f.loop(0, tiles) as tile:
                wanted = f.add(nominal, f.mul(tile.index, i64(kernel.m0)))
                row, skip = wanted, i64(0)
                if self.m % kernel.m0:
                    row = f.min(wanted, i64(self.m - kernel.m0))
                    skip = f.sub(wanted, row)
                offset = f.mul(f.sub(row, start), i64(self.row_pitch))
                sums = f.gep(scratch, f.mul(tile.index, i64(kernel.tile_bytes))) if parts > 1 else scratch
                rows = f.gep(left_part, offset)
                if parts == 1:
                    prefetch(row)
                if self.stored is None:
                    compute(rows, right_part, sums, tile.index, row)
                else:
                    is_first = f.icmp("eq", tile.index, i64(0))
                    with f.if_(is_first):
                        f.call("void", _first_name(f), [rows, in_memory, sums, right_part])
                    with f.if_(f.xor(is_first, f.const("i1", True))):
                        compute(rows, right_part, sums, tile.index, row)
                if finish is not None and parts > 1:
                    with f.if_(f.icmp("eq", part.index, i64(parts - 1))):
                        finish(sums, row, skip)
                elif finish is not None:
                    finish(sums, row, skip)


def _tile_name(f: Function) -> str:
    return f"{f.name}.tile"


def _first_name(f: Function) -> str:
    return f"{f.name}.first"


def _clear(f: Function, kernel: Microkernel, sums: Value, size: int) -> None:
    step = kernel.vector_bytes
    with f.loop(0, size, step) as loop:
        f.store(f.zero(kernel.product.sums), f.gep(sums, loop.index), step)
