"""Whether a convolution is computed by Winograd's algorithm, with which tiles and in which blocks: a model of cycles.

Direct convolution multiplies 9 times per result and channel, F(m, 3) (m+2)^2 / m^2 times: 4 for m = 2, 2.25 for m = 4.
Its price are the transforms: of pixels once per block, of the filter once per block and panel (it is kept as for direct
convolution and transformed while it passes through the cache: transformed weights would be 16/9 or 4 times as many, to
store and, where rows are few, to read from memory), of results once. All are counted in instructions per vector, two a
cycle, a store taking both. Tiles that reach over the edge are computed in full.

Errors: the channels are summed in parts, a chain of sums each, and the parts added up. From 64 channels in parts of 32
on m = 4 stays within twice direct convolution's error, so it is not taken for fewer (`tests/lowering/codegen/
test_winograd.py` measures both). Of bf16 the transformed elements are rounded once more, which with m = 2 leaves the
error within twice that of rounding pixels and weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from ..target import Target
from ..targets.register_tile import tallest
from .panel import row_stride
from .types import F32, bits_of
from .window import Window
from .winograd_transform import TAPS, Transforms, cost_of_rows

_FEWEST_CHANNELS, _MOST_CHANNELS = 32, 64
"""Channels of a part: a quarter of all within these bounds. Few are exact, many a little faster: the sums are read and
written once per part. The filter is transformed in parts too, and 36 x 64 x 32 f32 are 288 KiB."""

_MOST_NARROW_CHANNELS = 128
"""Channels of a part for bf16, whose sums are much more exact than what is summed."""

_LEAST_CHANNELS = {2: 16, 4: 64}
"""From how many channels on F(m, 3) is exact enough, and its transforms do not outweigh what it saves."""

_MOST_NARROW_OUTPUTS = 2
"""m for bf16: the maps of m = 4 would make ten times as much of its rounding as of the products."""

_BLOCK_BYTES = 768 * 1024
"""Transformed pixels and sums of a block: what an L2 of 1 MiB holds beside a part of the filter."""

_DIRECT_EFFICIENCY = 0.92
_CALL = 12
"""Cycles of a call of the micro-kernel beside its multiply-adds: call, loop and storing its sums."""

_WORTH = 0.9
"""Cycles, of direct convolution's, below which another algorithm is chosen."""


@dataclass(frozen=True)
class WinogradPlan:
    """F(outputs, 3) over `tiles` tiles in blocks of `rows`, m0 a register tile; `channels` summed in a chain."""

    transforms: Transforms
    tiles: int
    rows: int
    m0: int
    channels: int
    element_bytes: int = 4
    """Of pixels and filter, as they lie in memory and, transformed, in scratch."""

    @property
    def blocks(self) -> int:
        return -(-self.tiles // self.rows)

    @property
    def products(self) -> int:
        """Products per tile and channel."""
        return self.transforms.points**2


def winograd_plan(
    target: Target, window: Window, images: int, channels: int, panels: int, n0: int, m0: int, k0: int = 1
) -> WinogradPlan | None:
    """The cheapest plan for a convolution with a filter in `panels` of n0 columns, None if direct is cheaper.

    `m0` is the register tile's height of direct convolution. Elements are f32, or with k0 = 2 bf16, of which one
    instruction adds up pairs; transformed they are rounded once more, so that only m = 2 is exact enough.
    """
    lanes = target.vector_bits // bits_of(F32)
    if (window.kernel, window.strides, window.dilations) != ((TAPS, TAPS), (1, 1), (1, 1)):
        return None
    if not channels or channels % (lanes * k0) or n0 % lanes or not target.fma:
        return None
    vectors = n0 // lanes
    most = tallest(target)[vectors]
    pixels = images * prod(window.output)
    direct = _product(-(-pixels // m0), m0, vectors, TAPS**2 * channels // k0, panels) / _DIRECT_EFFICIENCY
    best, least = None, _WORTH * direct
    for outputs, fewest in _LEAST_CHANNELS.items():
        part = _part(channels, k0)
        if channels < fewest or (k0 > 1 and outputs > _MOST_NARROW_OUTPUTS):
            continue
        transforms = Transforms.of(outputs)
        tiles = images * prod(-(-size // outputs) for size in window.output)
        for rows, height in _blocks(tiles, most, transforms.points**2 * (channels // k0 + n0) * bits_of(F32) // 8):
            plan = WinogradPlan(transforms, tiles, rows, height, part, 4 // k0)
            cycles = _cycles(plan, channels, panels, vectors, lanes, k0)
            if cycles < least:
                best, least = plan, cycles
    return best


def _part(channels: int, k0: int) -> int:
    """Channels of a part, a divisor of all."""
    most = min(max(channels // 4, _FEWEST_CHANNELS), _MOST_CHANNELS, channels)
    if k0 > 1:
        most = min(_MOST_NARROW_CHANNELS, channels)
    return next(part for part in range(most, 0, -1) if channels % part == 0)


def _blocks(tiles: int, most: int, tile_bytes: int) -> Iterator[tuple[int, int]]:
    """(rows of a block, rows of a register tile) that stay in the cache."""
    for height in range(1, min(most, tiles) + 1):
        fewest = -(-tiles // height)
        for in_block in range(1, fewest + 1):
            rows = in_block * height
            if in_block > 1 and rows * tile_bytes > _BLOCK_BYTES:
                break
            yield rows, height


def _product(row_tiles: int, m0: int, vectors: int, steps: int, panels: int) -> float:
    """Cycles of multiplying: as `register_tile` counts them."""
    return panels * row_tiles * steps * (max(m0 * vectors / 2, (m0 + vectors) / 2, 4) + 0.5)


def _cycles(plan: WinogradPlan, channels: int, panels: int, vectors: int, lanes: int, k0: int) -> float:
    transforms = plan.transforms
    points, outputs = transforms.points, transforms.outputs
    row_tiles = plan.blocks * plan.rows // plan.m0
    calls = plan.products * panels * row_tiles * (channels // plan.channels)
    multiplying = plan.products * _product(row_tiles, plan.m0, vectors, channels // k0, panels) + calls * (
        _CALL + plan.m0 * vectors
    )
    # Instructions per vector: arithmetic of both passes, loads, stores twice, and half of the values kept on the stack.
    image = 2 * points * cost_of_rows(transforms.image) + 5 * points**2
    filter = (TAPS + points) * cost_of_rows(transforms.filter) + TAPS**2 + 2 * points**2
    if k0 > 1:  # widened as they are loaded, and two at once rounded and stored
        image, filter = image + points**2, filter + TAPS**2 - points**2 // 2
    result = (points + outputs) * 3 * outputs + 2 * points**2 + 2 * outputs**2
    transformed = plan.blocks * plan.rows * (channels // lanes) * image
    transformed += plan.blocks * panels * vectors * channels * filter
    transformed += plan.tiles * panels * vectors * result
    units = plan.blocks * panels
    return (multiplying + transformed / 2) * (2 * -(-units // 2) / units)


@dataclass(frozen=True)
class Layout:
    """Where a block keeps what: offsets in scratch and strides, in bytes.

    Pixels are [points^2, rows, channels], the filter [points^2, plan.channels, n0], sums [points^2, rows, n0], results
    [outputs, outputs, n0], a patch [points, points, channels]. Strides that powers of two would let meet in one cache
    set are odd numbers of cache lines.
    """

    plan: WinogradPlan
    channels: int
    n0: int

    @property
    def pixel_row(self) -> int:
        return row_stride(self.plan.element_bytes * self.channels)

    @property
    def pixels_point(self) -> int:
        return row_stride(self.plan.rows * self.pixel_row)

    @property
    def filter_point(self) -> int:
        return row_stride(self.plan.element_bytes * self.plan.channels * self.n0)

    @property
    def sums_row(self) -> int:
        return 4 * self.n0

    @property
    def sums_point(self) -> int:
        return row_stride(self.plan.rows * self.sums_row)

    @property
    def patch_row(self) -> int:
        return self.plan.element_bytes * self.plan.transforms.points * self.channels

    @property
    def filter_at(self) -> int:
        return self.plan.products * self.pixels_point

    @property
    def sums_at(self) -> int:
        return self.filter_at + self.plan.products * self.filter_point

    @property
    def results_at(self) -> int:
        return self.sums_at + self.plan.products * self.sums_point

    @property
    def patch_at(self) -> int:
        return self.results_at + -(-4 * self.plan.transforms.outputs**2 * self.n0 // 64) * 64

    @property
    def bytes(self) -> int:
        return self.patch_at + self.plan.transforms.points * self.patch_row
