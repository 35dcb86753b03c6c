"""From a tile of sums to the results of a region: every sum goes through the epilogue.

Columns are the outer loop, so that what depends on the column only (biases, multipliers and what is computed from
them) is loaded once for all rows of a tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..target import Target
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .extent import Extent, emit_extent
from .product import narrow
from .types import Value, bits_of, vector_type

Indices = Callable[[Function, Value, Value, Value], Sequence[Value]]
"""indices(f, batch, row, column): those of the root's result."""


def row_indices(*, batched: bool) -> Indices:
    """Those of a result [M, N] or [B, M, N]."""

    def indices(f: Function, batch: Value, row: Value, column: Value) -> Sequence[Value]:
        return [batch, row, column] if batched else [row, column]

    return indices


@dataclass(frozen=True)
class TileOutput:
    """Hands tiles of sums, rows of `n0` elements of type `accumulator`, to `epilogue` as elements of type `result`.

    `n` is the extent of the columns over all panels; they run along dimension `dim` of the root's result (the last),
    `lanes` at a time. Where masks are no instruction a column remainder is done element by element. Tiles may be
    `ragged`: have any number of valid columns, though all of them together are whole vectors.
    """

    target: Target
    accumulator: str
    lanes: int
    n0: int
    n: Extent
    result: str
    indices: Indices
    epilogue: Epilogue
    dim: int | None = None
    ragged: bool = False

    def prefetch(self, f: Function, batch: Value, row: Value, rows: int, panel: Value) -> None:
        """Brings into the cache what rows [row, row + rows) of that panel will need, while they are computed."""
        if not self.epilogue.prefetches:
            return
        column = f.mul(panel, i64(self.n0))
        with f.loop(0, rows) as line:
            indices = self.indices(f, batch, f.add(row, line.index), column)
            self.epilogue.prefetch(f, indices, self.n0)

    def finish(
        self, f: Function, sums: Value, batch: Value, row: Value, rows: tuple[Value, Value], panel: Value
    ) -> None:
        """Rows [row + rows[0], row + rows[1]) of that panel are final in the tile at `sums`."""
        column = f.mul(panel, i64(self.n0))
        if isinstance(self.n, int) and self.n % self.n0 == 0:
            valid = i64(self.n0)
        else:
            valid = f.min(i64(self.n0), f.sub(emit_extent(f, self.n), column))
        self.columns(f, sums, batch, row, rows, column, valid)

    def columns(
        self, f: Function, sums: Value, batch: Value, row: Value, rows: tuple[Value, Value], column: Value, valid: Value
    ) -> None:
        """Columns [column, column + valid), the first `valid` of the tile at `sums`, are final."""
        lanes = self.lanes
        remainder = lanes > 1 and (self.ragged or not isinstance(self.n, int) or self.n % lanes != 0)
        if not remainder or self.target.avx512:

            def mask_of(first: Value) -> Value:
                return f.tail_mask(f.min(i64(lanes), f.sub(valid, first)), lanes)

            self._columns(f, sums, batch, row, rows, column, i64(0), valid, lanes, mask_of if remainder else None)
            return
        whole = f.sub(valid, f.urem(valid, i64(lanes)))
        self._columns(f, sums, batch, row, rows, column, i64(0), whole, lanes, None)
        self._columns(f, sums, batch, row, rows, column, whole, valid, 1, None)

    def _columns(
        self,
        f: Function,
        sums: Value,
        batch: Value,
        row: Value,
        rows: tuple[Value, Value],
        column: Value,
        first: Value,
        last: Value,
        lanes: int,
        mask_of: Callable[[Value], Value] | None,
    ) -> None:
        accumulator = self.accumulator
        size = bits_of(accumulator) // 8
        with f.loop(first, last, lanes) as columns:
            mask = mask_of(columns.index) if mask_of else None
            at_column = f.gep(sums, f.mul(columns.index, i64(size)))
            with f.loop(*rows) as line:
                value = f.load(
                    vector_type(accumulator, lanes), f.gep(at_column, f.mul(line.index, i64(self.n0 * size)))
                )
                indices = self.indices(f, batch, f.add(row, line.index), f.add(column, columns.index))
                self.epilogue.emit(f, indices, narrow(f, self.target, value, self.result), mask, self.dim)
