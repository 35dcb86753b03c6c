"""`linalg.pack` and `linalg.unpack` at run time: whole tiles and the tiles at the edges, as boxes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.arith import ConstantOp
from xdsl.ir import SSAValue

from ...runtime.errors import UnsupportedError
from ..dialects.linalg import PackOp, UnpackOp
from ..ir import shape_of
from .access import Tensor
from .body import constant
from .boxes import Box, emit_boxes
from .kernel import KernelContext
from .types import Value


@dataclass(frozen=True)
class _Tiling:
    """How the plain tensor of `plain` extents lies in the packed tensor of extents `packed`.

    `tiles` maps tiled dimensions to the size of a tile, in the order of the packed tensor's inner dimensions; `outer`
    lists, for each outer dimension of the packed tensor, the plain dimension whose tiles it counts.
    """

    plain: tuple[int, ...]
    packed: tuple[int, ...]
    tiles: dict[int, int]
    outer: tuple[int, ...]

    def segments(self, dim: int) -> list[tuple[int, int, int]]:
        """(first tile, tiles, elements of each): the whole tiles of a dimension, then the one at its edge."""
        tile = self.tiles.get(dim, 1)
        whole, rest = divmod(self.plain[dim], tile)
        return [(0, whole, tile), (whole, 1, rest)] if rest else [(0, whole, tile)]

    def boxes(self) -> Iterator[tuple[tuple[int, ...], tuple[int, tuple[int, ...]], tuple[int, tuple[int, ...]]]]:
        """(extents, plain side, packed side) of boxes that cover the plain tensor."""
        plain_strides, packed_strides = _strides(self.plain), _strides(self.packed)
        inner = list(self.tiles)
        loops_plain = (
            *(plain_strides[dim] * self.tiles.get(dim, 1) for dim in self.outer),
            *(plain_strides[dim] for dim in inner),
        )
        for choice in itertools.product(*(self.segments(dim) for dim in range(len(self.plain)))):
            sizes = (*(choice[dim][1] for dim in self.outer), *(choice[dim][2] for dim in inner))
            first = [choice[dim][0] for dim in self.outer]
            plain_offset = sum(i * s for i, s in zip(first, loops_plain, strict=False))
            packed_offset = sum(i * s for i, s in zip(first, packed_strides, strict=False))
            yield sizes, (plain_offset, loops_plain), (packed_offset, packed_strides)

    def padding(self) -> Iterator[tuple[tuple[int, ...], tuple[int, tuple[int, ...]]]]:
        """(extents, packed side) of boxes that cover what lies beyond the plain tensor; corners more than once."""
        strides = _strides(self.packed)
        for position, (dim, tile) in enumerate(self.tiles.items()):
            rest = self.plain[dim] % tile
            if not rest:
                continue
            outer, inner = self.outer.index(dim), len(self.outer) + position
            sizes = list(self.packed)
            sizes[outer], sizes[inner] = 1, tile - rest
            yield tuple(sizes), ((self.packed[outer] - 1) * strides[outer] + rest * strides[inner], strides)


def emit_pack(context: KernelContext, pack: PackOp) -> int:
    """Rows to tiles. It needs no scratch memory."""
    source, target = context.tensor(pack.source), _output(context, pack.result)
    tiling = _tiling(pack, shape_of(pack.source), shape_of(pack.result))
    boxes: list[tuple[Tensor | None, Box]] = [
        (source, Box(sizes, packed, plain)) for sizes, plain, packed in tiling.boxes()
    ]
    for sizes, packed in tiling.padding():
        boxes.append((None, Box(sizes, packed, fill=_padding_value(context, pack))))
    emit_boxes(context, target, boxes)
    return 0


def emit_unpack(context: KernelContext, unpack: UnpackOp) -> int:
    """Tiles to rows, without what lies beyond them. It needs no scratch memory."""
    source, target = context.tensor(unpack.source), _output(context, unpack.result)
    tiling = _tiling(unpack, shape_of(unpack.result), shape_of(unpack.source))
    emit_boxes(context, target, [(source, Box(sizes, plain, packed)) for sizes, plain, packed in tiling.boxes()])
    return 0


def _tiling(operation: PackOp | UnpackOp, plain: Sequence[int], packed: Sequence[int]) -> _Tiling:
    tiles = dict(zip(operation.tiled_dims, operation.tile_sizes, strict=True))
    return _Tiling(tuple(plain), tuple(packed), tiles, operation.outer_permutation(len(plain)))


def _padding_value(context: KernelContext, pack: PackOp) -> Value:
    value: Any = pack.padding_value
    if value is None or not isinstance(value.owner, ConstantOp):
        raise UnsupportedError("no code can be generated", ["linalg.pack with a padding value that is not constant"])
    return constant(context.f, value.owner)


def _output(context: KernelContext, value: SSAValue) -> Tensor:
    outputs = context.results_of(value.owner)[0]  # pyright: ignore[reportArgumentType]
    if len(outputs) != 1:
        raise UnsupportedError("no code can be generated", ["a packed tensor that is yielded more than once"])
    return outputs[0]


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(itertools.accumulate(reversed((*shape[1:], 1)), lambda a, b: a * b))[::-1]
