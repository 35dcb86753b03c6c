"""Zeros where tiles reach over the edge of a tensor, as everything that reads tiles relies on."""

from __future__ import annotations

from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IndexType, IntegerAttr, IntegerType
from xdsl.dialects.linalg.ops import IndexOp, YieldOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ..dialects.encoding import LayoutAttr
from ..sizes import Size


def keep_padding_zero(body: Block, layout: LayoutAttr, sizes: tuple[Size, ...]) -> None:
    """Let the body of a generic over tiles yield zero beyond `sizes`, the extents of what the tiles cover."""
    terminator = body.last_op
    assert isinstance(terminator, YieldOp)
    outer = [dim.data for dim in layout.outer_dims_perm]
    within: SSAValue | None = None
    for position, (dim, tile) in enumerate(zip(layout.inner_dims_pos, layout.inner_tiles, strict=True)):
        size = sizes[dim.data]
        if tile.data == 1 or (isinstance(size, int) and size % tile.data == 0):
            continue
        tile_index = _add(body, IndexOp(outer.index(dim.data)))
        inner_index = _add(body, IndexOp(len(outer) + position))
        factor = _add(body, arith.ConstantOp(IntegerAttr(tile.data, IndexType())))
        start = _add(body, arith.MuliOp(tile_index, factor))
        index = _add(body, arith.AddiOp(start, inner_index))
        if isinstance(size, int):
            size = _add(body, arith.ConstantOp(IntegerAttr(size, IndexType())))
        inside = _add(body, arith.CmpiOp(index, size, "slt"))
        within = inside if within is None else _add(body, arith.AndIOp(within, inside))
    if within is not None:
        for index, value in enumerate(terminator.operands):
            zero = _add(body, arith.ConstantOp(zero_of(value.type)))
            terminator.operands[index] = _add(body, arith.SelectOp(within, value, zero))


def _add(body: Block, op: Operation) -> SSAValue:
    terminator = body.last_op
    assert terminator is not None
    body.insert_op_before(op, terminator)
    return op.results[0]


def zero_of(type: Attribute) -> FloatAttr | IntegerAttr:
    """The zero of a scalar type."""
    if isinstance(type, IntegerType | IndexType):
        return IntegerAttr(0, type)
    return FloatAttr(0.0, cast(AnyFloat, type))
