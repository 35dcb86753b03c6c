"""Contractions that read their left side in rows: `tiled.matmul` and `tiled.conv_2d`."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.dialects.tensor import PadOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.rewriter import Rewriter

from ..contraction import Contraction
from ..dialects import tiled
from ..dialects.dispatch import RegionOp
from ..dialects.encoding import LHS, RHS
from ..dialects.linalg import Conv2DNhwcFhwcOp, PlainContraction
from ..ir import erase, erase_dead, padding_value, shape_of
from ..set_encodings import encoding_of
from ..target import Target, Tile
from .correction import subtract_offset
from .relayout import packed_type


def tile_right_side(region: RegionOp, root: PlainContraction, target: Target) -> None:
    """Replace `root` by its tiled form; the padding of a convolution and the initial zeros go into it."""
    tile = target.tile(Contraction.of(encoding_of(root)))
    matrix = _matrix(root)
    rhs_map = root.get_indexing_maps().data[RHS].data
    argument = cast(BlockArgument, Rewriter.replace_value_with_new_type(matrix, packed_type(matrix.type)))
    if isinstance(root, Conv2DNhwcFhwcOp):
        new = _tiled_convolution(root, argument, tile)
    else:
        new = tiled.MatmulOp(root.inputs[LHS], argument, root.result.type, tile.m0, tile.lhs_offset)
    block = region.body.block
    block.insert_op_before(new, root)
    root.result.replace_all_uses_with(new.result)
    erase(root)
    erase_dead(block)
    if tile.lhs_offset:
        subtract_offset(region, new, argument, rhs_map, tile.lhs_offset)


def _matrix(root: PlainContraction) -> BlockArgument:
    """The argument that holds the right side: a convolution's filter is expanded from it."""
    value = root.inputs[RHS]
    if isinstance(root, Conv2DNhwcFhwcOp):
        value = cast(Operation, value.owner).operands[0]
    assert isinstance(value, BlockArgument)
    return value


def _tiled_convolution(root: Conv2DNhwcFhwcOp, filter: SSAValue, tile: Tile) -> tiled.Conv2DOp:
    image, pad, pad_value = root.image, (0, 0, 0, 0), None
    if isinstance(image.owner, PadOp):
        image, pad, pad_value = _absorbed(image.owner)
    return tiled.Conv2DOp(
        image,
        filter,
        root.result.type,
        kernel=shape_of(root.window)[1:3],
        strides=root.stride_values,
        dilations=root.dilation_values,
        pad=pad,
        rows=tile.m0,
        pad_value=pad_value,
        lhs_offset=tile.lhs_offset,
    )


def _absorbed(op: PadOp) -> tuple[SSAValue, tuple[int, ...], IntegerAttr | FloatAttr | None]:
    """(what is padded, (top, bottom, left, right), the constant it is padded with: None for zero)."""
    (_, top, left, _), (_, bottom, right, _) = op.static_low.get_values(), op.static_high.get_values()
    value = padding_value(op)
    assert value is not None
    return op.source, tuple(int(side) for side in (top, bottom, left, right)), value if value.value.data else None
