"""Windows that keep channels apart, depthwise convolutions and poolings: each thread a strip of the result.

Neighbouring threads take neighbouring vectors of channels, then neighbouring columns, then rows: a warp's loads and
stores are contiguous, and what neighbours read again of the image is in the L1. All image vectors that a thread's
pixels see are loaded without a branch, and so all at once; those outside of the image are the padding.

Sums go through the window row by row, as on a CPU: floats are added in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ...dialects.linalg import DepthwiseConv2DNhwcHwcmOp, PoolingNhwcMaxOp, PoolingNhwcSumOp
from ...ir import shape_of, tensor_type
from ..arithmetic import i64
from ..emit import Function
from ..epilogue import Epilogue
from ..extent import Extent, emit_extent, product
from ..kernel import Grid, KernelContext
from ..lanewise import Lanewise
from ..product import narrow
from ..types import I32, I64, Value, is_float, memory_type, splat_literal, vector_type
from ..window import Window
from ..window_tile import Image
from .block import grid_threads
from .predicated import all_of, predicated_load, under
from .strip import Strip, grid_of, is_unrolled, offsets


def window_of(root: DepthwiseConv2DNhwcHwcmOp | PoolingNhwcMaxOp | PoolingNhwcSumOp, image: Image) -> Window:
    """How the window of `root` slides over `image`."""
    kernel_height, kernel_width = shape_of(root.window)[:2]
    out_height, out_width = shape_of(root.results[0])[1:3]
    return Window(
        (image.shape[1], image.shape[2]),
        (out_height, out_width),
        (kernel_height, kernel_width),
        root.stride_values,
        root.dilation_values,
        image.before,
    )


@dataclass(frozen=True)
class Corner:
    """Where the first pixel of a thread's strip looks: the address of that image vector, which may lie outside, its row
    and its column."""

    address: Value
    top: Value
    left: Value


@dataclass(frozen=True)
class Sliding:
    """`window` over `image` to [N, OH, OW, channels * multiplier], whose elements go to `epilogue`."""

    context: KernelContext
    epilogue: Epilogue
    window: Window
    image: Image
    multiplier: int
    combine: Lanewise
    strip: Strip

    def emit(self) -> Grid:
        """Emits all of it; the launch says how many threads there are."""
        f, window, strip = self.context.f, self.window, self.strip
        items = strip.items(self.image.shape[0], window, self.image.shape[3] * self.multiplier)
        grid = grid_of(prod(items))
        with grid_threads(f, prod(items), grid.threads) as item:
            image, *place = split_index(f, item.index, items)
            sizes = strip.rows, strip.columns, strip.lanes
            oh, ow, channel = (f.mul(index, i64(size)) for index, size in zip(place, sizes, strict=True))
            sums = self._sums(f, self._corner(f, image, oh, ow, channel), channel)
            self._finish(f, [image, oh, ow, channel], sums)
        return grid

    def _corner(self, f: Function, image: Value, oh: Value, ow: Value, channel: Value) -> Corner:
        window, shape = self.window, self.image.shape
        top = f.sub(f.mul(oh, i64(window.strides[0])), i64(window.before[0]))
        left = f.sub(f.mul(ow, i64(window.strides[1])), i64(window.before[1]))
        row = f.add(f.mul(image, i64(shape[1])), top)
        pixel = f.add(f.mul(row, i64(shape[2])), left)
        element = f.add(f.mul(pixel, i64(shape[3])), f.udiv(channel, i64(self.multiplier)))
        return Corner(f.element_pointer(self.image.pointer, self.image.element, element), top, left)

    def _sums(self, f: Function, corner: Corner, channel: Value) -> list[list[Value]]:
        """The accumulators [rows][columns] over the whole window."""
        window, strip = self.window, self.strip
        (start,) = self.combine.start(f)
        if is_unrolled(window):
            taps = [self._taps(f, i64(kh), i64(0), window.kernel[1], channel) for kh in range(window.kernel[0])]
            sums = [[start] * strip.columns for _ in range(strip.rows)]
            for row in offsets(window, 0, strip.rows):
                for column in offsets(window, 1, strip.columns):
                    value = self._widened(f, self._load(f, corner, i64(row), i64(column)))
                    for r, kh in self.seeing(0, row):
                        for p, kw in self.seeing(1, column):
                            sums[r][p] = self.combine.step(f, sums[r][p], value, taps[kh][kw])
            return sums
        with f.loop(0, window.kernel[0], carried=[start]) as kh:
            with f.loop(0, window.kernel[1], carried=kh.values) as kw:
                (tap,) = self._taps(f, kh.index, kw.index, 1, channel)
                row, column = (f.mul(k.index, i64(step)) for k, step in zip((kh, kw), window.dilations, strict=True))
                value = self._widened(f, self._load(f, corner, row, column))
                kw.yield_(self.combine.step(f, kw.values[0], value, tap))
            kh.yield_(*kw.results)
        return [kh.results]

    def seeing(self, axis: int, offset: int) -> list[tuple[int, int]]:
        """(pixel of the strip, tap) of all that see what lies at `offset` along `axis`."""
        stride, dilation = self.window.strides[axis], self.window.dilations[axis]
        return [
            (pixel, tap)
            for pixel in range((self.strip.rows, self.strip.columns)[axis])
            for tap in range(self.window.kernel[axis])
            if pixel * stride + tap * dilation == offset
        ]

    def _taps(self, f: Function, kh: Value, kw: Value, count: int, channel: Value) -> Sequence[Value | None]:
        return [vectors[0] for vectors in self.combine.taps(f, kh, kw, count, channel, None)]

    def _load(self, f: Function, corner: Corner, row: Value, column: Value) -> Value:
        """The vector of the image so many rows and columns from the corner on."""
        lanes = 1 if self.combine.broadcast else self.strip.lanes
        type = vector_type(self.image.element, lanes)
        pixel = f.add(f.mul(row, i64(self.image.shape[2])), column)
        address = f.gep(corner.address, f.mul(pixel, i64(self.image.pixel_bytes)))
        inside = self._inside(f, corner, row, column)
        if inside is None:
            return f.load(type, address)
        padding = Value(type, splat_literal(type, self.image.pad_value))
        return predicated_load(f, type, address, inside, padding)

    def _widened(self, f: Function, loaded: Value) -> Value:
        """As what is accumulated."""
        wide = self.combine.widen(f, loaded)
        return f.splat(wide, self.strip.lanes) if self.combine.broadcast else wide

    def _inside(self, f: Function, corner: Corner, row: Value, column: Value) -> Value | None:
        """Whether a place is in the image; None where it always is. As unsigned numbers, those in front are beyond."""
        window, strip = self.window, self.strip
        conditions = []
        for axis, (first, move, pixels) in enumerate(
            [(corner.top, row, strip.rows), (corner.left, column, strip.columns)]
        ):
            if window.reaches_out(axis) or window.output[axis] % pixels:
                conditions.append(f.icmp("ult", f.add(first, move), i64(window.image[axis])))
        return all_of(f, conditions)

    def _finish(self, f: Function, first: Sequence[Value], sums: Sequence[Sequence[Value]]) -> None:
        """Hands the pixels that there are to the epilogue."""
        image, oh, ow, channel = first
        for row, values in enumerate(sums):
            for column, value in enumerate(values):
                place = f.add(oh, i64(row)), f.add(ow, i64(column))
                pixels = self.strip.rows, self.strip.columns
                sizes = zip(place, self.window.output, pixels, strict=True)
                with under(f, *(f.icmp("ult", at, i64(size)) for at, size, many in sizes if size % many)):
                    self._store(f, [image, *place, channel], value)

    def _store(self, f: Function, indices: list[Value], value: Value) -> None:
        if len(self.epilogue.shape) == 5:  # channel and multiplier apart
            channel = indices.pop()
            indices += [f.udiv(channel, i64(self.multiplier)), f.urem(channel, i64(self.multiplier))]
        if is_float(value.type):
            element = memory_type(tensor_type(self.epilogue.root.results[0]).get_element_type())
            value = narrow(f, self.context.target, value, element)
        self.epilogue.emit(f, indices, value, dim=3 if self.multiplier == 1 else len(indices) - 1)


def split_index(f: Function, index: Value, sizes: Sequence[Extent]) -> list[Value]:
    """The indices along dimensions of `sizes` of element `index` (i64), in 32 bits where that is enough: a GPU divides
    no wider integers."""
    total = product(sizes)
    narrow = isinstance(total, int) and total < 1 << 31
    rest = f.cast("trunc", index, I32) if narrow else index
    found: list[Value] = []
    for size in reversed(sizes[1:]):
        divisor = f.const(rest.type, size) if isinstance(size, int) else emit_extent(f, size)
        found.append(f.urem(rest, divisor))
        rest = f.udiv(rest, divisor)
    first = f.const(rest.type, 0) if sizes[0] == 1 else rest
    return [f.cast("zext", each, I64) for each in (first, *reversed(found))]
