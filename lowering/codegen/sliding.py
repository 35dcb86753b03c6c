"""Loops for windows that keep channels apart: depthwise convolutions and poolings.

Channels are the lanes; a register tile is P neighbouring output pixels times V vectors of channels. For each row of the
window every image column that some pixel of the tile meets is loaded once and used by all taps that meet it, so that
with stride 1 a 3x3 window costs (P + 2) / 3 P loads per multiply-add. A tile whose windows leave the image takes
the address of a vector of padding instead of the image's where a tap is outside; tiles within it check nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Protocol

from xdsl.ir import SSAValue

from ...runtime.errors import UnsupportedError
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .kernel import KernelContext
from .types import Value, bits_of, vector_type
from .window import Window

_MOST_TAPS = 32
"""Columns of a window that are unrolled; wider windows loop over them."""
_MOST_PIXELS = 8
_BODY = 96
"""Multiply-adds in the body of the loop over window rows, for the sake of compile time."""


class Combine(Protocol):
    """What is done with an image element under a tap. Vectors are of `lanes` channels of the result."""

    @property
    def start(self) -> Value:
        """The scalar that accumulators start from; its type is accumulated in."""
        ...

    def taps(
        self, f: Function, first: Value, count: int, channel: Value, lanes: int, mask: Value | None
    ) -> Sequence[Value | None]:
        """What `step` needs of `count` taps from `first` = kh * KW + kw on, for `lanes` channels from `channel` on."""
        ...

    def image(self, f: Function, loaded: Value) -> Value:
        """Image elements in the type `step` takes."""
        ...

    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        """The accumulator after one more element."""
        ...


@dataclass(frozen=True)
class Sliding:
    """A window over image [N, H, W, C] at `pointer`, of elements `element`, to [N, OH, OW, C * multiplier].

    With a multiplier above 1 the lanes of a vector all read one channel of the image.
    """

    context: KernelContext
    epilogue: Epilogue
    window: Window
    pointer: Value
    element: str
    images: int
    channels: int
    multiplier: int
    pad_value: int | float
    combine: Combine

    def emit(self) -> None:
        """Emits this thread's share of all (image, output row, block of channels)."""
        f, (height, _) = self.context.f, self.window.output
        blocks = -(-self._out_channels // (self._lanes * self._vectors))
        begin, end = self.context.share(self.images * height * blocks)
        sums = f.alloca(self._pixels * self._row_bytes)
        with f.loop(begin, end) as unit:
            row = f.udiv(unit.index, i64(blocks))
            image, oh = f.udiv(row, i64(height)), f.urem(row, i64(height))
            if self.images == 1:
                image, oh = i64(0), row
            channel = f.mul(f.urem(unit.index, i64(blocks)), i64(self._lanes * self._vectors))
            mask = None
            if self._out_channels % self._lanes:
                left = f.sub(i64(self._out_channels), channel)
                mask = f.tail_mask(f.min(left, i64(self._lanes)), self._lanes)
            self._output_row(image, oh, channel, mask, sums)

    # Tile shape

    @property
    def _out_channels(self) -> int:
        return self.channels * self.multiplier

    @property
    def _broadcast(self) -> bool:
        return self.multiplier > 1

    @property
    def _lanes(self) -> int:
        """A full vector, where need be masked; a smaller one without masks or to stay within one image channel."""
        full = self.context.target.vector_bits // bits_of(self.combine.start.type)
        if self._broadcast and self.channels > 1:
            return gcd(full, self.multiplier)
        return full if self.context.target.avx512 else gcd(full, self._out_channels)

    @property
    def _pixels(self) -> int:
        """The number of pixels that needs the fewest tiles per row, and of those the smallest."""
        width = self.window.output[1]
        most = max(1, min(width, _MOST_PIXELS, _BODY // min(self.window.kernel[1], _MOST_TAPS)))
        return -(-width // -(-width // most))

    @property
    def _vectors(self) -> int:
        """Enough vectors for eight independent accumulators, if the channels fill them."""
        if self._broadcast:
            return 1
        fitting = (
            v for v in (4, 2) if self._pixels * v <= _MOST_PIXELS and self._out_channels % (v * self._lanes) == 0
        )
        return next(fitting, 1)

    @property
    def _vector_type(self) -> str:
        return vector_type(self.combine.start.type, self._lanes)

    @property
    def _vector_bytes(self) -> int:
        return self._lanes * bits_of(self.combine.start.type) // 8

    @property
    def _row_bytes(self) -> int:
        return self._vectors * self._vector_bytes

    @property
    def _pixel_bytes(self) -> int:
        return self.channels * bits_of(self.element) // 8

    # Loops

    def _output_row(self, image: Value, oh: Value, channel: Value, mask: Value | None, sums: Value) -> None:
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
            if inside is None:
                self._tile(image, top, left, channel, mask, sums, checked=False)
            else:
                with f.if_(inside):
                    self._tile(image, top, left, channel, mask, sums, checked=False)
                with f.if_(f.xor(inside, f.const("i1", True))):
                    self._tile(image, top, left, channel, mask, sums, checked=True)
            self._finish(image, oh, ow, skip, channel, mask, sums)

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

    def _tile(
        self, image: Value, top: Value, left: Value, channel: Value, mask: Value | None, sums: Value, *, checked: bool
    ) -> None:
        """Accumulates a tile over its windows and leaves it at `sums`, [pixels, vectors * lanes]."""
        f, window = self.context.f, self.window
        height, width = window.image
        columns = window.kernel[1] if window.kernel[1] <= _MOST_TAPS else 1
        own_channel = f.udiv(channel, i64(self.multiplier))
        plane = f.gep(self.pointer, f.mul(image, i64(height * width * self._pixel_bytes)))
        plane = f.gep(plane, f.mul(own_channel, i64(bits_of(self.element) // 8)))
        start = [f.splat(self.combine.start, self._lanes)] * (self._pixels * self._vectors)
        with f.loop(0, window.kernel[0], carried=start) as kh:
            y = f.add(top, f.mul(kh.index, i64(window.dilations[0])))
            with f.loop(0, window.kernel[1], columns, carried=kh.values) as kw:
                x = f.add(left, f.mul(kw.index, i64(window.dilations[1])))
                first_tap = f.add(f.mul(kh.index, i64(window.kernel[1])), kw.index)
                kw.yield_(*self._taps(plane, y, x, first_tap, columns, channel, mask, kw.values, checked))
            kh.yield_(*kw.results)
        for slot, value in enumerate(kh.results):
            f.store(value, f.gep(sums, slot * self._vector_bytes), min(self._vector_bytes, 64))

    def _taps(
        self,
        plane: Value,
        y: Value,
        x: Value,
        first_tap: Value,
        columns: int,
        channel: Value,
        mask: Value | None,
        values: Sequence[Value],
        checked: bool,
    ) -> list[Value]:
        """One row of `columns` taps for all pixels and vectors of a tile."""
        f, window = self.context.f, self.window
        stride, dilation = window.strides[1], window.dilations[1]
        updated = list(values)
        row = f.gep(plane, f.mul(f.add(f.mul(y, i64(window.image[1])), x), i64(self._pixel_bytes)))
        in_column = f.icmp("ult", y, i64(window.image[0])) if checked else None
        for v in range(self._vectors):
            first = f.add(channel, i64(v * self._lanes))
            taps = self.combine.taps(f, first_tap, columns, first, self._lanes, mask)
            for offset in sorted({p * stride + k * dilation for p in range(self._pixels) for k in range(columns)}):
                address = f.gep(row, offset * self._pixel_bytes + v * self._lanes * bits_of(self.element) // 8)
                if in_column is not None:
                    in_row = f.icmp("ult", f.add(x, i64(offset)), i64(window.image[1]))
                    address = f.select(f.and_(in_column, in_row), address, self._padding)
                element = self.combine.image(f, self._load(address, mask))
                for p in range(self._pixels):
                    k, rest = divmod(offset - p * stride, dilation)
                    if rest == 0 and 0 <= k < columns:
                        slot = p * self._vectors + v
                        updated[slot] = self.combine.step(f, updated[slot], element, taps[k])
        return updated

    def _load(self, address: Value, mask: Value | None) -> Value:
        f = self.context.f
        if self._broadcast:
            return f.splat(f.load(self.element, address), self._lanes)
        return load_lanes(f, self.element, address, self._lanes, mask)

    @cached_property
    def _padding(self) -> Value:
        """The address of a vector of the padding value."""
        return self.context.f.table(self.element, [self.pad_value] * self._lanes)

    def _finish(
        self, image: Value, oh: Value, ow: Value, skip: Value, channel: Value, mask: Value | None, sums: Value
    ) -> None:
        """Hands a tile to the epilogue, all pixels of one vector of channels after another."""
        f = self.context.f
        with f.loop(0, self._vectors) as vector:
            at_vector = f.gep(sums, f.mul(vector.index, i64(self._vector_bytes)))
            with f.loop(skip, self._pixels) as pixel:
                value = f.load(self._vector_type, f.gep(at_vector, f.mul(pixel.index, i64(self._row_bytes))))
                first = f.add(channel, f.mul(vector.index, i64(self._lanes)))
                indices = [image, oh, f.add(ow, pixel.index), first]
                if len(self.epilogue.shape) == 5:  # channel and multiplier apart
                    indices[3:] = [f.udiv(first, i64(self.multiplier)), f.urem(first, i64(self.multiplier))]
                self.epilogue.emit(f, indices, value, mask)


def load_lanes(f: Function, element: str, address: Value, lanes: int, mask: Value | None) -> Value:
    type = vector_type(element, lanes)
    return f.load(type, address) if mask is None else f.masked_load(type, address, mask)


def start_of(context: KernelContext, init: SSAValue) -> Value:
    """The scalar that the tensor accumulated into is filled with."""
    fill = context.tensor(init).fill
    if fill is None:
        raise UnsupportedError("no code can be generated", ["a window operation that accumulates into a given tensor"])
    return fill
