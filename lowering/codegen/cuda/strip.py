"""How many pixels of how many channels a thread computes that slides a window: by a model of its cycles.

A thread takes `lanes` neighbouring channels, so that the 32 of a warp read 32 neighbouring vectors, and a rectangle of
`rows` x `columns` pixels of the result: with a 3x3 window at stride 1 an image vector then serves up to nine pixels,
and is loaded (rows + 2) (columns + 2) / (rows columns) times. Windows are bound by memory: in the time that the 8 bytes
of an f32 come and go, 10 a cycle and SM of an A100, the SM multiplies 50 times, of which a 3x3 window needs nine. What
costs is to read from the L2 again what a neighbour has read, which larger rectangles avoid, and to leave SMs without
threads, which smaller ones do.

    cycles = alone + max(issued, moved) / SMs

`alone` is what a thread takes with nobody around: a load's latency, and an instruction every two cycles. `issued` are
the instructions of all warps on the four schedulers of an SM, `moved` the bytes of all loads at what an L1 gets from
the L2 in a cycle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from ...targets.block_tile import SMS
from ..kernel import Grid
from ..types import bits_of, is_float
from ..window import Window
from .block import WARP

_VECTOR_BYTES = 16
_LATENCY = 600
_ISSUE = 2
_SCHEDULERS = 4
_L2_BYTES = 64
_INDEXING = 60
"""Instructions that find out where a thread is."""

_FINISHING = {True: 4, False: 16}
"""Instructions that a result takes to be finished and stored, of floats or of integers, which are requantised."""

_REGISTERS = 144
"""Of 255: the rest is for addresses, predicates, and loads ahead of their use."""

_UNROLLED = 64
"""Taps of a window that are written out; larger ones are loops."""

_BLOCK = 128

_WORD = 4
"""Bytes of a word."""


@dataclass(frozen=True)
class Strip:
    """What a thread computes: `rows` x `columns` pixels of `lanes` channels."""

    lanes: int
    columns: int = 1
    rows: int = 1

    def items(self, images: int, window: Window, channels: int) -> list[int]:
        """How many threads there are along [images, rows, columns, channels]."""
        height, width = window.output
        return [images, -(-height // self.rows), -(-width // self.columns), channels // self.lanes]

    def reach(self, window: Window) -> tuple[int, int]:
        """Rows and columns of the image that the pixels of a thread see."""
        pixels = self.rows, self.columns
        rows, columns = (len(offsets(window, axis, pixels[axis])) for axis in (0, 1))
        return rows, columns


def offsets(window: Window, axis: int, pixels: int) -> list[int]:
    """Where, from the first on, along `axis`, lies what `pixels` neighbouring windows see."""
    stride, dilation = window.strides[axis], window.dilations[axis]
    return sorted({pixel * stride + tap * dilation for pixel in range(pixels) for tap in range(window.kernel[axis])})


def is_unrolled(window: Window) -> bool:
    """Whether all taps of the window are written out."""
    return window.kernel[0] * window.kernel[1] <= _UNROLLED


def choose_strip(
    images: int, window: Window, channels: int, run: int, element: str, sums: str, *, dots: bool = False
) -> Strip:
    """The strip with the fewest cycles; `channels` of the result, of which `run` lie in vectors, are of image elements
    `element` and accumulated in `sums`. With `dots` words of bytes are multiplied four rows at once (`sliding_dot`)."""
    candidates = fitting_strips(window, run, element, sums)
    return min(
        candidates,
        key=lambda strip: _cycles(strip, images, window, channels, element, sums, dots and strip.lanes % _WORD == 0),
    )


def fitting_strips(window: Window, run: int, element: str, sums: str) -> Iterator[Strip]:
    """Those whose vectors lie in a run of `run` channels, and that fit in registers."""
    sizes = (1, 2, 4, 8) if is_unrolled(window) else (1,)
    for lanes, rows, columns in product((1, 2, 4, 8, 16), sizes, sizes):
        registers = lanes * (rows * columns + (window.kernel[0] * window.kernel[1] if is_unrolled(window) else 1))
        if run % lanes or lanes * bits_of(element) > 8 * _VECTOR_BYTES or rows > window.output[0]:
            continue
        if lanes > 1 and (columns > window.output[1] or registers * bits_of(sums) > 32 * _REGISTERS):
            continue
        if columns <= window.output[1]:
            yield Strip(lanes, columns, rows)


def _cycles(strip: Strip, images: int, window: Window, channels: int, element: str, sums: str, dots: bool) -> float:
    threads = 1
    for size in strip.items(images, window, channels):
        threads *= size
    rows, columns = strip.reach(window)
    loads, taps, pixels = rows * columns, window.kernel[0] * window.kernel[1], strip.rows * strip.columns
    vector_bytes = strip.lanes * bits_of(element) // 8
    unpacked = strip.lanes if bits_of(element) < 32 else 0
    products = taps * bits_of(sums) // 32
    if dots:  # two permutes for a word of four rows of a channel, one instruction for its products
        unpacked, products = strip.lanes // 2, -(-window.kernel[0] // _WORD) * window.kernel[1]
    instructions = _INDEXING + (loads + taps) * (1 + -(-vector_bytes // 4) + unpacked)
    instructions += strip.lanes * pixels * (products + _FINISHING[is_float(sums)])
    issued = -(-threads // WARP) * instructions / _SCHEDULERS
    moved = threads * loads * vector_bytes / _L2_BYTES
    return _LATENCY + _ISSUE * instructions + max(issued, moved) / SMS


def grid_of(threads: int) -> Grid:
    """How so many threads are launched that do not know of each other: in small blocks where that fills more SMs."""
    size = _BLOCK
    while size > WARP and threads < size * SMS:
        size //= 2
    return Grid(size, max(1, -(-threads // size)))
