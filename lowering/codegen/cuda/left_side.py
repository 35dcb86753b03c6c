"""Where the left side of a contraction lies in global memory, by row and column of the matrix that it is.

A block loads [BM, BK] of it in vectors. A thread asks for its rows once (`row`), for its column once a step of k
(`column`), and gets for each pair the address and whether anything is there (`place`): of a matrix that is one addition
and no question but at the edges, of an image under a window a row is a pixel of the result and a column a tap and
channels, so that implicit GEMM costs an addition and two comparisons a vector.

`vector` elements lie together wherever a multiple of them begins: 16 bytes where rows or pixels allow, down to one of
images with three channels. Those are gathered one by one: a first convolution of 7x7x3 to 64 channels and 112x112
pixels loads 1.8 million elements, about 1.5 microseconds of an A100's load units and issue slots, no more than another
pass over a copy of the image with a fourth channel takes; its products take 1.5 microseconds as tf32, 12 as f32.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Protocol

from ..arithmetic import i64
from ..emit import Function
from ..extent import Extent, emit_extent
from ..types import I32, I64, Value, bits_of
from ..window import Window
from .predicated import all_of

_VECTOR_BYTES = 16


@dataclass(frozen=True)
class Row:
    """The address of a row's first element, which for a window may lie outside of the image, with the image row and
    column there; `there` says whether it is a row of the matrix (None: it is)."""

    address: Value
    top: Value | None = None
    left: Value | None = None
    there: Value | None = None


@dataclass(frozen=True)
class Column:
    """How many bytes, image rows and columns a column lies from its row's first; `there` as in `Row`."""

    offset: Value
    down: Value | None = None
    right: Value | None = None
    there: Value | None = None


class LeftSide(Protocol):
    """A matrix [M, K] of `element`, some of it `fill` and nowhere in memory."""

    @property
    def element(self) -> str: ...

    @property
    def vector(self) -> int:
        """Elements that lie together from every multiple of them on."""
        ...

    @property
    def fill(self) -> int | float: ...

    def row(self, f: Function, batch: Value, m: Value) -> Row: ...

    def column(self, f: Function, k: Value) -> Column: ...

    def place(self, f: Function, row: Row, column: Column) -> tuple[Value, Value | None]:
        """(address of the vector, whether it is there; None: it is)."""
        ...


@dataclass(frozen=True)
class MatrixRows:
    """[batch, M, K] in rows at `pointer`. `whole_rows` and `whole_columns`: nobody asks for others."""

    pointer: Value
    element: str
    m: Extent
    k: Extent
    whole_rows: bool = False
    whole_columns: bool = False
    fill: int | float = 0

    @property
    def vector(self) -> int:
        return _vector(self.element, self.k if isinstance(self.k, int) else 1)

    def row(self, f: Function, batch: Value, m: Value) -> Row:
        size, rows = bits_of(self.element) // 8, emit_extent(f, self.m)
        index = f.add(f.mul(batch, rows), m)
        address = f.gep(self.pointer, f.mul(f.mul(index, emit_extent(f, self.k)), i64(size)))
        return Row(address, there=None if self.whole_rows else f.icmp("ult", m, rows))

    def column(self, f: Function, k: Value) -> Column:
        there = None if self.whole_columns else f.icmp("ult", k, emit_extent(f, self.k))
        return Column(f.mul(k, i64(bits_of(self.element) // 8)), there=there)

    def place(self, f: Function, row: Row, column: Column) -> tuple[Value, Value | None]:
        return f.gep(row.address, column.offset), all_of(f, [row.there, column.there])


@dataclass(frozen=True)
class WindowRows:
    """Pixels of the result as rows, [kh, kw, c] as columns, of an image [images, h, w, channels] at `pointer`."""

    pointer: Value
    element: str
    images: int
    channels: int
    window: Window
    whole_rows: bool = False
    whole_columns: bool = False
    fill: int | float = 0

    @property
    def vector(self) -> int:
        return _vector(self.element, self.channels)

    @property
    def _size(self) -> int:
        return bits_of(self.element) // 8

    @property
    def _index(self) -> str:
        """The type of places in the image: a GPU divides in 32 bits."""
        return I32 if self.images * prod(self.window.image) * self.channels < 1 << 31 else I64

    def row(self, f: Function, batch: Value, m: Value) -> Row:
        window, (height, width) = self.window, self.window.output
        index = _index(f, m, self._index)
        pixels = f.const(self._index, height * width)
        image, pixel = f.udiv(index, pixels), f.urem(index, pixels)
        oh, ow = f.udiv(pixel, f.const(self._index, width)), f.urem(pixel, f.const(self._index, width))
        top, left = (
            f.sub(f.mul(at, f.const(self._index, stride)), f.const(self._index, before))
            for at, stride, before in zip((oh, ow), window.strides, window.before, strict=True)
        )
        line = f.add(f.mul(image, f.const(self._index, window.image[0])), top)
        first = f.add(f.mul(line, f.const(self._index, window.image[1])), left)
        address = f.gep(self.pointer, f.mul(f.cast("sext", first, I64), i64(self.channels * self._size)))
        rows = self.images * height * width
        return Row(address, top, left, None if self.whole_rows else f.icmp("ult", m, i64(rows)))

    def column(self, f: Function, k: Value) -> Column:
        window, run = self.window, self.window.kernel[1] * self.channels
        index = _index(f, k, self._index)
        kh, rest = f.udiv(index, f.const(self._index, run)), f.urem(index, f.const(self._index, run))
        kw, channel = (
            f.udiv(rest, f.const(self._index, self.channels)),
            f.urem(rest, f.const(self._index, self.channels)),
        )
        down, right = (
            f.mul(at, f.const(self._index, step)) for at, step in zip((kh, kw), window.dilations, strict=True)
        )
        pixel = f.add(f.mul(down, f.const(self._index, window.image[1])), right)
        element = f.add(f.mul(pixel, f.const(self._index, self.channels)), channel)
        there = None if self.whole_columns else f.icmp("ult", k, i64(window.kernel[0] * run))
        return Column(f.mul(f.cast("zext", element, I64), i64(self._size)), down, right, there)

    def place(self, f: Function, row: Row, column: Column) -> tuple[Value, Value | None]:
        conditions = [row.there, column.there]
        steps = (row.top, column.down), (row.left, column.right)
        for axis, (first, step) in enumerate(steps):
            if self.window.reaches_out(axis):
                assert first is not None and step is not None
                # As an unsigned number, what is in front of the image is beyond it.
                conditions.append(f.icmp("ult", f.add(first, step), f.const(self._index, self.window.image[axis])))
        return f.gep(row.address, column.offset), all_of(f, conditions)


def _index(f: Function, index: Value, type: str) -> Value:
    """An i64 as `type`."""
    if type == I64 or index.constant is not None:
        return f.const(type, index.constant) if index.constant is not None else index
    narrow = f.cast("trunc", index, type)
    narrow.multiple = gcd(index.multiple, _VECTOR_BYTES)
    return narrow


def _vector(element: str, run: int) -> int:
    return gcd(_VECTOR_BYTES * 8 // bits_of(element), run)
