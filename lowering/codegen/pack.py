"""`linalg.pack` and `linalg.unpack` at run time: whole tiles and the tiles at the edges, as boxes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..dialects.linalg import PackOp, UnpackOp
from .access import Tensor
from .arithmetic import i64
from .boxes import Box, Place, emit_boxes
from .emit import Function
from .extent import Extent, emit_extent, extent_of, product
from .kernel import KernelContext


@dataclass(frozen=True)
class _Dimension:
    """A dimension of `plain` elements in `tiles` tiles of `tile`: `whole` of them full, the last with `rest` elements.

    Where sizes are known only at run time, `rest` may turn out to be 0: then there is no such tile.
    """

    plain: Extent
    tiles: Extent
    tile: int
    whole: Extent
    rest: Extent

    @staticmethod
    def of(f: Function, plain: Extent, tiles: Extent, tile: int) -> _Dimension:
        if isinstance(plain, int):
            return _Dimension(plain, tiles, tile, plain // tile, plain % tile)
        if tile == 1:
            return _Dimension(plain, tiles, tile, plain, 0)
        size = emit_extent(f, plain)
        whole, rest = f.udiv(size, i64(tile)), f.urem(size, i64(tile))
        return _Dimension(plain, tiles, tile, extent_of(whole), extent_of(rest))

    @property
    def segments(self) -> list[tuple[Extent, Extent, Extent]]:
        """(first tile, tiles, elements of each): the whole tiles, then the one at the edge."""
        whole: tuple[Extent, Extent, Extent] = (0, self.whole, self.tile)
        return [whole, (self.whole, 1, self.rest)] if self.rest != 0 else [whole]

    @property
    def padding(self) -> Extent:
        """Elements of the last tile that lie beyond the plain tensor."""
        return self.tiles * self.tile - self.plain


@dataclass(frozen=True)
class _Tiling:
    """How the plain tensor of `dims` lies in the packed tensor of extents `packed`.

    `inner` are the tiled dimensions in the order of the packed tensor's inner dimensions; `outer` lists, for each
    outer dimension of the packed tensor, the plain dimension whose tiles it counts.
    """

    dims: tuple[_Dimension, ...]
    packed: tuple[Extent, ...]
    inner: tuple[int, ...]
    outer: tuple[int, ...]

    def boxes(self) -> Iterator[tuple[tuple[Extent, ...], Place, Place]]:
        """(extents, plain side, packed side) of boxes that cover the plain tensor."""
        plain_strides, packed_strides = _strides([dim.plain for dim in self.dims]), _strides(self.packed)
        loops_plain = (
            *(plain_strides[dim] * self.dims[dim].tile for dim in self.outer),
            *(plain_strides[dim] for dim in self.inner),
        )
        for choice in itertools.product(*(dim.segments for dim in self.dims)):
            sizes = (*(choice[dim][1] for dim in self.outer), *(choice[dim][2] for dim in self.inner))
            first = [choice[dim][0] for dim in self.outer]
            yield sizes, (_offset(first, loops_plain), loops_plain), (_offset(first, packed_strides), packed_strides)

    def paddings(self) -> Iterator[tuple[tuple[Extent, ...], Place]]:
        """(extents, packed side) of boxes that cover what lies beyond the plain tensor; corners more than once."""
        packed_strides = _strides(self.packed)
        for position, dim in enumerate(self.inner, start=len(self.outer)):
            padding, tile = self.dims[dim].padding, self.dims[dim].tile
            if padding == 0 or self.dims[dim].rest == 0:
                continue
            outer = self.outer.index(dim)
            sizes = list(self.packed)
            sizes[outer], sizes[position] = 1, padding
            last = (self.packed[outer] - 1) * packed_strides[outer]
            yield tuple(sizes), (last + (tile - padding) * packed_strides[position], packed_strides)


def emit_pack(context: KernelContext, pack: PackOp) -> int:
    """Rows to tiles. It needs no scratch memory."""
    source = context.tensor(pack.source)
    tiling = _tiling(context.f, pack, context.shape(pack.source), context.shape(pack.result))
    boxes: list[tuple[Tensor | None, Box]] = [
        (source, Box(sizes, packed, plain)) for sizes, plain, packed in tiling.boxes()
    ]
    if pack.padding_value is not None:
        filler = context.scalar(pack.padding_value)
        boxes += [(None, Box(sizes, packed, fill=filler)) for sizes, packed in tiling.paddings()]
    for target in context.results_of(pack)[0]:
        emit_boxes(context, target, boxes)
    return 0


def emit_unpack(context: KernelContext, unpack: UnpackOp) -> int:
    """Tiles to rows, without what lies beyond them. It needs no scratch memory."""
    source = context.tensor(unpack.source)
    tiling = _tiling(context.f, unpack, context.shape(unpack.result), context.shape(unpack.source))
    for target in context.results_of(unpack)[0]:
        emit_boxes(context, target, [(source, Box(sizes, plain, packed)) for sizes, plain, packed in tiling.boxes()])
    return 0


def _tiling(f: Function, operation: PackOp | UnpackOp, plain: Sequence[Extent], packed: Sequence[Extent]) -> _Tiling:
    tiles = dict(zip(operation.tiled_dims, operation.tile_sizes, strict=True))
    outer = operation.outer_permutation(len(plain))
    counts = dict(zip(outer, packed, strict=False))
    dims = tuple(_Dimension.of(f, size, counts[dim], tiles.get(dim, 1)) for dim, size in enumerate(plain))
    return _Tiling(dims, tuple(packed), tuple(tiles), outer)


def _offset(indices: Sequence[Extent], of: Sequence[Extent]) -> Extent:
    offset: Extent = 0
    for index, stride in zip(indices, of, strict=False):
        offset = offset + index * stride
    return offset


def _strides(shape: Sequence[Extent]) -> tuple[Extent, ...]:
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))
