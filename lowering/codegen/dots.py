"""Few rows times a right side [N, K] whose columns are contiguous along k: dot products, read where they lie.

A tile of some rows and four columns keeps a register of partial sums for each pair, whose lanes are added at the end:
four streams are read at a time, and each of their registers takes part in as many products as there are rows.

A single row is bound by where the right side comes from, and prefetchers follow one stream better than four that end
after a page: it takes the columns one after another, in four sums of its own each. 1000 columns of 1280 f32 that have
partly left the third cache take 109 us instead of 155, and 53 instead of 57 where they have not.

`vpdpbusd` multiplies unsigned by signed: the right side is made unsigned by adding 128, and what that adds to a row's
sums, 128 times the sum of the row of the left side, is summed up beside them and taken off again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..target import Target
from .arithmetic import i64
from .emit import OUTLINED, Function
from .extent import emit_extent
from .kernel import KernelContext
from .operand_view import ProductView
from .product import widen
from .tile_output import TileOutput
from .types import BF16, F32, I8, I16, I32, Value, bits_of, is_float, lanes_of, vector_type

COLUMNS = 16
"""Columns of the result finished at once."""
_STREAMS = 4


@dataclass(frozen=True)
class DotProduct:
    """How `width` elements along k of a row and a column are multiplied and added to `lanes` partial sums."""

    target: Target
    left: str
    right: str
    accumulator: str
    instruction: str | None = None

    @staticmethod
    def of(target: Target, left: str, right: str, accumulator: str) -> DotProduct:
        """The fastest exact way that `target` has for these types."""
        instruction = None
        if (left, right, accumulator) == (I8, I8, I32) and target.vnni:
            instruction = "vpdpbusd"
        elif left == right and left in (I8, I16) and accumulator == I32 and target.architecture == "x86_64":
            instruction = "pmaddwd"
        elif (left, right, accumulator) == (BF16, BF16, F32) and target.bf16:
            instruction = "vdpbf16ps"
        return DotProduct(target, left, right, accumulator, instruction)

    @property
    def lanes(self) -> int:
        return self.target.vector_bits // bits_of(self.accumulator)

    @property
    def width(self) -> int:
        """Elements of k that a step takes."""
        return self.lanes * {"vpdpbusd": 4, "pmaddwd": 2, "vdpbf16ps": 2, None: 1}[self.instruction]

    @property
    def sums(self) -> str:
        return vector_type(self.accumulator, self.lanes)

    @property
    def offset(self) -> bool:
        return self.instruction == "vpdpbusd"

    def load(self, f: Function, element: str, pointer: Value, mask: Value | None) -> Value:
        """`width` elements of one side; where `mask` is not set, zeros."""
        stored = f"i{bits_of(element)}"
        type = vector_type(stored, self.width)
        value = f.load(type, pointer) if mask is None else f.masked_load(type, pointer, mask)
        value = f.bitcast(value, vector_type(element, self.width))
        if self.instruction in ("vpdpbusd", "vdpbf16ps"):
            return value
        return widen(f, self.target, value, I16 if self.instruction else self.accumulator)

    def unsigned(self, f: Function, right: Value) -> Value:
        """The right side as `accumulate` wants it."""
        return f.xor(right, f.const(right.type, -128)) if self.offset else right

    def accumulate(self, f: Function, sums: Value, left: Value, right: Value) -> Value:
        if self.instruction == "vpdpbusd":
            return f.instruction("vpdpbusd", sums, right, left)
        if self.instruction == "vdpbf16ps":
            return f.instruction("vdpbf16ps", sums, left, right)
        if self.instruction == "pmaddwd":
            return f.add(sums, f.instruction("pmaddwd", left, right))
        return f.fma(left, right, sums) if is_float(self.accumulator) else f.add(sums, f.mul(left, right))

    def scalar(self, f: Function, sum: Value, left: Value, right: Value) -> Value:
        """One product, for what vectors leave over."""
        a, b = (widen(f, self.target, value, self.accumulator) for value in (left, right))
        return f.fma(a, b, sum) if is_float(self.accumulator) else f.add(sum, f.mul(a, b))


@dataclass(frozen=True)
class Dots:
    """`view`, whose two sides are contiguous along k, by dot products."""

    context: KernelContext
    view: ProductView
    product: DotProduct
    output: TileOutput

    @property
    def f(self) -> Function:
        return self.context.f

    @cached_property
    def heights(self) -> list[int]:
        """Rows of a tile, highest first."""
        most = 4 if self.product.target.vector_registers > 16 else 2
        rows = self.view.rows
        if isinstance(rows, int):
            return [max(1, -(-rows // -(-rows // most)))] if rows else [1]
        return [height for height in (4, 2, 1) if height <= most]

    @property
    def _is_single(self) -> bool:
        """Whether columns are taken one after another: for one row, of enough steps for four sums."""
        rows, k = self.view.rows, self.view.k
        return rows == 1 and isinstance(k, int) and k >= _STREAMS * self.product.width

    @property
    def row_bytes(self) -> int:
        return COLUMNS * bits_of(self.product.accumulator) // 8

    def emit(self) -> int:
        """Emits this thread's share; returns the bytes of scratch per thread."""
        f, view = self.f, self.view
        for height in self.heights:
            f.attach(self._tile(height))
        rows, columns, depth = (emit_extent(f, size) for size in (view.rows, view.columns, view.k))
        groups = f.ceildiv(columns, i64(COLUMNS))
        units = f.mul(emit_extent(f, view.batch), groups)
        first = f.udiv(f.mul(self.context.thread, units), self.context.threads)
        last = f.udiv(f.mul(f.add(self.context.thread, i64(1)), units), self.context.threads)
        height = self._height(rows)
        with f.loop(first, last) as unit:
            batch, group = f.udiv(unit.index, groups), f.urem(unit.index, groups)
            column = f.mul(group, i64(COLUMNS))
            valid = f.min(i64(COLUMNS), f.sub(columns, column))
            with f.loop(i64(0), f.ceildiv(rows, height)) as tile:
                row = f.mul(tile.index, height)
                for rows_of_tile in self.heights:
                    if len(self.heights) == 1:
                        self._group(rows_of_tile, batch, row, rows, column, columns, depth)
                        continue
                    with f.if_(f.icmp("eq", height, i64(rows_of_tile))):
                        self._group(rows_of_tile, batch, row, rows, column, columns, depth)
                count = f.min(height, f.sub(rows, row))
                self.output.columns(f, self.context.scratch, batch, row, (i64(0), count), column, valid)
        return self.heights[0] * self.row_bytes

    def _height(self, rows: Value) -> Value:
        f = self.f
        height = i64(self.heights[0])
        for lower in self.heights[1:]:
            height = f.select(f.icmp("sle", rows, i64(lower)), i64(lower), height)
        return height

    def _group(
        self, height: int, batch: Value, row: Value, rows: Value, column: Value, columns: Value, depth: Value
    ) -> None:
        """One tile of rows times a group of columns; what lies beyond the edges is computed twice, to no effect."""
        f, view, zero = self.f, self.view, i64(0)
        last_row, last_column = f.sub(rows, i64(1)), f.sub(columns, i64(1))
        lines = [view.left.at(f, batch, f.min(f.add(row, i64(i)), last_row), zero) for i in range(height)]
        with f.loop(0, COLUMNS, _STREAMS) as four:
            first = f.add(column, four.index)
            streams = [view.right.at(f, batch, f.min(f.add(first, i64(j)), last_column), zero) for j in range(_STREAMS)]
            sums = f.gep(self.context.scratch, f.mul(four.index, i64(bits_of(self.product.accumulator) // 8)))
            with f.if_(f.icmp("sle", first, last_column)):
                f.call("void", self._tile_name(height), [*lines, *streams, sums, depth])

    def _tile_name(self, height: int) -> str:
        return f"{self.f.name}.dots{height}"

    def _tile(self, height: int) -> Function:
        """name(rows..., columns..., sums, k): the dot products of each row with each column."""
        product = self.product
        pointers = [*(f"left{i}" for i in range(height)), *(f"right{j}" for j in range(_STREAMS)), "sums"]
        parameters = [("ptr", name) for name in pointers]
        f = Function(self._tile_name(height), [*parameters, ("i64", "k")], attributes=OUTLINED)
        *sides, sums, k = f.arguments
        lines, streams = sides[:height], sides[height:]
        if self._is_single:
            self._one_by_one(f, lines[0], streams, sums, k)
            return f
        count = height * (_STREAMS + product.offset)
        whole = f.and_(k, i64(-product.width))
        with f.loop(i64(0), whole, product.width, carried=[f.zero(product.sums)] * count) as loop:
            loop.yield_(*self._step(f, lines, streams, loop.index, loop.values, None))
        values = loop.results
        if product.target.avx512:
            mask = f.tail_mask(f.sub(k, whole), product.width)
            values = self._step(f, lines, streams, whole, values, mask)
        totals = [self._total(f, value) for value in self._without_offset(f, values, height)]
        if not product.target.avx512:
            totals = self._tail(f, lines, streams, totals, whole, k)
        size = bits_of(product.accumulator) // 8
        for position, total in enumerate(totals):
            i, j = divmod(position, _STREAMS)
            f.store(total, f.gep(sums, i * self.row_bytes + j * size))
        return f

    def _one_by_one(self, f: Function, line: Value, streams: Sequence[Value], sums: Value, k: Value) -> None:
        """The dot products of one row with each column, one after another."""
        product = self.product
        width, depth = product.width, self.view.k
        assert isinstance(depth, int)
        rounds, whole = depth - depth % (_STREAMS * width), depth - depth % width
        add = f.fadd if is_float(product.accumulator) else f.add
        offset: Value | None = None
        for j, stream in enumerate(streams):
            # What an offset adds is the same for all columns: it is summed up beside the first.
            measures = product.offset and offset is None
            with f.loop(0, rounds, _STREAMS * width, carried=[f.zero(product.sums)] * (_STREAMS + measures)) as loop:
                values = loop.values
                for step in range(_STREAMS):
                    at = f.add(loop.index, i64(step * width))
                    picked = [values[step], *values[_STREAMS:]]
                    values[step], *values[_STREAMS:] = self._one_step(f, line, stream, at, picked, None)
                loop.yield_(*values)
            parts = loop.results
            values = [add(add(parts[0], parts[1]), add(parts[2], parts[3])), *parts[_STREAMS:]]
            for at in range(rounds, whole, width):
                values = self._one_step(f, line, stream, i64(at), values, None)
            if product.target.avx512 and whole < depth:
                mask = f.tail_mask(i64(depth - whole), width)
                values = self._one_step(f, line, stream, i64(whole), values, mask)
            if measures:
                offset = values.pop()
            total = self._total(f, values[0] if offset is None else f.sub(values[0], offset))
            if not product.target.avx512:
                (total,) = self._tail(f, [line], [stream], [total], i64(whole), k)
            f.store(total, f.gep(sums, j * bits_of(product.accumulator) // 8))

    def _one_step(
        self, f: Function, line: Value, stream: Value, at: Value, values: list[Value], mask: Value | None
    ) -> list[Value]:
        """Adds one step's products to the first of `values`; to a second, what an offset adds."""
        product = self.product
        left = product.load(f, product.left, self._element(f, line, at, product.left), mask)
        right = product.load(f, product.right, self._element(f, stream, at, product.right), mask)
        factors = [product.unsigned(f, right), f.const(vector_type(I8, product.width), -128)]
        return [product.accumulate(f, sum, left, by) for sum, by in zip(values, factors[: len(values)], strict=True)]

    def _tail(
        self, f: Function, lines: Sequence[Value], streams: Sequence[Value], totals: list[Value], first: Value, k: Value
    ) -> list[Value]:
        """Adds the products of single elements from `first` on."""
        product = self.product
        with f.loop(first, k, carried=totals) as tail:
            left = [f.load(product.left, self._element(f, line, tail.index, product.left)) for line in lines]
            right = [f.load(product.right, self._element(f, line, tail.index, product.right)) for line in streams]
            pairs = [(a, b) for a in left for b in right]
            tail.yield_(*(product.scalar(f, sum, a, b) for sum, (a, b) in zip(tail.values, pairs, strict=True)))
        return tail.results

    def _step(
        self,
        f: Function,
        lines: Sequence[Value],
        streams: Sequence[Value],
        at: Value,
        values: Sequence[Value],
        mask: Value | None,
    ) -> list[Value]:
        """Adds one step's products; with an offset, behind the sums, what it adds to each row."""
        product = self.product
        left = [product.load(f, product.left, self._element(f, line, at, product.left), mask) for line in lines]
        right = [product.load(f, product.right, self._element(f, line, at, product.right), mask) for line in streams]
        right = [product.unsigned(f, value) for value in right]
        updated = [
            product.accumulate(f, values[i * _STREAMS + j], row, column)
            for i, row in enumerate(left)
            for j, column in enumerate(right)
        ]
        if product.offset:
            added = f.const(vector_type(I8, product.width), -128)
            behind = values[len(lines) * _STREAMS :]
            updated += [product.accumulate(f, sum, row, added) for sum, row in zip(behind, left, strict=True)]
        return updated

    def _without_offset(self, f: Function, values: Sequence[Value], height: int) -> list[Value]:
        sums = list(values[: height * _STREAMS])
        if not self.product.offset:
            return sums
        return [f.sub(sum, values[height * _STREAMS + i // _STREAMS]) for i, sum in enumerate(sums)]

    def _total(self, f: Function, value: Value) -> Value:
        """The sum of all lanes, by halves."""
        add = f.fadd if is_float(self.product.accumulator) else f.add
        while lanes_of(value.type) > 2:
            half = lanes_of(value.type) // 2
            value = add(f.shuffle(value, None, range(half)), f.shuffle(value, None, range(half, 2 * half)))
        return add(f.extract(value, 0), f.extract(value, 1))

    def _element(self, f: Function, line: Value, index: Value, element: str) -> Value:
        return f.gep(line, f.mul(index, i64(bits_of(element) // 8)))
