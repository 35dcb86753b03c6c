"""Windows combined element by element: one row of taps at a time, every lane its own channel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Self

from ..target import Target
from .emit import Function
from .product import widen
from .types import Value, bits_of, splat_literal
from .window_tile import Image, Row, Tile, load_lanes

_MOST_PIXELS = 8


@dataclass(frozen=True)
class Lanewise(ABC):
    """Image elements widened to the type of `start`, in which they are combined.

    With `broadcast` the lanes of a vector all read one channel of the image.
    """

    target: Target
    tile: Tile
    image: Image
    initial: Value
    broadcast: bool = False

    @property
    def operand(self) -> Value | None:
        return None

    def reading(self, operand: Value) -> Self:
        """Nothing but the image is read."""
        return self

    def start(self, f: Function) -> list[Value]:
        return [f.splat(self.initial, self.tile.lanes)] * self.tile.vectors

    def taps(
        self, f: Function, kh: Value, kw: Value, count: int, channel: Value, mask: Value | None
    ) -> Sequence[Sequence[Value | None]]:
        return [[None] * self.tile.vectors] * count

    @property
    @abstractmethod
    def ignores_padding(self) -> bool:
        """Whether the padding of the image leaves every accumulator as it is."""
        ...

    @property
    def absent(self) -> list[Value] | None:
        if self.ignores_padding:
            return None
        padding = Value(self.tile.type, splat_literal(self.tile.type, self.image.pad_value))
        return [padding] * (1 if self.broadcast else self.tile.vectors)

    def column(self, f: Function, row: Row, mask: Value | None) -> list[Value]:
        loaded = self._load(f, row.address, mask)
        if row.there is None or self.absent is None:
            return loaded
        # As lanes: of a condition that all share LLVM would make a branch.
        there = f.splat(row.there, self.tile.lanes)
        return [f.select(there, value, padding) for value, padding in zip(loaded, self.absent, strict=True)]

    def _load(self, f: Function, address: Value, mask: Value | None) -> list[Value]:
        if self.broadcast:
            return [f.splat(self.widen(f, f.load(self.image.element, address)), self.tile.lanes)]
        size = self.tile.lanes * self.image.element_bytes
        loads = [
            load_lanes(f, self.image.element, f.gep(address, vector * size), self.tile.lanes, mask)
            for vector in range(self.tile.vectors)
        ]
        return [self.widen(f, load) for load in loads]

    def widen(self, f: Function, value: Value) -> Value:
        return widen(f, self.target, value, self.initial.type)

    @abstractmethod
    def step(self, f: Function, sums: Value, image: Value, tap: Value | None) -> Value: ...


def lanewise_tile(target: Target, sums: str, channels: int, multiplier: int, width: int) -> Tile:
    """Full vectors, masked where need be; smaller ones without masks or to stay within one image channel.

    Several vectors make independent accumulators of rows of few pixels, and longer runs of memory of all: pixels whose
    distance is a multiple of 1 KiB fall into so few cache sets that a line should be used whole, with its neighbour.
    Half of the registers are accumulators.
    """
    full, total = target.vector_bits // bits_of(sums), channels * multiplier
    if multiplier > 1:
        return Tile(sums, full if channels == 1 and target.avx512 else gcd(full, multiplier), 1, _MOST_PIXELS)
    lanes = full if target.avx512 else gcd(full, total)
    pixels, accumulators = min(width, _MOST_PIXELS), target.vector_registers // 2
    fitting = (v for v in (4, 2) if pixels * v <= accumulators and total % (v * lanes) == 0)
    return Tile(sums, lanes, next(fitting, 1), _MOST_PIXELS)
