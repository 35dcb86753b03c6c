"""Loops for windows that keep channels apart: depthwise convolutions and poolings.

Channels are the lanes; a register tile is P neighbouring output pixels times V vectors of channels (`sliding_tile`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ..ir import tensor_type
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .pixel_output import PixelOutput
from .product import narrow
from .sliding_tile import SlidingTile, channel_mask
from .types import Value, element_of, is_float, memory_type, vector_type
from .window import Window
from .window_tile import MOST_TAPS, Combine, Image, Tile

_MOST_FUNCTIONS = 4
"""Of the tiles of a row: more kinds of edges than these, of windows wider than tiles, are told apart as they run."""


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
        sums = f.alloca(self.tile_bytes)
        for function in self.tile_functions():
            f.attach(function)
        with f.loop(begin, end) as unit:
            row, block = f.udiv(unit.index, i64(blocks)), f.urem(unit.index, i64(blocks))
            image, oh = f.udiv(row, i64(height)), f.urem(row, i64(height))
            self.output_rows(image, oh, f.add(oh, i64(1)), f.mul(block, i64(self.tile.channels)), sums)

    @property
    def _channels(self) -> int:
        return self.image.shape[3] * self.multiplier

    @property
    def _pixels(self) -> int:
        return self.tile.pixels(self.window)

    @property
    def tile_bytes(self) -> int:
        """Bytes of the sums of a tile."""
        return self._pixels * self._row_bytes

    @property
    def _row_bytes(self) -> int:
        return self.tile.vectors * self.tile.vector_bytes

    def output_rows(self, image: Value, first: Value, end: Value, channel: Value, sums: Value) -> None:
        """Rows [first, end) of a block of channels, which calls `tile_functions`; `sums` has `tile_bytes`.

        Tile by tile from row to row: rows of the image that neighbouring rows of results share are in the first cache.
        """
        f = self.context.f
        with f.loop(0, self.window.output[1], self._pixels) as tile, f.loop(first, end) as row:
            self._output_tile(image, row.index, tile.index, channel, sums)

    def _output_tile(self, image: Value, oh: Value, first: Value, channel: Value, sums: Value) -> None:
        """The tile of row `oh` that begins at pixel `first`, or would if it did not pass the end of the row."""
        f, window, pixels = self.context.f, self.window, self._pixels
        width = window.output[1]
        top = f.sub(f.mul(oh, i64(window.strides[0])), i64(window.before[0]))
        ow, skip = first, i64(0)
        if width % pixels:
            ow = f.min(first, i64(width - pixels))
            skip = f.sub(first, ow)
        left = f.sub(f.mul(ow, i64(window.strides[1])), i64(window.before[1]))
        plane = f.gep(self.image.pointer, f.mul(image, i64(math.prod(window.image) * self.image.pixel_bytes)))
        operand = [self.combine.operand] if self.combine.operand else []
        finishing = self._in_registers.arguments(image, oh, ow) if self._in_registers else []
        arguments = [plane, top, left, channel, sums, *operand, *finishing]
        if not self._masks_rows:
            self._call_by_columns(first, arguments)
        else:
            # As an unsigned number, a row above the image is beyond it.
            last = window.image[0] - window.span(0)
            inside = f.icmp("ult", top, i64(max(last + 1, 0)))
            with f.if_(inside):
                self._call_by_columns(first, arguments)
            with f.if_(f.xor(inside, f.const("i1", True))):
                f.call("void", self._edge_name, arguments)
        if self._in_registers is None:
            self._finish(image, oh, ow, skip, channel, sums)

    def _call_by_columns(self, ow: Value, arguments: list[Value]) -> None:
        f = self.context.f
        for first, end, span in self._runs:
            if len(self._runs) == 1:
                f.call("void", self._tile_name(span), arguments)
                continue
            # As unsigned numbers, those before the first are beyond the last.
            with f.if_(f.icmp("ult", f.sub(ow, i64(first)), i64(end - first))):
                f.call("void", self._tile_name(span), arguments)

    @cached_property
    def _masks_rows(self) -> bool:
        """Whether tiles with rows outside of the image have a function of their own, which masks them."""
        return self.window.reaches_out(0) and self.combine.absent is not None

    @cached_property
    def _spans(self) -> list[tuple[int, int] | None]:
        """For each tile of an output row which of the columns that it meets are in the image (see `SlidingTile`)."""
        window, pixels = self.window, self._pixels
        width = window.output[1]
        reach = window.span(1) + (pixels - 1) * window.strides[1]
        starts = [min(first, width - pixels) for first in range(0, width, pixels)]
        lefts = [start * window.strides[1] - window.before[1] for start in starts]
        spans = [(min(max(0, -left), reach), max(0, min(reach, window.image[1] - left))) for left in lefts]
        is_wide = window.kernel[1] > MOST_TAPS and set(spans) != {(0, reach)}
        if is_wide or len(set(spans)) > _MOST_FUNCTIONS:
            return [None] * len(spans)
        return [*spans]

    @cached_property
    def _runs(self) -> list[tuple[int, int, tuple[int, int] | None]]:
        """(first pixel, behind the last, columns in the image) of neighbouring tiles that are alike in this."""
        runs: list[tuple[int, int, tuple[int, int] | None]] = []
        for number, span in enumerate(self._spans):
            first = runs.pop()[0] if runs and runs[-1][2] == span else number * self._pixels
            runs.append((first, (number + 1) * self._pixels, span))
        return runs

    def _tile_name(self, span: tuple[int, int] | None) -> str:
        return f"{self.context.f.name}.tile{self._spans.index(span)}"

    @property
    def _edge_name(self) -> str:
        return f"{self.context.f.name}.edge"

    def tile_functions(self) -> list[Function]:
        shared = (self.window, self.image, self.combine, self.tile, self._pixels, self.multiplier)
        leaves_out = self.window.reaches_out(0) and not self._masks_rows
        output = self._in_registers
        tiles = [
            SlidingTile(self._tile_name(span), *shared, span, leaves_out, output) for span in dict.fromkeys(self._spans)
        ]
        if self._masks_rows:
            tiles.append(SlidingTile(self._edge_name, *shared, None, True, output))
        return [tile.function() for tile in tiles]

    @cached_property
    def _in_registers(self) -> PixelOutput | None:
        if self.multiplier > 1:
            return None
        return PixelOutput.of(
            self.context.target,
            self.epilogue,
            self.tile,
            self._pixels,
            self.window.output[1],
            self._channels,
            self._element,
        )

    @property
    def _element(self) -> str:
        """The type of the result's elements, which sums of 16-bit floats are rounded to."""
        return memory_type(tensor_type(self.epilogue.root.results[0]).get_element_type())

    def _finish(self, image: Value, oh: Value, ow: Value, skip: Value, channel: Value, sums: Value) -> None:
        """Hands a tile to the epilogue, all pixels of one vector of channels after another, or of two where that
        pays."""
        f, tile = self.context.f, self.tile
        pairs = tile.vectors % 2 == 0 and self._channels % (2 * tile.lanes) == 0
        together = 2 if pairs and self.multiplier == 1 and self.epilogue.prefers_pairs else 1
        lanes, vectors = together * tile.lanes, i64(tile.vectors)
        if self._channels % tile.channels:
            left = f.sub(i64(self._channels), channel)
            vectors = f.min(vectors, f.udiv(f.add(left, i64(tile.lanes - 1)), i64(tile.lanes)))
        with f.loop(0, vectors, together) as vector:
            first = f.add(channel, f.mul(vector.index, i64(tile.lanes)))
            mask = channel_mask(f, first, lanes, self._channels)
            at_vector = f.gep(sums, f.mul(vector.index, i64(tile.vector_bytes)))
            type = vector_type(element_of(tile.type), lanes)
            with f.loop(skip, self._pixels) as pixel:
                value = f.load(type, f.gep(at_vector, f.mul(pixel.index, i64(self._row_bytes))))
                indices = [image, oh, f.add(ow, pixel.index), first]
                if len(self.epilogue.shape) == 5:  # channel and multiplier apart
                    indices[3:] = [f.udiv(first, i64(self.multiplier)), f.urem(first, i64(self.multiplier))]
                if is_float(value.type):
                    value = narrow(f, self.context.target, value, self._element)
                self.epilogue.emit(f, indices, value, mask)
