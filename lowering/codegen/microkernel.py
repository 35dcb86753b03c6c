"""The register tile: m0 rows of the left side times one panel of the right side, over k.

All rows of the left side are addressed from one pointer with constant displacements, which the broadcasts carry as
immediates; the right side is one linear stream. Per step a tile of m0 rows and V vectors issues m0 * V multiply-adds
on m0 + V loads, so that with m0 and V chosen by the target (`targets/x86.py`) arithmetic is what limits it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .arithmetic import i64
from .emit import OUTLINED, Function
from .product import Product
from .types import Value, bits_of, is_float

_BODY = 48
"""Multiply-adds that one iteration of the k loop holds at most: more costs compile time and gains nothing."""

LINE_BYTES = 64
"""Of a cache: what one prefetch brings."""

_OPEN_UNROLL = 4
"""Steps of one iteration where their number is known only at run time: the rest is done one by one."""


class Finish(Protocol):
    """What becomes of the sums of a tile while they are in registers."""

    @property
    def parameters(self) -> Sequence[tuple[str, str]]:
        """What the function of a tile needs to be told for it."""
        ...

    def emit(self, f: Function, sums: Sequence[Value]) -> None:
        """Finishes the registers of a tile, row by row."""
        ...


@dataclass(frozen=True)
class Microkernel:
    """sums[m0, n0] (+)= left rows [m0, steps * k0] * right panel [steps, n0, k0].

    `row_stride` is the distance between rows of the left side, `step_stride` that between its steps, in bytes;
    `right_stride` that between steps of the right side, where n0 columns are only a part of a panel.
    """

    product: Product
    m0: int
    n0: int
    row_stride: int
    step_stride: int
    right_stride: int | None = None
    segments: int = 1
    """Equal parts that the steps of the left side lie in, `segment_stride` bytes apart."""
    segment_stride: int = 0

    @property
    def tile_bytes(self) -> int:
        """Bytes of one tile of sums, row-major."""
        return self.m0 * self.row_bytes

    @property
    def row_bytes(self) -> int:
        return self.n0 * bits_of(self.product.accumulator) // 8

    @property
    def panel_step_bytes(self) -> int:
        """Bytes of the right panel that one step consumes."""
        if self.right_stride is not None:
            return self.right_stride
        return self.n0 * self.product.k0 * bits_of(self.product.right) // 8

    def function(
        self,
        name: str,
        steps: int | None,
        *,
        accumulate: bool,
        stored: Product | None = None,
        finish: Finish | None = None,
        ahead: int = 0,
    ) -> Function:
        """name(left, right, sums): adds `steps` steps to the tile at `sums`, or with `accumulate` False overwrites it.

        Without `steps` their number is a fourth argument. With `stored`, how the panel in memory would be multiplied,
        `right` is that panel, and what this kernel reads in its place is left at a fourth argument. With `finish` the
        sums are not stored, but finished. With `ahead`, each step brings as many bytes of one more argument nearer.

        It is a function of its own so that the whole register file is its own: inlined, the constants of an epilogue
        would be kept in registers across it, and accumulators would be spilled in the innermost loop.
        """
        parameters = [("ptr noalias readonly", "left"), ("ptr noalias readonly", "right"), ("ptr noalias", "sums")]
        if steps is None:
            parameters.append(("i64", "steps"))
        if stored is not None:
            parameters.append(("ptr noalias", "unpacked"))
        if ahead:
            assert steps is not None and stored is None and self.segments == 1
            parameters.append(("ptr", "ahead"))
        f = Function(name, [*parameters, *(finish.parameters if finish else ())], attributes=OUTLINED)
        arguments = f.arguments[: len(parameters)]
        values = self._sums(f, arguments, steps, stored, ahead)
        if finish is not None:
            assert not accumulate
            finish.emit(f, values)
            return f
        slots = [f.gep(arguments[2], offset) for offset in range(0, self.tile_bytes, self.vector_bytes)]
        alignment = min(64, self.vector_bytes)
        add = f.fadd if is_float(self.product.accumulator) else f.add
        for value, slot in zip(values, slots, strict=True):
            total = add(f.load(self.product.sums, slot, alignment), value) if accumulate else value
            f.store(total, slot, alignment)
        return f

    def _sums(
        self, f: Function, arguments: list[Value], steps: int | None, stored: Product | None, ahead: int
    ) -> list[Value]:
        """The registers of the tile, row by row."""
        left, right, _, *rest = arguments
        pointers = [left, right, *([rest.pop()] if stored is not None or ahead else [])]
        values = [f.zero(self.product.sums)] * (-(-self.m0 // self.product.rows) * self.product.rows * self._vectors)
        if steps is not None and self.segments > 1:
            values = self._segments(f, pointers, values, steps // self.segments, stored)
        else:
            for number, unroll in self._runs(f, steps) if steps is not None else self._open_runs(f, *rest):
                pointers, values = self._steps(f, pointers, values, number, unroll, stored, ahead)
        return self._rows_of_pairs(f, values) if self.product.rows == 2 else values

    def _segments(
        self, f: Function, pointers: list[Value], values: list[Value], steps: int, stored: Product | None
    ) -> list[Value]:
        """All segments, of `steps` steps each; returns the sums."""
        count = len(pointers)
        with f.loop(0, self.segments, carried=[*pointers, *values]) as loop:
            left, *others = loop.values[:count]
            ends, values = [left, *others], loop.values[count:]
            for number, unroll in self._runs(f, steps):
                ends, values = self._steps(f, ends, values, number, unroll, stored)
            loop.yield_(f.gep(left, self.segment_stride), *ends[1:], *values)
        return loop.results[count:]

    @property
    def vector_bytes(self) -> int:
        """Bytes of one register of sums."""
        return self.product.lanes * bits_of(self.product.accumulator) // 8

    @property
    def _vectors(self) -> int:
        return self.n0 // self.product.lanes

    @property
    def _most_unrolled(self) -> int:
        return max(1, _BODY // (self.m0 * self._vectors * self.product.k0))

    def _runs(self, f: Function, steps: int) -> list[tuple[Value, int]]:
        """(steps, how many in one iteration) of the loops over k; a divisor of `steps` leaves no remainder."""
        most = max(1, min(steps, self._most_unrolled))
        unroll = next((size for size in range(most, 1, -1) if steps % size == 0), most)
        whole = steps - steps % unroll
        return [(i64(count), size) for count, size in ((whole, unroll), (steps - whole, 1)) if count]

    def _open_runs(self, f: Function, steps: Value) -> list[tuple[Value, int]]:
        unroll = min(self._most_unrolled, _OPEN_UNROLL)
        if unroll == 1:
            return [(steps, 1)]
        rest = f.urem(steps, i64(unroll))
        return [(f.sub(steps, rest), unroll), (rest, 1)]

    def _steps(
        self,
        f: Function,
        pointers: list[Value],
        values: list[Value],
        count: Value,
        unroll: int,
        stored: Product | None,
        ahead: int = 0,
    ) -> tuple[list[Value], list[Value]]:
        """`count` steps, `unroll` of them an iteration; returns the advanced pointers and the sums."""
        strides = [self.step_stride, self.panel_step_bytes]
        if stored is not None:
            strides = [self.step_stride, self._vectors * stored.right_step, self.panel_step_bytes]
        elif ahead:
            strides.append(ahead)
        with f.loop(0, count, unroll, carried=[*pointers, *values]) as loop:
            pointers, values = loop.values[: len(strides)], loop.values[len(strides) :]
            for line in range(0, unroll * ahead, LINE_BYTES):
                f.prefetch(f.gep(pointers[2], line), level=2)
            for step in range(unroll):
                at = [f.gep(pointer, step * stride) for pointer, stride in zip(pointers, strides, strict=True)]
                values = self._step(f, at[:2] if ahead else at, values, stored)
            advanced = [f.gep(pointer, unroll * stride) for pointer, stride in zip(pointers, strides, strict=True)]
            loop.yield_(*advanced, *values)
        return loop.results[: len(strides)], loop.results[len(strides) :]

    def _step(self, f: Function, at: list[Value], values: list[Value], stored: Product | None) -> list[Value]:
        product = self.product
        if product.rows == 2:
            return self._step_of_pairs(f, at, values)
        left, right, *unpacked = at
        source = stored or product
        columns = [source.load_right(f, f.gep(right, j * source.right_step)) for j in range(self._vectors)]
        for pointer in unpacked:
            for j, (column,) in enumerate(columns):
                f.store(column, f.gep(pointer, j * product.right_step), min(64, self.vector_bytes))
        updated = []
        for i in range(self.m0):
            row = product.load_left(f, f.gep(left, i * self.row_stride))
            for j, column in enumerate(columns):
                updated.append(product.accumulate(f, values[i * self._vectors + j], row, column))
        return updated

    def _step_of_pairs(self, f: Function, at: list[Value], values: list[Value]) -> list[Value]:
        """Pairs of rows at a time; of an odd number the last one is its own partner."""
        product, vectors = self.product, self._vectors
        left, right = at
        columns = [product.load_halves(f, f.gep(right, j * product.right_step)) for j in range(vectors)]
        updated = list(values)
        for i in range(0, self.m0, 2):
            first, second = (f.gep(left, row * self.row_stride) for row in (i, min(i + 1, self.m0 - 1)))
            rows = product.load_two(f, first, second)
            for half in range(2):
                for j, halves in enumerate(columns):
                    slot = (i + half) * vectors + j
                    updated[slot] = f.instruction(str(product.instruction), values[slot], rows, halves[half])
        return updated

    def _rows_of_pairs(self, f: Function, values: list[Value]) -> list[Value]:
        """The sums of each row, of m0 rows, from those of pairs."""
        vectors, rows = self._vectors, list(values)
        for i in range(0, self.m0, 2):
            for j in range(vectors):
                first, second = i * vectors + j, (i + 1) * vectors + j
                rows[first], rows[second] = self.product.two_rows(f, values[first], values[second])
        return rows[: self.m0 * vectors]
