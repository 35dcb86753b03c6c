"""The constants that an image reads, on its GPU."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from ..artifact import ALIGNMENT, SLACK, Image
from ..device import Constants
from .driver import Gpu

_CLOSE = 4096
"""Bytes between two constants that are not worth leaving out."""


def used_ranges(image: Image) -> list[tuple[int, int]]:
    """Where in the artifact's constants the steps of `image` read, as (begin, end) in order and apart.

    Constants of other devices of the program, and of its other variants, are left out.
    """
    pieces = sorted(
        (buffer.offset, buffer.offset + buffer.size)
        for segment in image.segments
        for step in segment.steps
        for buffer in step.buffers
        if buffer.space == "constants"
    )
    ranges: list[tuple[int, int]] = []
    for begin, end in pieces:
        if ranges and begin <= ranges[-1][1] + _CLOSE:
            ranges[-1] = (ranges[-1][0], max(end, ranges[-1][1]))
        else:
            ranges.append((begin, end))
    return ranges


class UploadedConstants:
    """The ranges behind each other in one allocation, uploaded once, each followed by SLACK readable bytes."""

    def __init__(self, gpu: Gpu, image: Image, constants: Constants, take: Callable[[int], int]) -> None:
        """take: allocates so many bytes."""
        ranges = used_ranges(image)
        host = np.frombuffer(constants, np.uint8) if len(constants) else np.zeros(0, np.uint8)
        self._begins = [begin for begin, _ in ranges]
        self._places: list[int] = []
        size = 0
        for begin, end in ranges:
            size += begin % ALIGNMENT  # constants stay as aligned as they are in the artifact
            self._places.append(size)
            size += -(-(end - begin + SLACK) // ALIGNMENT) * ALIGNMENT
            size = -(-size // ALIGNMENT) * ALIGNMENT
        self._base = take(size) if size else 0
        for (begin, end), place in zip(ranges, self._places, strict=True):
            if end > begin:
                gpu.upload(self._base + place, host[begin:end].ctypes.data, end - begin)

    def address(self, offset: int) -> int:
        """Where the constant at `offset` of the artifact's constants is."""
        number = bisect_right(self._begins, offset) - 1
        return self._base + self._places[number] + offset - self._begins[number]
