"""Copying rows of a tensor into a scratch panel in the form a micro-kernel reads: widened, offset, evenly spaced.

All lengths are known, so a run of any length is whole vectors and one that overlaps the last: nothing is read or
written beyond its end and no mask is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..target import Target
from .arithmetic import i64
from .emit import Function
from .parallel import vector_loop
from .product import widen
from .types import Value, bits_of, is_float, vector_type

_STRAIGHT = 8
"""Vectors copied without a loop."""


@dataclass(frozen=True)
class Conversion:
    """From `source` elements to `panel` elements: widened exactly, then `offset` added (wrapping)."""

    target: Target
    source: str
    panel: str
    offset: int = 0

    @property
    def is_copy(self) -> bool:
        return self.source == self.panel and not self.offset

    @property
    def source_bytes(self) -> int:
        return bits_of(self.source) // 8

    @property
    def panel_bytes(self) -> int:
        return bits_of(self.panel) // 8

    @property
    def lanes(self) -> int:
        """Elements moved at once."""
        return self.target.vector_bits // max(bits_of(self.source), bits_of(self.panel))

    def apply(self, f: Function, value: Value) -> Value:
        wide = widen(f, self.target, value, self.panel)
        if not self.offset:
            return wide
        # 128 is not an i8, but adding it modulo 256 is adding -128.
        offset = (self.offset + 128) % 256 - 128 if self.panel_bytes == 1 else self.offset
        return f.add(wide, f.const(wide.type, offset))

    def converted(self, value: int | float) -> int | float:
        """A literal as the panel holds it."""
        return value if is_float(self.panel) else (int(value) + self.offset)


def row_stride(bytes: int) -> int:
    """A distance for rows of `bytes`: an odd number of cache lines, so that no two nearby rows share a cache set."""
    lines = -(-bytes // 64)
    return 64 * (lines | 1)


def copy_run(f: Function, conversion: Conversion, source: Value, destination: Value, count: int) -> None:
    """Moves `count` elements (a compile-time constant), converting them."""
    if count == 0:
        return
    lanes = min(conversion.lanes, 1 << (count.bit_length() - 1))

    def move(first: Value | int, width: int) -> None:
        value = f.load(vector_type(conversion.source, width), _element(f, source, conversion.source_bytes, first))
        f.store(conversion.apply(f, value), _element(f, destination, conversion.panel_bytes, first))

    _cover(f, count, lanes, move)


def copy_any(f: Function, conversion: Conversion, source: Value, destination: Value, count: Value) -> None:
    """As `copy_run`, of a number of elements known only at run time."""

    def move(index: Value, width: int, mask: Value | None) -> None:
        pointer = _element(f, source, conversion.source_bytes, index)
        stored = vector_type(f"i{8 * conversion.source_bytes}", width)
        bits = f.load(stored, pointer) if mask is None else f.masked_load(stored, pointer, mask)
        value = conversion.apply(f, f.bitcast(bits, vector_type(conversion.source, width)))
        to = _element(f, destination, conversion.panel_bytes, index)
        if mask is None:
            f.store(value, to)
        else:
            f.masked_store(f.bitcast(value, vector_type(f"i{8 * conversion.panel_bytes}", width)), to, mask)

    vector_loop(f, conversion.target, i64(0), count, conversion.lanes, move)


def fill_run(f: Function, conversion: Conversion, destination: Value, count: int, value: int | float) -> None:
    """Writes `count` panel elements of a source value."""
    lanes = min(conversion.lanes, 1 << (count.bit_length() - 1))
    literal = conversion.converted(value)
    if conversion.panel_bytes == 1:
        literal = (int(literal) + 128) % 256 - 128

    def write(first: Value | int, width: int) -> None:
        constant = f.const(vector_type(conversion.panel, width), literal)
        f.store(constant, _element(f, destination, conversion.panel_bytes, first))

    _cover(f, count, lanes, write)


def _element(f: Function, pointer: Value, size: int, index: Value | int) -> Value:
    return f.gep(pointer, index * size if isinstance(index, int) else f.mul(index, f.const("i64", size)))


def _cover(f: Function, count: int, lanes: int, piece: Callable[[Value | int, int], None]) -> None:
    """Calls `piece(first, width)` so that all of `count` elements are covered, some of them perhaps twice."""
    whole = count - count % lanes
    if whole // lanes > _STRAIGHT:
        looped = whole - whole % (4 * lanes)
        with f.loop(0, looped, 4 * lanes) as loop:
            for i in range(4):
                piece(f.add(loop.index, f.const("i64", i * lanes)), lanes)
    else:
        looped = 0
    for first in range(looped, whole, lanes):
        piece(first, lanes)
    rest = count - whole
    if rest:
        # The smallest vector that covers the rest reaches back into what is already there.
        width = 1 << (rest - 1).bit_length()
        piece(count - width, width)
