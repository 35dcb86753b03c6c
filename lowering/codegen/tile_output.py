"""From a tile of sums to the result of a region: every sum meets the epilogue, or is stored where there is none.

Columns are the outer loop, so that what depends on the column only (biases, multipliers and what is computed from
them) is loaded once for all rows of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .arithmetic import i64
from .emit import Function
from .microkernel import Microkernel
from .types import Value, bits_of, vector_type


class Sink(Protocol):
    """Takes finished sums: an `Epilogue`, or `PlainStore`."""

    def emit(self, f: Function, indices: Sequence[Value], sums: Value, mask: Value | None) -> None:
        """`sums` are the lanes starting at the element `indices` of the root's result, along its last dimension."""
        ...


@dataclass(frozen=True)
class PlainStore:
    """Stores sums into the row-major tensor of `shape` at `pointer`."""

    pointer: Value
    shape: Sequence[int]

    def emit(self, f: Function, indices: Sequence[Value], sums: Value, mask: Value | None) -> None:
        linear = i64(0)
        for size, index in zip(self.shape, indices, strict=True):
            linear = f.add(f.mul(linear, i64(size)), index)
        address = f.gep(self.pointer, f.mul(linear, i64(bits_of(sums.type) // 8)))
        if mask is None:
            f.store(sums, address)
        else:
            f.masked_store(sums, address, mask)


@dataclass(frozen=True)
class TileOutput:
    """Hands tiles of [m0, n0] sums to `sink`. `n` is the extent of the columns over all panels.

    `indices(f, batch, row, column)` are those of the root's result. Without `masks` (`Target.avx512`) a column
    remainder is done element by element.
    """

    kernel: Microkernel
    n: int
    masks: bool
    indices: Callable[[Function, Value, Value, Value], Sequence[Value]]
    sink: Sink

    def finish(self, f: Function, sums: Value, batch: Value, row: Value, skip: Value, panel: Value) -> None:
        """A `sweep.Finish`."""
        n0, lanes = self.kernel.n0, self.kernel.product.lanes
        column = f.mul(panel, i64(n0))
        valid = i64(n0) if self.n % n0 == 0 else f.min(i64(n0), f.sub(i64(self.n), column))
        remainder = self.n % lanes
        if remainder == 0 or self.masks:
            mask_of = None
            if remainder:

                def mask_of(first: Value) -> Value:
                    return f.tail_mask(f.min(i64(lanes), f.sub(valid, first)), lanes)

            self._columns(f, sums, batch, row, skip, column, i64(0), valid, lanes, mask_of)
            return
        whole = f.sub(valid, f.urem(valid, i64(lanes)))
        self._columns(f, sums, batch, row, skip, column, i64(0), whole, lanes, None)
        self._columns(f, sums, batch, row, skip, column, whole, valid, 1, None)

    def _columns(
        self,
        f: Function,
        sums: Value,
        batch: Value,
        row: Value,
        skip: Value,
        column: Value,
        first: Value,
        last: Value,
        lanes: int,
        mask_of: Callable[[Value], Value] | None,
    ) -> None:
        accumulator = self.kernel.product.accumulator
        size = bits_of(accumulator) // 8
        with f.loop(first, last, lanes) as columns:
            mask = mask_of(columns.index) if mask_of else None
            at_column = f.gep(sums, f.mul(columns.index, i64(size)))
            with f.loop(skip, self.kernel.m0) as rows:
                value = f.load(
                    vector_type(accumulator, lanes), f.gep(at_column, f.mul(rows.index, i64(self.kernel.row_bytes)))
                )
                indices = self.indices(f, batch, f.add(row, rows.index), f.add(column, columns.index))
                self.sink.emit(f, indices, value, mask)
