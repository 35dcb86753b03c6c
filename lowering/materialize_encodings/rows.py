"""Contractions that read their left side in rows: `tiled.matmul` and `tiled.conv_2d`."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.dialects.tensor import ExpandShapeOp, PadOp
from xdsl.ir import BlockArgument, Operation, SSAValue
from xdsl.rewriter import Rewriter

from ..dialects import tiled
from ..dialects.dispatch import RegionOp
from ..dialects.encoding import LHS, MULTIPLY_TYPE, RHS
from ..dialects.linalg import Conv2DNhwcFhwcOp, PlainContraction
from ..ir import erase, erase_dead, padding_value, shape_of
from ..set_encodings import encoding_of
from ..sizes import Sizes
from ..target import Target, Tile
from ..tiles import chosen_tile
from .correction import subtract_offset
from .counts import RegionSizes, logical_sizes, packed_type
from .relayout import has_layout


def tile_right_side(region: RegionOp, root: PlainContraction, target: Target, sizes: Sizes) -> None:
    """Replace `root` by its tiled form; the padding of a convolution and the initial zeros go into it.

    Where the target wants the right side in rows as well, `root` stays.
    """
    matrix = _right_side(root)
    if matrix is None or not has_layout(matrix):
        return
    # That it has a layout is what being constant may have led to; otherwise the tile is the same.
    tile = chosen_tile(target, encoding_of(root, constant_rhs=True))
    assert tile is not None
    for argument in region.body.block.args:
        if argument is not matrix and has_layout(argument):
            Rewriter.replace_value_with_new_type(argument, packed_type(argument.type))
    rhs_map = root.get_indexing_maps().data[RHS].data
    argument = cast(BlockArgument, Rewriter.replace_value_with_new_type(matrix, packed_type(matrix.type)))
    if isinstance(root, Conv2DNhwcFhwcOp):
        new = _tiled_convolution(root, argument, tile)
    else:
        columns = logical_sizes(cast(Operation, root.init.owner).operands[1])[-1]
        known = columns if isinstance(columns, SSAValue) else None
        new = tiled.MatmulOp(
            root.inputs[LHS],
            argument,
            root.result.type,
            tile.m0,
            tile.lhs_offset,
            known,
            root.attributes.get(MULTIPLY_TYPE),
        )
    block = region.body.block
    block.insert_op_before(new, root)
    root.result.replace_all_uses_with(new.result)
    erase(root)
    erase_dead(block)
    RegionSizes(region).drop_unused()
    if tile.lhs_offset:
        subtract_offset(region, new, argument, rhs_map, tile.lhs_offset, sizes)


def _right_side(root: PlainContraction) -> BlockArgument | None:
    """The argument that holds the right side: a convolution's filter, once encoded, is expanded from it."""
    value = root.inputs[RHS]
    if isinstance(value.owner, ExpandShapeOp):
        value = value.owner.src
    return value if isinstance(value, BlockArgument) else None


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
        multiply_type=root.attributes.get(MULTIPLY_TYPE),
    )


def _absorbed(op: PadOp) -> tuple[SSAValue, tuple[int, ...], IntegerAttr | FloatAttr | None]:
    """(what is padded, (top, bottom, left, right), the constant it is padded with: None for zero)."""
    (_, top, left, _), (_, bottom, right, _) = op.static_low.get_values(), op.static_high.get_values()
    value = padding_value(op)
    assert value is not None
    return op.source, tuple(int(side) for side in (top, bottom, left, right)), value if value.value.data else None
