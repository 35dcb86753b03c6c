"""What the sliding loops are made of: the image they read, the tile they hold, and how a window is combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xdsl.ir import SSAValue

from ...runtime.errors import UnsupportedError
from ..ir import shape_of
from .emit import Function
from .kernel import KernelContext
from .product import accumulator_type
from .types import BF16, F16, Value, bits_of, half_value, memory_type, vector_type
from .window import Window, unpadded

MOST_TAPS = 32
"""Columns of a window that are unrolled; wider windows loop over them."""
_BODY = 96
"""Multiply-adds in the body of the loop over window rows, for the sake of compile time."""


@dataclass(frozen=True)
class Row:
    """The address of one column of an image row, which can be read in any case, and if it counts (None: it does)."""

    address: Value
    there: Value | None = None


class Combine(Protocol):
    """What is done with the image under a window. A block is the V vectors of channels that a tile holds."""

    @property
    def operand(self) -> Value | None:
        """The address of what `start` and `taps` read, if they read anything."""
        ...

    def reading(self, operand: Value) -> Combine:
        """The same with another operand."""
        ...

    def start(self, f: Function) -> list[Value]:
        """The accumulators of a block before any tap."""
        ...

    def taps(
        self, f: Function, kh: Value, kw: Value, count: int, channel: Value, mask: Value | None
    ) -> Sequence[Sequence[Value | None]]:
        """What `step` needs, [count, V], of `count` taps from (kh, kw) on."""
        ...

    @property
    def absent(self) -> list[Value] | None:
        """A column outside of the image; None if it changes nothing."""
        ...

    def column(self, f: Function, row: Row, mask: Value | None) -> list[Value]:
        """A block of the image at one column of a row."""
        ...

    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value:
        """The accumulator after one more column."""
        ...


@dataclass(frozen=True)
class Tile:
    """A block of `vectors` * `lanes` channels of the result for up to `most_pixels` neighbouring pixels at once."""

    sums: str
    lanes: int
    vectors: int
    most_pixels: int

    @property
    def channels(self) -> int:
        return self.lanes * self.vectors

    @property
    def type(self) -> str:
        """The vector type of one accumulator."""
        return vector_type(self.sums, self.lanes)

    @property
    def vector_bytes(self) -> int:
        return self.lanes * bits_of(self.sums) // 8

    def pixels(self, window: Window) -> int:
        """The number of pixels that needs the fewest tiles per row, and of those the smallest."""
        width = window.output[1]
        most = max(1, min(width, self.most_pixels, _BODY // min(window.kernel[1], MOST_TAPS)))
        return -(-width // -(-width // most))


@dataclass(frozen=True)
class Image:
    """The [images, height, width, channels] elements at `pointer`, surrounded by `pad_value`."""

    pointer: Value
    element: str
    shape: tuple[int, ...]
    before: tuple[int, int]
    pad_value: int | float

    @staticmethod
    def of(context: KernelContext, operand: SSAValue) -> Image:
        """The image that a root reads, seen through the padding folded into its region."""
        source, before, pad_value = unpadded(operand)
        tensor = context.tensor(source)
        return Image(tensor.pointer, memory_type(tensor.element), shape_of(source), before, pad_value)

    @property
    def element_bytes(self) -> int:
        return bits_of(self.element) // 8

    @property
    def pixel_bytes(self) -> int:
        return self.shape[3] * self.element_bytes


def load_lanes(f: Function, element: str, address: Value, lanes: int, mask: Value | None) -> Value:
    type = vector_type(element, lanes)
    return f.load(type, address) if mask is None else f.masked_load(type, address, mask)


def start_of(context: KernelContext, init: SSAValue) -> Value:
    """The scalar that the tensor accumulated into is filled with, in the type that is accumulated in."""
    tensor = context.tensor(init)
    if tensor.fill is None:
        raise UnsupportedError("no code can be generated", ["a window operation that accumulates into a given tensor"])
    if tensor.fill.type not in (F16, BF16):
        return tensor.fill
    # A literal stays one: the functions of tiles have no other way to know it.
    return context.f.const(accumulator_type(tensor.element), half_value(tensor.fill.text))
