"""Bytes of four window rows multiplied at once: `vpdpbusd` for depthwise convolutions of i8.

The instruction sums four neighbouring bytes. Four rows of an image column, 4 L channels each, are interleaved into four
vectors of L lanes [channel, row]; with 3x3 windows and stride 1 an interleaved column serves three pixels, and the
12 instructions of a pixel replace 36 multiplications and 36 additions of single products. The filter is interleaved
likewise, once per block of channels. The left side of the instruction is unsigned: image bytes are offset by 128, and
sums start from -128 * sum(filter).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from ..target import Target
from .arithmetic import i64
from .emit import Function
from .types import I8, I32, Value, lanes_of, splat_literal, vector_type
from .window import Window
from .window_tile import MOST_TAPS, Row, Tile, load_lanes

_ROWS = 4
_VECTORS = 4


def dot_tile(target: Target, channels: int, window: Window) -> Tile | None:
    """The tile for `vpdpbusd`, None where it does not apply: the narrowest block among those with the fewest blocks.

    Accumulators take four registers per pixel, an interleaved column and its making eight.
    """
    if not target.vnni or window.kernel[1] > MOST_TAPS:
        return None
    blocks = [width for width in (64, 32, 16) if width * 8 <= target.vector_bits]
    if not target.avx512:
        blocks = [width for width in blocks if channels % width == 0]
    if not blocks:
        return None
    block = min(reversed(blocks), key=lambda width: -(-channels // width))
    return Tile(I32, block // _VECTORS, _VECTORS, 5 if target.vector_registers == 32 else 2)


@dataclass(frozen=True)
class DotRows:
    """A `Combine` of image and filter bytes. `buffer` holds the interleaved filter, then the sums to start from."""

    tile: Tile
    window: Window
    filter: Value
    channels: int
    initial: Value
    buffer: Value
    pad_value: int
    rows: int = _ROWS
    prepares: bool = True

    @staticmethod
    def buffer_bytes(tile: Tile, window: Window) -> int:
        """Bytes of `buffer`."""
        groups = -(-window.kernel[0] // _ROWS)
        return (groups * window.kernel[1] + 1) * _ROWS * tile.channels

    @property
    def operand(self) -> Value:
        return self.buffer

    def reading(self, operand: Value) -> Self:
        return replace(self, buffer=operand)

    @property
    def _bytes(self) -> str:
        return vector_type(I8, self.tile.channels)

    def prepare(self, f: Function, channel: Value, mask: Value | None) -> None:
        """Interleaves the filter of a block and sums it up."""
        height, width = self.window.kernel
        ones = f.const(self._bytes, -128)  # 128 as an unsigned byte
        zero = f.zero(self.tile.type)
        with f.loop(0, height, _ROWS, carried=[zero] * _VECTORS) as kh:
            with f.loop(0, width, carried=kh.values) as kw:
                rows = [self._filter_row(f, f.add(kh.index, i64(row)), kw.index, channel, mask) for row in range(_ROWS)]
                sums = []
                for vector, taps in enumerate(_interleave(f, rows)):
                    f.store(taps, self._taps_at(f, kh.index, kw.index, vector))
                    sums.append(f.instruction("vpdpbusd", kw.values[vector], ones, taps))
                kw.yield_(*sums)
            kh.yield_(*kw.results)
        for vector, total in enumerate(kh.results):
            f.store(f.sub(f.splat(self.initial, self.tile.lanes), total), self._start_at(f, vector))

    def _filter_row(self, f: Function, kh: Value, kw: Value, channel: Value, mask: Value | None) -> Value:
        """A block of the filter's bytes at tap (kh, kw), zeros for rows that only fill up a group of four."""
        height, width = self.window.kernel
        if kh.constant is not None and kh.constant >= height:
            return f.zero(self._bytes)
        last = f.min(kh, i64(height - 1))
        tap = f.add(f.mul(last, i64(width)), kw)
        row = load_lanes(
            f,
            I8,
            f.gep(self.filter, f.add(f.mul(tap, i64(self.channels)), channel)),
            self.tile.channels,
            mask,
        )
        if kh.constant is not None or height % _ROWS == 0:
            return row
        return f.select(f.icmp("ult", kh, i64(height)), row, f.zero(self._bytes))

    def _start_at(self, f: Function, vector: int) -> Value:
        return f.gep(self.buffer, vector * self.tile.channels)

    def _taps_at(self, f: Function, kh: Value, kw: Value, vector: int) -> Value:
        """Where the interleaved taps (kh .. kh + 3, kw) of a vector lie: behind the sums to start from."""
        group = f.add(f.mul(f.udiv(kh, i64(_ROWS)), i64(self.window.kernel[1])), kw)
        first = f.gep(self.buffer, f.mul(group, i64(_VECTORS * self.tile.channels)))
        return f.gep(first, (_VECTORS + vector) * self.tile.channels)

    def start(self, f: Function) -> list[Value]:
        return [f.load(self.tile.type, self._start_at(f, vector)) for vector in range(_VECTORS)]

    def taps(
        self, f: Function, kh: Value, kw: Value, count: int, channel: Value, mask: Value | None
    ) -> Sequence[Sequence[Value]]:
        first = self._taps_at(f, kh, kw, 0)
        step = self.tile.channels
        return [
            [f.load(self._bytes, f.gep(first, (column * _VECTORS + vector) * step)) for vector in range(_VECTORS)]
            for column in range(count)
        ]

    @property
    def _padding(self) -> int:
        """The padding as an unsigned byte, written as a signed one."""
        return self.pad_value % 256 - 128

    @property
    def absent(self) -> list[Value] | None:
        if self._padding == 0:
            return None
        return [Value(self._bytes, splat_literal(self._bytes, self._padding))] * _VECTORS

    def column(self, f: Function, rows: Sequence[Row | None], mask: Value | None) -> list[Value]:
        return _interleave(f, [self._row(f, row, mask) for row in rows])

    def _row(self, f: Function, row: Row | None, mask: Value | None) -> Value:
        """The bytes of one row, unsigned; the taps of a row beyond the window are zeros whatever it holds."""
        if row is None:
            return f.zero(self._bytes)
        load = load_lanes(f, I8, row.address, self.tile.channels, mask)
        if row.there is None:
            return f.xor(load, f.const(self._bytes, -128))
        padding = f.const(self._bytes, self._padding)
        flip = f.const(self._bytes, self._padding ^ -128)
        words = f.splat(f.cast("sext", row.there, I32), self.tile.channels // 4)
        kept = f.and_(f.xor(load, flip), f.bitcast(words, self._bytes))
        return f.xor(kept, padding) if self._padding else kept

    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        assert tap is not None
        return f.instruction("vpdpbusd", sums, image, tap)


def _interleave(f: Function, rows: Sequence[Value]) -> list[Value]:
    """Four rows of 4 L bytes as four vectors: byte 4 i + r of vector j is byte j L + i of row r.

    Unpacking instructions work within 16 bytes. Groups of four bytes are therefore first dealt out so that what they
    leave in place j of every 16 bytes belongs to vector j. Elements are as wide as what stays together: LLVM takes its
    time over every element of a shuffle.
    """
    size = lanes_of(rows[0].type)
    blocks = size // 16
    bytes_, pairs, groups = vector_type(I8, size), vector_type("i16", size // 2), vector_type(I32, size // 4)
    dealing = [place * blocks + block for block in range(blocks) for place in range(4)]

    def deal(row: Value) -> Value:
        return f.bitcast(f.shuffle(f.bitcast(row, groups), None, dealing), bytes_) if blocks > 1 else row

    def unpack(a: Value, b: Value, high: bool) -> Value:
        """Alternating elements from the lower or higher halves of every 16 bytes."""
        lanes = lanes_of(a.type)
        each = lanes // blocks
        start = each // 2 if high else 0
        order = [
            side * lanes + block * each + start + element
            for block in range(blocks)
            for element in range(each // 2)
            for side in (0, 1)
        ]
        return f.shuffle(a, b, order)

    dealt = [deal(row) for row in rows]
    first = [f.bitcast(unpack(dealt[0], dealt[1], high), pairs) for high in (False, True)]
    second = [f.bitcast(unpack(dealt[2], dealt[3], high), pairs) for high in (False, True)]
    return [f.bitcast(unpack(a, b, high), bytes_) for a, b in zip(first, second, strict=True) for high in (False, True)]
