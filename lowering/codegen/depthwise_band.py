"""What `depthwise_dot` computes at once: a band of rows of results from groups of four interleaved rows of an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

from ..target import Target
from .arithmetic import i64
from .emit import OUTLINED, Function
from .types import I8, I32, Value, vector_type
from .window import Window

ROWS = 4
"""Of an image that are interleaved: the bytes that `vpdpbusd` adds up."""

_MOST_ROWS = 4
_MOST_DOTS = 200
"""In the code of a tile, for the sake of compile time."""
_TILE_COST = 1.5
"""Calling a tile takes as long as so many of its pixels."""
_COLUMN_COST = 3
"""Interleaving a column takes as long as so many dot products."""


@dataclass(frozen=True)
class Band:
    """`rows` rows of results at once, for blocks of `lanes` channels."""

    window: Window
    lanes: int
    rows: int
    registers: int

    @staticmethod
    def of(target: Target, channels: int, window: Window) -> Band | None:
        """The height that takes the least time; None where `vpdpbusd` does not apply."""
        lanes = target.vector_bits // 32
        if not target.vnni or (channels % lanes and not target.avx512):
            return None
        # Rows of the image that dilated windows meet are no neighbours of each other.
        most = min(_MOST_ROWS, window.output[0]) if window.dilations[0] == 1 else 1
        bands = [Band(window, lanes, rows, target.vector_registers) for rows in range(1, most + 1)]
        best = min(bands, key=lambda band: band._cost)
        return best if len(best.meetings) * window.kernel[1] <= _MOST_DOTS else None

    @property
    def _cost(self) -> int:
        """Of the whole image, in dot products a pixel."""
        dots = len(self.meetings) * self.window.kernel[1]
        columns = self.groups * self.window.strides[1]
        return -(-self.window.output[0] // self.rows) * (dots + columns * _COLUMN_COST)

    @property
    def _depth(self) -> int:
        """Rows of the image that a band meets."""
        return (self.rows - 1) * self.window.strides[0] + self.window.kernel[0]

    @property
    def groups(self) -> int:
        return -(-self._depth // ROWS)

    def image_rows(self, group: int) -> list[int | None]:
        """The rows of a group, counted from the first that the band meets; None for those that it does not meet."""
        rows = range(group * ROWS, (group + 1) * ROWS)
        return [row * self.window.dilations[0] if row < self._depth else None for row in rows]

    def tap_rows(self, group: int, row: int) -> list[int | None]:
        """For each row of a group the row of the filter that lies on it for row `row` of the results."""
        first = group * ROWS - row * self.window.strides[0]
        return [tap if 0 <= tap < self.window.kernel[0] else None for tap in range(first, first + ROWS)]

    @cached_property
    def meetings(self) -> list[tuple[int, int]]:
        """The (group, row of results) that have something to do with each other."""
        pairs = product(range(self.groups), range(self.rows))
        return [(group, row) for group, row in pairs if any(tap is not None for tap in self.tap_rows(group, row))]

    @property
    def columns(self) -> int:
        """Of a group: all that a row of results meets."""
        return (self.window.output[1] - 1) * self.window.strides[1] + self.window.span(1)

    @property
    def column_bytes(self) -> int:
        return ROWS * self.lanes

    @property
    def columns_bytes(self) -> int:
        """Of all groups of a block."""
        return self.groups * self.columns * self.column_bytes

    @property
    def taps_bytes(self) -> int:
        """Of a block: what its sums start from, then the taps of all meetings."""
        return (1 + len(self.meetings) * self.window.kernel[1]) * self.column_bytes

    def tap_at(self, f: Function, taps: Value, meeting: int, kw: Value) -> Value:
        """Where the taps of a column of the filter lie, by the number of the meeting."""
        position = f.add(kw, i64(1 + meeting * self.window.kernel[1]))
        return f.gep(taps, f.mul(position, i64(self.column_bytes)))

    @property
    def pixels(self) -> int:
        """Of a tile. Tiles overlap where they do not fill a row: what that costs is weighed against the number of
        tiles. Sums take two thirds of the registers."""
        width, dots = self.window.output[1], len(self.meetings) * self.window.kernel[1]
        most = max(1, min(width, self.registers * 2 // 3 // self.rows, _MOST_DOTS // dots))
        return min(range(1, most + 1), key=lambda pixels: -(-width // pixels) * (pixels + _TILE_COST))

    def function(self, name: str, sums_bytes: int) -> Function:
        """name(columns, taps, sums): a tile whose first pixel's first column is at `columns`, to i32 of [rows, pixels]
        that are `sums_bytes` apart."""
        parameters = [("ptr noalias readonly", "columns"), ("ptr noalias readonly", "taps"), ("ptr noalias", "sums")]
        f = Function(name, parameters, attributes=OUTLINED)
        columns, taps, sums = f.arguments
        type, window, pixels = vector_type(I8, self.column_bytes), self.window, self.pixels
        start = f.load(vector_type(I32, self.lanes), taps)
        values = {(row, pixel): start for row in range(self.rows) for pixel in range(pixels)}
        stride, dilation = window.strides[1], window.dilations[1]
        loaded = [
            [f.load(type, self.tap_at(f, taps, meeting, i64(kw))) for kw in range(window.kernel[1])]
            for meeting in range(len(self.meetings))
        ]
        reached = sorted({pixel * stride + kw * dilation for pixel in range(pixels) for kw in range(window.kernel[1])})
        for group, offset in product(range(self.groups), reached):
            column = f.load(type, f.gep(columns, (group * self.columns + offset) * self.column_bytes))
            for pixel in range(pixels):
                kw, rest = divmod(offset - pixel * stride, dilation)
                if rest or not 0 <= kw < window.kernel[1]:
                    continue
                for meeting, (of, row) in enumerate(self.meetings):
                    if of == group:
                        tap = loaded[meeting][kw]
                        values[row, pixel] = f.instruction("vpdpbusd", values[row, pixel], column, tap)
        for (row, pixel), value in values.items():
            f.store(value, f.gep(sums, (row * pixels + pixel) * sums_bytes))
        return f
