"""The function that combines a tile of a sliding window: P neighbouring output pixels times V vectors of channels.

For each row of the window every image column that some pixel of the tile meets is loaded once and used by all taps that
meet it, so that with stride 1 a 3x3 window costs (P + 2) / 3 P loads per multiply-add.

Which columns of a tile lie in the image is known when code is generated: tiles at the left and right edge have
functions of their own, in which taps outside of the image are left out (or meet a constant where padding counts).
Rows outside are left out by the bounds of the loop over rows, or meet the constant where padding counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .arithmetic import i64
from .emit import OUTLINED, Function
from .pixel_output import PixelOutput
from .types import Value
from .window import Window
from .window_tile import MOST_TAPS, Combine, Image, Row, Tile


@dataclass(frozen=True)
class SlidingTile:
    """name(plane, top, left, channel, sums): accumulates a tile over its windows, [pixels, vectors * lanes].

    `plane` is the address of an image, `channel` the first channel of the result; a fifth argument is the address of
    what `combine` reads besides. `columns` are those in the image, of all that the tile meets from `left` on; None if
    every tap has to be asked for. `rows_leave` tells whether there are rows outside of the image.
    """

    name: str
    window: Window
    image: Image
    combine: Combine
    tile: Tile
    pixels: int
    multiplier: int
    columns: tuple[int, int] | None
    rows_leave: bool
    output: PixelOutput | None = None
    """What finishes the sums, which are stored otherwise; its parameters come last."""

    def function(self) -> Function:
        """Of its own, so that the constants of the epilogue are not kept in registers across it."""
        parameters = [("ptr noalias readonly", "plane"), ("i64", "top"), ("i64", "left"), ("i64", "channel")]
        parameters.append(("ptr noalias", "sums"))
        if self.combine.operand:
            parameters.append(("ptr noalias readonly", "operand"))
        count = len(parameters)
        if self.output is not None:
            parameters.extend(self.output.parameters)
        f = Function(self.name, parameters, attributes=OUTLINED)
        plane, top, left, channel, sums, *operand = f.arguments[:count]
        combine = self.combine.reading(operand[0]) if operand else self.combine
        window = self.window
        mask = channel_mask(f, channel, self.tile.channels, self.image.shape[3] * self.multiplier)
        columns = window.kernel[1] if window.kernel[1] <= MOST_TAPS else 1
        own_channel = f.udiv(channel, i64(self.multiplier))
        plane = f.gep(plane, f.mul(own_channel, i64(self.image.element_bytes)))
        first, end = self._window_rows(f, combine, top)
        with f.loop(first, end, carried=combine.start(f) * self.pixels) as kh:
            with f.loop(0, window.kernel[1], columns, carried=kh.values) as kw:
                x = f.add(left, f.mul(kw.index, i64(window.dilations[1])))
                row = self._row(f, combine, plane, top, x, kh.index)
                taps = combine.taps(f, kh.index, kw.index, columns, channel, mask)
                kw.yield_(*self._columns(f, combine, row, x, taps, mask, kw.values))
            kh.yield_(*kw.results)
        if self.output is not None:
            self.output.emit(f, kh.results, channel)
            return f
        for slot, value in enumerate(kh.results):
            f.store(value, f.gep(sums, slot * self.tile.vector_bytes), min(self.tile.vector_bytes, 64))
        return f

    def _leaves_out_rows(self, combine: Combine) -> bool:
        return self.rows_leave and combine.absent is None

    def _window_rows(self, f: Function, combine: Combine, top: Value) -> tuple[Value, Value]:
        """The rows of the window to go through: those in the image, where the others add nothing."""
        height, dilation = self.window.kernel[0], i64(self.window.dilations[0])
        if not self._leaves_out_rows(combine):
            return i64(0), i64(height)
        above = f.max(f.sub(i64(0), top), i64(0))
        below = f.max(f.sub(i64(self.window.image[0]), top), i64(0))
        return f.ceildiv(above, dilation), f.min(f.ceildiv(below, dilation), i64(height))

    def _row(self, f: Function, combine: Combine, plane: Value, top: Value, x: Value, kh: Value) -> Row:
        """The address of a row of the window at column x and, if it needs asking, whether it is there at all."""
        window = self.window
        y, there = f.add(top, f.mul(kh, i64(window.dilations[0]))), None
        if self.rows_leave and not self._leaves_out_rows(combine):
            there = f.icmp("ult", y, i64(window.image[0]))
            # A row that is there can be read in place of one that is not.
            y = f.min(f.max(y, i64(0)), i64(window.image[0] - 1))
        pixel = f.add(f.mul(y, i64(window.image[1])), x)
        return Row(f.gep(plane, f.mul(pixel, i64(self.image.pixel_bytes))), there)

    def _columns(
        self,
        f: Function,
        combine: Combine,
        row: Row,
        x: Value,
        taps: Sequence[Sequence[Value | None]],
        mask: Value | None,
        values: Sequence[Value],
    ) -> list[Value]:
        """One row of taps for all pixels of a tile."""
        stride, dilation = self.window.strides[1], self.window.dilations[1]
        vectors, updated = self.tile.vectors, list(values)
        for offset in sorted({p * stride + k * dilation for p in range(self.pixels) for k in range(len(taps))}):
            column = self._column(f, combine, row, x, offset, mask)
            if column is None:
                continue
            for p in range(self.pixels):
                k, rest = divmod(offset - p * stride, dilation)
                if rest == 0 and 0 <= k < len(taps):
                    for v in range(vectors):
                        slot = p * vectors + v
                        updated[slot] = combine.step(f, updated[slot], column[v], taps[k][v])
        return updated

    def _column(
        self, f: Function, combine: Combine, row: Row, x: Value, offset: int, mask: Value | None
    ) -> Sequence[Value] | None:
        """The image at one column; None where it is outside and adds nothing."""
        if self.columns is not None and not self.columns[0] <= offset < self.columns[1]:
            return combine.absent
        moved = Row(f.gep(row.address, offset * self.image.pixel_bytes), row.there)
        if self.columns is None:
            inside = f.icmp("ult", f.add(x, i64(offset)), i64(self.window.image[1]))
            block = f.table(self.image.element, [self.image.pad_value] * self.tile.channels)
            moved = Row(f.select(inside, moved.address, block), moved.there)
        return combine.column(f, moved, mask)


def channel_mask(f: Function, channel: Value, width: int, channels: int) -> Value | None:
    """Which of `width` channels from `channel` on there are, None if always all."""
    if channels % width == 0:
        return None
    left = f.sub(i64(channels), channel)
    return f.tail_mask(f.min(left, i64(width)), width)
