"""From the sums of a sliding window in registers to the results of a region: see `register_output`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..target import Target
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .product import narrow
from .register_output import buffers_of, is_short, parameters_of
from .types import I64, Value, element_of, is_float
from .window_tile import Tile


@dataclass(frozen=True)
class PixelOutput:
    """Finishes tiles of `pixels` neighbouring pixels, of a block of `channels` in all, as elements of type `result`."""

    target: Target
    epilogue: Epilogue
    tile: Tile
    pixels: int
    channels: int
    result: str

    @staticmethod
    def of(
        target: Target, epilogue: Epilogue, tile: Tile, pixels: int, width: int, channels: int, result: str
    ) -> PixelOutput | None:
        """For rows of `width` pixels; None where it does not pay, or not work."""
        if not is_float(element_of(tile.type)) or tile.lanes == 1 or not is_short(target, epilogue):
            return None
        # Pixels that are finished twice must not read what finishing has overwritten.
        if epilogue.reads_rows and width % pixels:
            return None
        return PixelOutput(target, epilogue, tile, pixels, channels, result)

    @cached_property
    def _buffers(self) -> list[Value]:
        return buffers_of(self.epilogue)

    @property
    def parameters(self) -> Sequence[tuple[str, str]]:
        """What the function of a tile needs to be told for it."""
        return parameters_of(("image", "row", "column"), self._buffers)

    def arguments(self, image: Value, oh: Value, ow: Value) -> list[Value]:
        """What is passed for `parameters`."""
        return [image, oh, ow, *self._buffers]

    def emit(self, f: Function, sums: Sequence[Value], channel: Value) -> None:
        """Finishes the registers of a tile from `channel` on, pixel by pixel."""
        image, oh, ow = (Value(I64, f"%finish_{name}") for name in ("image", "row", "column"))
        lanes, vectors = self.tile.lanes, self.tile.vectors
        for vector in range(vectors):
            first, mask = f.add(channel, i64(vector * lanes)), None
            if self.channels % self.tile.channels:
                left = f.max(f.sub(i64(self.channels), first), i64(0))
                mask = f.tail_mask(f.min(left, i64(lanes)), lanes)
            for pixel in range(self.pixels):
                indices = [image, oh, f.add(ow, i64(pixel)), first]
                if len(self.epilogue.shape) == 5:  # channel and multiplier apart
                    indices.append(i64(0))
                value = narrow(f, self.target, sums[pixel * vectors + vector], self.result)
                self.epilogue.emit(f, indices, value, mask)
