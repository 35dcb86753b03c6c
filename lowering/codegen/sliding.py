"""Loops for windows that keep channels apart: depthwise convolutions and poolings.

Channels are the lanes; a register tile is P neighbouring output pixels times V vectors of channels. For each row of the
window every image column that some pixel of the tile meets is loaded once and used by all taps that meet it, so that
with stride 1 a 3x3 window costs (P + 2) / 3 P loads per multiply-add. A tile whose windows leave the image takes
the address of a vector of padding instead of the image's where a tap is outside; tiles within it check nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..ir import tensor_type
from .arithmetic import i64
from .emit import OUTLINED, Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .product import narrow
from .types import Value, is_float, memory_type
from .window import Window
from .window_tile import MOST_TAPS, Combine, Image, Tile


@dataclass(frozen=True)
class Sliding:
    """`window` over `image` to [N, OH, OW, channels * multiplier], whose elements go to `epilogue`."""

    context: KernelContext
    epilogue: Epilogue
    window: Window
    image: Image
    multiplier: int
    combine: Combine
    tile: Tile

    def emit(self) -> None:
        """Emits this thread's share of all (image, block of channels, output row)."""
        f, (height, _) = self.context.f, self.window.output
        blocks = -(-self._channels // self.tile.channels)
        begin, end = self.context.share(self.image.shape[0] * height * blocks)
        sums = f.alloca(self._pixels * self._row_bytes)
        for checked in (False, True) if self._is_inside(i64(0), i64(0)) is not None else (False,):
            f.attach(self._tile_function(checked=checked))
        with f.loop(begin, end, carried=[i64(-1)]) as unit:
            if self.combine.prepares:
                # Blocks are the outer loop, so that what is prepared serves many rows.
                block_of_all, oh = f.udiv(unit.index, i64(height)), f.urem(unit.index, i64(height))
                image, block = f.udiv(block_of_all, i64(blocks)), f.urem(block_of_all, i64(blocks))
            else:
                row, block = f.udiv(unit.index, i64(blocks)), f.urem(unit.index, i64(blocks))
                image, oh = f.udiv(row, i64(height)), f.urem(row, i64(height))
            channel = f.mul(block, i64(self.tile.channels))
            if self.combine.prepares:
                with f.if_(f.icmp("ne", block, unit.values[0])):
                    self.combine.prepare(f, channel, self._mask(f, channel, self.tile.channels))
            self._output_row(image, oh, channel, sums)
            unit.yield_(block)

    @property
    def _channels(self) -> int:
        return self.image.shape[3] * self.multiplier

    @property
    def _pixels(self) -> int:
        return self.tile.pixels(self.window)

    @property
    def _row_bytes(self) -> int:
        return self.tile.vectors * self.tile.vector_bytes

    def _mask(self, f: Function, channel: Value, width: int) -> Value | None:
        """Which of `width` channels from `channel` on there are, None if always all."""
        if self._channels % width == 0:
            return None
        left = f.sub(i64(self._channels), channel)
        return f.tail_mask(f.min(left, i64(width)), width)

    def _output_row(self, image: Value, oh: Value, channel: Value, sums: Value) -> None:
        f, window, pixels = self.context.f, self.window, self._pixels
        width = window.output[1]
        top = f.sub(f.mul(oh, i64(window.strides[0])), i64(window.before[0]))
        with f.loop(0, width, pixels) as tile:
            ow, skip = tile.index, i64(0)
            if width % pixels:
                ow = f.min(tile.index, i64(width - pixels))
                skip = f.sub(tile.index, ow)
            left = f.sub(f.mul(ow, i64(window.strides[1])), i64(window.before[1]))
            inside = self._is_inside(top, left)
            plane = f.gep(self.image.pointer, f.mul(image, i64(math.prod(window.image) * self.image.pixel_bytes)))
            operand = [self.combine.operand] if self.combine.operand else []
            arguments = [plane, top, left, channel, sums, *operand]
            if inside is None:
                f.call("void", self._tile_name(checked=False), arguments)
            else:
                with f.if_(inside):
                    f.call("void", self._tile_name(checked=False), arguments)
                with f.if_(f.xor(inside, f.const("i1", True))):
                    f.call("void", self._tile_name(checked=True), arguments)
            self._finish(image, oh, ow, skip, channel, sums)

    def _is_inside(self, top: Value, left: Value) -> Value | None:
        """Whether a tile's windows all lie within the image; None if all tiles' do."""
        f, window = self.context.f, self.window
        reach = (window.span(0), window.span(1) + (self._pixels - 1) * window.strides[1])
        conditions = [
            # As unsigned numbers, positions before the image are beyond it.
            f.icmp("ult", first, i64(max(window.image[axis] - reach[axis] + 1, 0)))
            for axis, first in enumerate((top, left))
            if window.reaches_out(axis)
        ]
        if len(conditions) == 2:
            return f.and_(*conditions)
        return conditions[0] if conditions else None

    def _tile_name(self, *, checked: bool) -> str:
        return f"{self.context.f.name}.{'edge' if checked else 'tile'}"

    def _tile_function(self, *, checked: bool) -> Function:
        """name(plane, top, left, channel, sums): accumulates a tile over its windows, [pixels, vectors * lanes].

        Of its own, so that the constants of the epilogue are not kept in registers across it.
        """
        parameters = [("ptr noalias readonly", "plane"), ("i64", "top"), ("i64", "left"), ("i64", "channel")]
        parameters.append(("ptr noalias", "sums"))
        if self.combine.operand:
            parameters.append(("ptr noalias readonly", "operand"))
        f = Function(self._tile_name(checked=checked), parameters, attributes=OUTLINED)
        plane, top, left, channel, sums, *operand = f.arguments
        combine = self.combine.reading(operand[0]) if operand else self.combine
        window = self.window
        mask = self._mask(f, channel, self.tile.channels)
        columns = window.kernel[1] if window.kernel[1] <= MOST_TAPS else 1
        own_channel = f.udiv(channel, i64(self.multiplier))
        plane = f.gep(plane, f.mul(own_channel, i64(self.image.element_bytes)))
        with f.loop(0, window.kernel[0], combine.rows, carried=combine.start(f) * self._pixels) as kh:
            with f.loop(0, window.kernel[1], columns, carried=kh.values) as kw:
                x = f.add(left, f.mul(kw.index, i64(window.dilations[1])))
                rows = self._rows(f, plane, top, x, kh.index, checked=checked)
                taps = combine.taps(f, kh.index, kw.index, columns, channel, mask)
                kw.yield_(*self._columns(f, combine, rows, x, taps, mask, kw.values, checked=checked))
            kh.yield_(*kw.results)
        for slot, value in enumerate(kh.results):
            f.store(value, f.gep(sums, slot * self.tile.vector_bytes), min(self.tile.vector_bytes, 64))
        return f

    def _rows(
        self, f: Function, plane: Value, top: Value, x: Value, kh: Value, *, checked: bool
    ) -> list[tuple[Value, Value | None] | None]:
        """For each row taken together the address at column x and, if it needs asking, whether it is there at all;
        None for a row beyond the window."""
        window = self.window
        found: list[tuple[Value, Value | None] | None] = []
        for row in range(self.combine.rows):
            tap = f.add(kh, i64(row))
            if tap.constant is not None and tap.constant >= window.kernel[0]:
                found.append(None)
                continue
            y = f.add(top, f.mul(tap, i64(window.dilations[0])))
            conditions = [f.icmp("ult", y, i64(window.image[0]))] if checked else []
            if tap.constant is None and window.kernel[0] % self.combine.rows:
                conditions.append(f.icmp("ult", tap, i64(window.kernel[0])))
            there = None
            for condition in conditions:
                there = condition if there is None else f.and_(there, condition)
            pixel = f.add(f.mul(y, i64(window.image[1])), x)
            found.append((f.gep(plane, f.mul(pixel, i64(self.image.pixel_bytes))), there))
        return found

    def _columns(
        self,
        f: Function,
        combine: Combine,
        rows: Sequence[tuple[Value, Value | None] | None],
        x: Value,
        taps: Sequence[Sequence[Value | None]],
        mask: Value | None,
        values: Sequence[Value],
        *,
        checked: bool,
    ) -> list[Value]:
        """One row (or `combine.rows` together) of taps for all pixels of a tile."""
        stride, dilation = self.window.strides[1], self.window.dilations[1]
        vectors, updated = self.tile.vectors, list(values)
        for offset in sorted({p * stride + k * dilation for p in range(self._pixels) for k in range(len(taps))}):
            in_row = f.icmp("ult", f.add(x, i64(offset)), i64(self.window.image[1])) if checked else None
            addresses = [self._address(f, row, offset, in_row) for row in rows]
            column = combine.column(f, addresses, mask)
            for p in range(self._pixels):
                k, rest = divmod(offset - p * stride, dilation)
                if rest == 0 and 0 <= k < len(taps):
                    for v in range(vectors):
                        slot = p * vectors + v
                        updated[slot] = combine.step(f, updated[slot], column[v], taps[k][v])
        return updated

    def _address(self, f: Function, row: tuple[Value, Value | None] | None, offset: int, in_row: Value | None) -> Value:
        if row is None:
            return self._padding
        start, there = row
        address = f.gep(start, offset * self.image.pixel_bytes)
        conditions = [condition for condition in (there, in_row) if condition is not None]
        if not conditions:
            return address
        return f.select(conditions[0] if len(conditions) == 1 else f.and_(*conditions), address, self._padding)

    @cached_property
    def _padding(self) -> Value:
        """The address of a block of the padding value."""
        return self.context.f.table(self.image.element, [self.image.pad_value] * self.tile.channels)

    @property
    def _element(self) -> str:
        """The type of the result's elements, which sums of 16-bit floats are rounded to."""
        return memory_type(tensor_type(self.epilogue.root.results[0]).get_element_type())

    def _finish(self, image: Value, oh: Value, ow: Value, skip: Value, channel: Value, sums: Value) -> None:
        """Hands a tile to the epilogue, all pixels of one vector of channels after another."""
        f, tile = self.context.f, self.tile
        vectors = i64(tile.vectors)
        if self._channels % tile.channels:
            left = f.sub(i64(self._channels), channel)
            vectors = f.min(vectors, f.udiv(f.add(left, i64(tile.lanes - 1)), i64(tile.lanes)))
        with f.loop(0, vectors) as vector:
            first = f.add(channel, f.mul(vector.index, i64(tile.lanes)))
            mask = self._mask(f, first, tile.lanes)
            at_vector = f.gep(sums, f.mul(vector.index, i64(tile.vector_bytes)))
            with f.loop(skip, self._pixels) as pixel:
                value = f.load(tile.type, f.gep(at_vector, f.mul(pixel.index, i64(self._row_bytes))))
                indices = [image, oh, f.add(ow, pixel.index), first]
                if len(self.epilogue.shape) == 5:  # channel and multiplier apart
                    indices[3:] = [f.udiv(first, i64(self.multiplier)), f.urem(first, i64(self.multiplier))]
                if is_float(value.type):
                    value = narrow(f, self.context.target, value, self._element)
                self.epilogue.emit(f, indices, value, mask)
