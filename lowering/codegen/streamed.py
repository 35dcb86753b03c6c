"""Few rows times a right side [K, N] that lies in rows: it is read once, where it lies, at the speed of memory.

Strips of some registers of columns take a few steps of k at a time: their sums stay in the first cache between the
steps, so that the right side is read in runs along its rows, which memory delivers best, and not down a column of
strips, a page apart from step to step. All rows of the left side take part while a piece of the right side is in
registers. The left side is copied to a panel, a few steps of it, as broadcasts and instructions want it.

`vpdpbusd` wants the right side unsigned (see `strip_product`). What that adds to a sum, 128 times the sum of its row of
the left side, is taken off again for every piece of the panel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd

from .arithmetic import i64
from .emit import OUTLINED, Function
from .extent import emit_extent
from .kernel import KernelContext
from .operand_view import ProductView
from .panel import Conversion, copy_any
from .parallel import vector_loop
from .strip_product import StripProduct, tallest
from .tile_output import TileOutput
from .types import I8, I32, Value, bits_of, vector_type

_HEADER = 64
"""Bytes in front of a row of the panel: what offsets have added to its sums."""
_SUMS_BYTES = 32 * 1024
"""Sums in progress: they stay in the first cache beside the right side streaming through."""
_BLOCK_ROWS = 32
_STREAMS = 8
"""Rows of the right side read side by side where reading them is all that takes time."""
_FEW_ROWS = 4
"""So few rows of the left side take less time than reading the right side does."""
_LINE = 64
"""Bytes of a cache line: registers loaded from two of them take twice as long."""
_HEIGHTS = (6, 5, 4, 3, 2, 1)


@dataclass(frozen=True)
class Streamed:
    """`view` (whose right side has contiguous columns) in strips of `product`."""

    context: KernelContext
    view: ProductView
    product: StripProduct
    output: TileOutput

    @property
    def f(self) -> Function:
        return self.context.f

    @cached_property
    def steps(self) -> int:
        """Steps of k at a time: as few streams as prefetchers follow; more where rows enough share what they bring."""
        rows = self.view.rows
        few = max(_STREAMS // self.product.k0, 4)
        most = few if isinstance(rows, int) and rows <= _FEW_ROWS else 32
        if not isinstance(self.view.k, int):
            return most
        steps = -(-self.view.k // self.product.k0)
        parts = steps // most  # a remainder is spread over them
        return -(-steps // parts) if parts else max(steps, 1)

    @property
    def pitch(self) -> int:
        """Bytes between rows of the panel."""
        return _HEADER + -(-self.steps * self.product.panel_step // 64) * 64

    @cached_property
    def heights(self) -> list[int]:
        """Rows of register tiles, highest first."""
        product = self.product
        most = tallest(product.target, product.vectors)
        if product.offset:
            most = max(most - 1, 1)
        rows = self.view.rows
        if isinstance(rows, int):
            return [-(-rows // -(-rows // most))] if rows else [1]
        return [most, *(height for height in _HEIGHTS if height < most)]

    @cached_property
    def block_rows(self) -> int:
        """Rows that share a piece of the right side."""
        highest = self.heights[0]
        rows = self.view.rows
        most = max(_BLOCK_ROWS // highest, 1)
        if isinstance(rows, int):
            most = min(most, max(-(-rows // highest), 1))
        return highest * most

    @property
    def strip_bytes(self) -> int:
        """Bytes of a strip's sums."""
        return self.block_rows * self.row_bytes

    @property
    def row_bytes(self) -> int:
        return self.product.columns * bits_of(self.product.accumulator) // 8

    @cached_property
    def strips_at_once(self) -> int:
        return max(_SUMS_BYTES // self.strip_bytes, 4)

    @property
    def staged_bytes(self) -> int:
        return self.steps * self.product.k0 * self.product.right_bytes

    @property
    def scratch_bytes(self) -> int:
        used = self.strips_at_once * self.strip_bytes + self.block_rows * self.pitch + self.staged_bytes
        return -(-used // 64) * 64

    def emit(self) -> int:
        """Emits this thread's share; returns the bytes of scratch per thread."""
        f, view = self.f, self.view
        for height in self.heights:
            f.attach(self._tile(height))
        width = i64(self.product.columns)
        rows, columns, depth = (emit_extent(f, size) for size in (view.rows, view.columns, view.k))
        shift = self._shift(columns)
        strips = f.ceildiv(f.add(columns, shift), width)
        blocks = f.ceildiv(rows, i64(self.block_rows))
        units = f.mul(f.mul(emit_extent(f, view.batch), blocks), strips)
        first = f.udiv(f.mul(self.context.thread, units), self.context.threads)
        last = f.udiv(f.mul(f.add(self.context.thread, i64(1)), units), self.context.threads)
        with f.if_(f.icmp("slt", first, last)):
            end_block = f.add(f.udiv(f.sub(last, i64(1)), strips), i64(1))
            with f.loop(f.udiv(first, strips), end_block) as outer:
                batch, block = f.udiv(outer.index, blocks), f.urem(outer.index, blocks)
                row = f.mul(block, i64(self.block_rows))
                count = f.min(i64(self.block_rows), f.sub(rows, row))
                begun = f.mul(outer.index, strips)
                begin, end = f.max(f.sub(first, begun), i64(0)), f.min(f.sub(last, begun), strips)
                with f.loop(begin, end, self.strips_at_once) as chunk:
                    chunk_end = f.min(f.add(chunk.index, i64(self.strips_at_once)), end)
                    self._chunk(batch, row, count, chunk.index, chunk_end, columns, depth, shift)
        return self.scratch_bytes

    def _chunk(
        self,
        batch: Value,
        row: Value,
        rows: Value,
        begin: Value,
        end: Value,
        columns: Value,
        depth: Value,
        shift: Value,
    ) -> None:
        """Strips [begin, end) of a block of rows, over all of k."""
        f, product, view = self.f, self.product, self.view
        height = self._height(rows)
        sums = self.context.scratch
        panel = f.gep(sums, self.strips_at_once * self.strip_bytes)
        staged = f.gep(panel, self.block_rows * self.pitch)
        size = f.mul(f.sub(end, begin), i64(self.strip_bytes))
        with f.loop(i64(0), size, product.target.vector_bits // 8) as cleared:
            f.store(f.zero(product.sums), f.gep(sums, cleared.index))
        grain = self.steps * product.k0
        row_step = emit_extent(f, view.right.k)
        with f.loop(i64(0), depth, grain) as part:
            k = f.min(i64(grain), f.sub(depth, part.index))
            self._prepare(panel, batch, row, rows, part.index, k)
            with f.loop(begin, end) as strip:
                column, _, _ = self._place(strip.index, columns, shift)
                source = view.right.at(f, batch, column, part.index)
                at = f.gep(sums, f.mul(f.sub(strip.index, begin), i64(self.strip_bytes)))
                # What a strip lacks, columns or rows of the last step, is staged with zeros in its place.
                lacking = f.icmp("slt", columns, i64(product.columns))
                if product.k0 > 1:
                    lacking = f.or_(lacking, f.icmp("ne", f.urem(k, i64(product.k0)), i64(0)))
                with f.if_(lacking):
                    self._stage(staged, source, f.min(columns, i64(product.columns)), k, row_step)
                source = f.select(lacking, staged, source)
                stride = f.select(lacking, i64(product.right_bytes), row_step)
                steps = f.ceildiv(k, i64(product.k0))
                self._rows_times_strip(panel, source, at, stride, steps, rows, height)
        with f.loop(begin, end) as strip:
            column, skip, valid = self._place(strip.index, columns, shift)
            at = f.gep(sums, f.mul(f.sub(strip.index, begin), i64(self.strip_bytes)))
            if product.instruction == "vpdpbusd":
                self._reorder(at, rows)
            at = f.gep(at, f.mul(skip, i64(bits_of(product.accumulator) // 8)))
            self.output.columns(f, at, batch, row, (i64(0), rows), f.add(column, skip), valid)

    def _shift(self, columns: Value) -> Value:
        """How many columns the first strip has less, so that registers of the others are loaded from one cache line."""
        f, right = self.f, self.view.right
        loaded = self.product.loaded_bytes
        uneven = isinstance(right.k, int) and right.k % loaded != 0
        if uneven or (isinstance(self.view.columns, int) and self.product.columns > self.view.columns):
            return i64(0)
        address = f.emit("i64", f"ptrtoint ptr {right.pointer.text} to i64")
        shift = f.udiv(f.and_(address, i64(loaded - 1)), i64(right.size))
        usable = f.icmp("sge", columns, i64(self.product.columns))
        if not isinstance(right.k, int):
            usable = f.and_(usable, f.icmp("eq", f.and_(emit_extent(f, right.k), i64(loaded - 1)), i64(0)))
        return f.select(usable, shift, i64(0))

    def _place(self, strip: Value, columns: Value, shift: Value) -> tuple[Value, Value, Value]:
        """(the column that a strip begins at, how many of its first columns others have, how many it has)."""
        f, width = self.f, i64(self.product.columns)
        wanted = f.sub(f.mul(strip, width), shift)
        first, last = f.max(wanted, i64(0)), f.min(f.add(wanted, width), columns)
        column = f.max(f.min(first, f.sub(columns, width)), i64(0))
        return column, f.sub(first, column), f.sub(last, first)

    def _height(self, rows: Value) -> Value:
        f = self.f
        most = i64(self.heights[0])
        wanted = f.ceildiv(rows, f.max(f.ceildiv(rows, most), i64(1)))
        height = most
        for lower in self.heights[1:]:
            height = f.select(f.icmp("sle", wanted, i64(lower)), i64(lower), height)
        return height

    def _prepare(self, panel: Value, batch: Value, row: Value, rows: Value, k: Value, count: Value) -> None:
        """Copies `count` elements of `rows` rows to the panel, zeros behind them; notes what offsets will add."""
        f, product, left = self.f, self.product, self.view.left
        conversion = Conversion(product.target, left.element, product.panel)
        size = conversion.panel_bytes
        with f.loop(i64(0), rows) as line:
            source = left.at(f, batch, f.add(row, line.index), k)
            header = f.gep(panel, f.mul(line.index, i64(self.pitch)))
            destination = f.gep(header, _HEADER)
            if product.k0 > 1:
                for at in range(0, self.pitch - _HEADER, 64):
                    f.store(f.zero(vector_type(I8, 64)), f.gep(destination, at))
            if left.k_contiguous:
                copy_any(f, conversion, source, destination, count)
            else:
                with f.loop(i64(0), count) as element:
                    value = f.load(left.element, f.gep(source, f.mul(element.index, emit_extent(f, left.k))))
                    f.store(conversion.apply(f, value), f.gep(destination, f.mul(element.index, i64(size))))
            if product.offset:
                f.store(self._offset_of(destination), header)

    def _offset_of(self, row: Value) -> Value:
        """-128 times the sum of a row of the panel (i8)."""
        f, bits = self.f, self.product.target.vector_bits
        lanes, total = bits // 32, f.zero(vector_type(I32, bits // 32))
        for at in range(0, self.pitch - _HEADER, bits // 8):
            values = f.load(vector_type(I8, bits // 8), f.gep(row, at))
            total = f.instruction("vpdpbusd", total, f.const(vector_type(I8, bits // 8), -128), values)
        sum = f.call(I32, f"llvm.vector.reduce.add.v{lanes}i32", [total])
        return f.sub(f.const(I32, 0), sum)

    def _stage(self, staged: Value, source: Value, columns: Value, k: Value, row_step: Value) -> None:
        """Copies `k` rows of `columns` elements to `staged`, zeros in place of all that is missing."""
        f, product = self.f, self.product
        size = bits_of(product.right) // 8
        bytes = i64(self.staged_bytes)
        wide = gcd(self.staged_bytes, 64)
        with f.loop(i64(0), bytes, wide) as cleared:
            f.store(f.zero(vector_type(I8, wide)), f.gep(staged, cleared.index))
        element = f"i{bits_of(product.right)}"
        lanes = product.lanes
        with f.loop(i64(0), k) as row:
            start = f.gep(source, f.mul(row.index, row_step))
            destination = f.gep(staged, f.mul(row.index, i64(product.right_bytes)))

            def move(index: Value, count: int, mask: Value | None) -> None:
                type, at = vector_type(element, count), f.mul(index, i64(size))
                value = f.load(type, f.gep(start, at)) if mask is None else f.masked_load(type, f.gep(start, at), mask)
                f.store(value, f.gep(destination, at))

            vector_loop(f, product.target, i64(0), columns, lanes, move)

    def _rows_times_strip(
        self, panel: Value, right: Value, sums: Value, stride: Value, steps: Value, rows: Value, height: Value
    ) -> None:
        f = self.f
        with f.loop(i64(0), f.ceildiv(rows, height)) as tile:
            line = f.mul(tile.index, height)
            left = f.gep(panel, f.mul(line, i64(self.pitch)))
            at = f.gep(sums, f.mul(line, i64(self.row_bytes)))
            for rows_of_tile in self.heights:
                arguments = [left, right, at, stride, steps]
                if len(self.heights) == 1:
                    f.call("void", self._tile_name(rows_of_tile), arguments)
                    continue
                with f.if_(f.icmp("eq", height, i64(rows_of_tile))):
                    f.call("void", self._tile_name(rows_of_tile), arguments)

    def _tile_name(self, height: int) -> str:
        return f"{self.f.name}.strip{height}"

    def _tile(self, height: int) -> Function:
        """name(left, right, sums, stride, steps): adds `steps` steps to a tile of `height` rows of a strip."""
        parameters = [("ptr noalias readonly", "left"), ("ptr noalias readonly", "right"), ("ptr noalias", "sums")]
        parameters += [("i64", "stride"), ("i64", "steps")]
        f = Function(self._tile_name(height), parameters, attributes=OUTLINED)
        left, right, sums, stride, steps = f.arguments
        product, vector_bytes = self.product, self.product.target.vector_bits // 8
        slots = [
            f.gep(sums, i * self.row_bytes + j * vector_bytes) for i in range(height) for j in range(product.vectors)
        ]
        values = [f.load(product.sums, slot) for slot in slots]
        if product.offset:
            for i in range(height):
                added = f.splat(f.load(I32, f.gep(left, i * self.pitch)), product.lanes)
                for j in range(product.vectors):
                    values[i * product.vectors + j] = f.add(values[i * product.vectors + j], added)
        unroll = max(1, min(4, 48 // (height * product.vectors)))
        rest = f.urem(steps, i64(unroll))
        pointers = [f.gep(left, _HEADER), right]
        for count, size in ((f.sub(steps, rest), unroll), (rest, 1)):
            if unroll == 1 and count is rest:
                continue
            with f.loop(i64(0), count, size, carried=[*pointers, *values]) as loop:
                left_at, right_at, *values = loop.values
                for step in range(size):
                    values, right_at = self._step(
                        f, f.gep(left_at, step * product.panel_step), right_at, stride, values
                    )
                loop.yield_(f.gep(left_at, size * product.panel_step), right_at, *values)
            pointers, values = loop.results[:2], loop.results[2:]
        for value, slot in zip(values, slots, strict=True):
            f.store(value, slot)
        return f

    def _step(
        self, f: Function, left: Value, right: Value, stride: Value, values: list[Value]
    ) -> tuple[list[Value], Value]:
        product = self.product
        rows = [right]
        for _ in range(product.k0):
            rows.append(f.gep(rows[-1], stride))
        columns = product.load_right(f, rows[:-1])
        updated = []
        for i in range(len(values) // product.vectors):
            broadcast = product.load_left(f, f.gep(left, i * self.pitch))
            for j, column in enumerate(columns):
                updated.append(product.accumulate(f, values[i * product.vectors + j], broadcast, column))
        return updated, rows[-1]

    def _reorder(self, sums: Value, rows: Value) -> None:
        f, product, vector_bytes = self.f, self.product, self.product.target.vector_bits // 8
        with f.loop(i64(0), rows) as line:
            row = f.gep(sums, f.mul(line.index, i64(self.row_bytes)))
            slots = [f.gep(row, j * vector_bytes) for j in range(product.vectors)]
            for slot, value in zip(slots, product.in_order(f, [f.load(product.sums, s) for s in slots]), strict=True):
                f.store(value, slot)
