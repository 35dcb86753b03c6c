"""Convolution without gathering: the window's rows of the image copied once per row of results, with their padding.

Along a row of results windows lie evenly spaced in the rows of the image that they cover, so the micro-kernel can
broadcast from those, in as many segments as the window has rows: each pixel of the image is copied kh / stride times
instead of kh * kw / stride^2 times, in runs as long as the image is wide. What it costs: tiles of rows end where a row
of results ends, and the filter is read once per row of results. First layers take 9 to 28 % less.
"""

from __future__ import annotations

from dataclasses import dataclass

from .arithmetic import i64
from .emit import Function
from .microkernel import Microkernel
from .panel import Conversion, copy_any, fill_run, row_stride
from .product import Product
from .sweep import MOST_STEPS
from .types import Value, bits_of
from .window import Window

_FILTER_BYTES = 256 * 1024
"""A filter of this size stays in the second cache, whatever else goes through it."""

_WASTE = 1.1
"""Tiles computed, beside those of results in one long row, that gathering would cost as much as."""


@dataclass(frozen=True)
class PaddedRows:
    """Rows of windows of the image [n, h, w, channels] at `pointer`; a batch is one row of results.

    Row i begins i * `pitch` bytes into the first of kh segments, `segment_stride` bytes apart.
    """

    pointer: Value
    window: Window
    channels: int
    conversion: Conversion
    pad_value: int | float
    prepares: bool = True

    @property
    def width(self) -> int:
        """Pixels of a segment."""
        return (self.window.output[1] - 1) * self.window.strides[1] + self.window.span(1)

    @property
    def pitch(self) -> int:
        return self.window.strides[1] * self.channels * self.conversion.panel_bytes

    @property
    def segment_stride(self) -> int:
        return row_stride(self.width * self.channels * self.conversion.panel_bytes)

    def kernel(self, product: Product, m0: int, n0: int) -> Microkernel:
        """The micro-kernel that reads these rows."""
        segments = self.window.kernel[0]
        return Microkernel(
            product, m0, n0, self.pitch, product.panel_step, segments=segments, segment_stride=self.segment_stride
        )

    @property
    def _behind(self) -> int:
        """Pixels of padding behind a row of the image."""
        return max(self.width - self.window.before[1] - self.window.image[1], 0)

    def _fill(self, f: Function, first: Value, pixels: int) -> None:
        """Writes padding over so many pixels of a segment."""
        if pixels:
            fill_run(f, self.conversion, first, pixels * self.channels, self.pad_value)

    def prepared_bytes(self, rows: int) -> int:
        return self.window.kernel[0] * self.segment_stride

    def block(self, f: Function, scratch: Value, batch: Value, first: Value, rows: Value) -> Value:
        window, channels = self.window, self.channels
        (height, width), pixel_bytes = window.image, channels * self.conversion.source_bytes
        image, line = f.udiv(batch, i64(window.output[0])), f.urem(batch, i64(window.output[0]))
        source = f.gep(self.pointer, f.mul(image, i64(height * width * pixel_bytes)))
        top = f.sub(f.mul(line, i64(window.strides[0])), i64(window.before[0]))
        left = f.sub(f.mul(first, i64(window.strides[1])), i64(window.before[1]))
        begin, end = f.max(left, i64(0)), f.min(f.add(left, i64(self.width)), i64(width))
        count = f.mul(f.sub(end, begin), i64(channels))
        with f.loop(0, window.kernel[0]) as row:
            y = f.add(top, row.index)
            segment = f.gep(scratch, f.mul(row.index, i64(self.segment_stride)))
            inside = f.icmp("ult", y, i64(height))
            with f.if_(inside):
                # In this order: what is padding for the first pixels of a row of results only is the image for others.
                self._fill(f, segment, min(window.before[1], self.width))
                pixel = f.add(f.mul(y, i64(width)), begin)
                to = f.mul(f.sub(begin, left), i64(channels * self.conversion.panel_bytes))
                copy_any(f, self.conversion, f.gep(source, f.mul(pixel, i64(pixel_bytes))), f.gep(segment, to), count)
                behind = f.mul(f.sub(end, left), i64(channels * self.conversion.panel_bytes))
                self._fill(f, f.gep(segment, behind), self._behind)
            if window.reaches_out(0):
                with f.if_(f.xor(inside, f.const("i1", True))):
                    self._fill(f, segment, self.width)
        return scratch


def reads_padded_rows(
    window: Window, images: int, channels: int, product: Product, m0: int, steps: int, columns: int
) -> bool:
    """Whether a convolution with register tiles of m0 rows and a filter [steps, columns] is best computed so."""
    if not channels or window.kernel == (1, 1) or window.dilations != (1, 1):
        return False
    if window.kernel[1] * channels % product.k0:
        return False
    height, width = window.output
    tiles = images * height * -(-width // m0)
    filter_bytes = steps * columns * product.k0 * bits_of(product.right) // 8
    few_tiles = tiles <= _WASTE * -(-images * height * width // m0)
    return steps <= MOST_STEPS and filter_bytes <= _FILTER_BYTES and few_tiles
