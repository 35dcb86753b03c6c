"""A convolution with one output channel: the lanes are elements of the image, and are added up at the end.

As a matrix product it has a single column, so that 15 of 16 lanes multiply in vain. Here a register holds the channels
of some neighbouring pixels, or 16 channels of one, as they lie in the image: its product with the filter's taps, which
are repeated as often, is added to a register of sums for the same lanes. Of these 16 pixels have as many as a pixel has
lanes; adding up neighbouring lanes of pairs of them halves their number, until one holds the 16 results.

A pixel takes k / 16 multiply-adds (k taps and channels), where the matrix product takes k; adding up lanes costs
another 3 operations at most. Windows that leave the image are read under masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..target import Target
from .arithmetic import i64
from .emit import Function
from .kernel import KernelContext
from .product import Product
from .tile_output import TileOutput
from .types import F32, I32, Value, vector_type
from .window import Window

_LANES = 16
_BYTES = 4
_VECTOR = vector_type(F32, _LANES)


def suits_single_channel(target: Target, window: Window, product: Product, channels: int, n: int) -> bool:
    """Whether a convolution to `n` channels can be done so: neighbouring windows must read neighbouring pixels."""
    in_f32 = (product.panel, product.right, product.accumulator, product.k0) == (F32, F32, F32, 1)
    whole = channels % _LANES == 0 or _LANES % channels == 0
    return n == 1 and target.avx512 and in_f32 and whole and window.strides == (1, 1)


@dataclass(frozen=True)
class SingleChannel:
    """`window` over the image [images, h, w, channels] at `image`, which is padded with zeros.

    The filter at `filter` is packed: element (kh, kw, channel) is the first of a row of `n0`. Rows of `output` are
    rows of the result, its columns are pixels.
    """

    context: KernelContext
    window: Window
    images: int
    channels: int
    image: Value
    filter: Value
    n0: int
    output: TileOutput

    @property
    def f(self) -> Function:
        return self.context.f

    @property
    def taps(self) -> int:
        return self.window.kernel[0] * self.window.kernel[1]

    @property
    def registers(self) -> int:
        """Registers of sums of 16 pixels: the lanes of one pixel in each, or of those that share one."""
        return min(self.channels, _LANES)

    @property
    def parts(self) -> int:
        """Registers that hold one pixel."""
        return max(self.channels // _LANES, 1)

    @property
    def table_bytes(self) -> int:
        return self.taps * self.parts * _LANES * _BYTES

    def emit(self) -> int:
        """Emits this thread's share; returns the bytes of scratch per thread."""
        f, (height, width) = self.f, self.window.output
        table, sums = self.context.scratch, f.gep(self.context.scratch, self.table_bytes)
        first, last = self.context.share(self.images * height)
        with f.if_(f.icmp("slt", first, last)):
            self._repeat_filter(table)
        with f.loop(first, last) as row:
            image, y = f.udiv(row.index, i64(height)), f.urem(row.index, i64(height))
            top = f.sub(y, i64(self.window.before[0]))
            with f.loop(i64(0), i64(width), _LANES) as group:
                left = f.sub(group.index, i64(self.window.before[1]))
                inside = self._inside(top, left)
                for condition, masked in ((inside, False), (f.xor(inside, f.const("i1", True)), True)):
                    with f.if_(condition):
                        f.store(self._added_up(self._sums(table, image, top, left, masked)), sums)
                valid = f.min(i64(_LANES), f.sub(i64(width), group.index))
                self.output.columns(f, sums, i64(0), row.index, (i64(0), i64(1)), group.index, valid)
        return self.table_bytes + _LANES * _BYTES

    def _repeat_filter(self, table: Value) -> None:
        """The channels of each tap, as often as pixels lie in a register."""
        f, channels = self.f, self.channels
        with f.loop(i64(0), i64(self.taps * channels)) as k:
            weight = f.load(F32, f.gep(self.filter, f.mul(k.index, i64(self.n0 * _BYTES))))
            place = k.index
            if channels < _LANES:
                tap, channel = f.udiv(k.index, i64(channels)), f.urem(k.index, i64(channels))
                place = f.add(f.mul(tap, i64(_LANES)), channel)
            at = f.gep(table, f.mul(place, i64(_BYTES)))
            for repeat in range(0, _LANES if channels < _LANES else 1, channels):
                f.store(weight, f.gep(at, repeat * _BYTES))

    def _inside(self, top: Value, left: Value) -> Value:
        """Whether the windows of 16 pixels, the first at (top, left) of the image, all lie within it."""
        f, window = self.f, self.window
        inside = f.const("i1", True)
        for start, reach, axis in ((top, window.span(0), 0), (left, window.span(1) + _LANES - 1, 1)):
            inside = f.and_(inside, f.icmp("sge", start, i64(0)))
            inside = f.and_(inside, f.icmp("sle", start, i64(window.image[axis] - reach)))
        return inside

    def _sums(self, table: Value, image: Value, top: Value, left: Value, masked: bool) -> list[Value]:
        """Registers of sums of 16 pixels, those of the first pixels first."""
        f, window = self.f, self.window
        row_elements = window.image[1] * self.channels
        first_row = f.mul(image, i64(window.image[0]))
        kernel_width = window.kernel[1]
        sums = [f.zero(_VECTOR)] * self.registers
        with f.loop(i64(0), i64(window.kernel[0]), carried=sums) as kh:
            y = f.add(top, f.mul(kh.index, i64(window.dilations[0])))
            line = f.gep(self.image, f.mul(f.add(first_row, y), i64(row_elements * _BYTES)))
            limit = i64(0)
            if masked:
                limit = f.select(f.icmp("ult", y, i64(window.image[0])), i64(row_elements), i64(0))
            with f.loop(i64(0), i64(kernel_width * self.parts), carried=kh.values) as step:
                kw, part = f.udiv(step.index, i64(self.parts)), f.urem(step.index, i64(self.parts))
                x = f.add(left, f.mul(kw, i64(window.dilations[1])))
                start = f.add(f.mul(x, i64(self.channels)), f.mul(part, i64(_LANES)))
                tap = f.add(f.mul(kh.index, i64(kernel_width * self.parts)), step.index)
                weights = f.load(_VECTOR, f.gep(table, f.mul(tap, i64(_LANES * _BYTES))))
                load = self._masked(line, start, limit) if masked else self._whole(line, start)
                stride = max(self.channels, _LANES)
                step.yield_(*(f.fma(load(i * stride), weights, sum) for i, sum in enumerate(step.values)))
            kh.yield_(*step.results)
        return kh.results

    def _whole(self, line: Value, start: Value) -> Callable[[int], Value]:
        at = self.f.gep(line, self.f.mul(start, i64(_BYTES)))
        return lambda offset: self.f.load(_VECTOR, self.f.gep(at, offset * _BYTES))

    def _masked(self, line: Value, start: Value, limit: Value) -> Callable[[int], Value]:
        """Elements at 0 and from there to `limit` of a line, zeros for others."""
        f = self.f
        places, limits = (f.splat(f.cast("trunc", value, I32), _LANES) for value in (start, limit))
        at = f.gep(line, f.mul(start, i64(_BYTES)))

        def load(offset: int) -> Value:
            place = f.add(places, f.vector_const(I32, range(offset, offset + _LANES)))
            return f.masked_load(_VECTOR, f.gep(at, offset * _BYTES), f.icmp("ult", place, limits))

        return load

    def _added_up(self, sums: Sequence[Value]) -> Value:
        """Each pixel's lanes in one, the pixels in order."""
        f = self.f
        while len(sums) > 1:
            even, odd = range(0, 2 * _LANES, 2), range(1, 2 * _LANES, 2)
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [f.fadd(f.shuffle(a, b, even), f.shuffle(a, b, odd)) for a, b in pairs]
        return sums[0]


def in_rows_of_pixels(output: TileOutput, height: int, width: int) -> TileOutput:
    """`output` of a result [n, height, width, 1] whose rows are rows of pixels."""

    def indices(f: Function, batch: Value, row: Value, column: Value) -> Sequence[Value]:
        return [f.udiv(row, i64(height)), f.urem(row, i64(height)), column, i64(0)]

    return replace(output, lanes=_LANES, n0=_LANES, n=width, indices=indices, dim=2, ragged=True)
