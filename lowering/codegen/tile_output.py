"""From a tile of sums to the results of a region: every sum goes through the epilogue.

Columns are the outer loop, so that what depends on the column only (biases, multipliers and what is computed from
them) is loaded once for all rows of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .microkernel import Microkernel
from .types import Value, bits_of, vector_type

Indices = Callable[[Function, Value, Value, Value], Sequence[Value]]
"""indices(f, batch, row, column): those of the root's result."""


@dataclass(frozen=True)
class TileOutput:
    """Hands tiles of [m0, n0] sums to `epilogue`. `n` is the extent of the columns over all panels.

    Without `masks` (`Target.avx512`) a column remainder is done element by element.
    """

    kernel: Microkernel
    n: int
    masks: bool
    indices: Indices
    epilogue: Epilogue

    def finish(self, f: Function, sums: Value, batch: Value, row: Value, skip: Value, panel: Value) -> None:
        """A `sweep.Finish`."""
        n0, lanes = self.kernel.n0, self.kernel.product.lanes
        column = f.mul(panel, i64(n0))
        valid = i64(n0) if self.n % n0 == 0 else f.min(i64(n0), f.sub(i64(self.n), column))
        remainder = self.n % lanes
        if remainder == 0 or self.masks:

            def mask_of(first: Value) -> Value:
                return f.tail_mask(f.min(i64(lanes), f.sub(valid, first)), lanes)

            self._columns(f, sums, batch, row, skip, column, i64(0), valid, lanes, mask_of if remainder else None)
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
                self.epilogue.emit(f, indices, value, mask)
