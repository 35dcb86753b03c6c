"""How many tiles cover what only a call knows the size of: the host computes it, regions are told."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute, BlockArgument, OpResult, SSAValue

from ..dialects.dispatch import RegionOp
from ..dialects.encoding import LayoutAttr
from ..ir import shape_of, tensor_type
from ..sizes import Size, as_value, ceil_div, constant_of, merged


def layout_of_type(type: Attribute) -> LayoutAttr | None:
    """The layout that a tensor type carries."""
    layout = type.encoding if isinstance(type, TensorType) else None
    return layout if isinstance(layout, LayoutAttr) else None


def packed_type(type: Attribute) -> TensorType[Attribute]:
    """The type of tiles: what a tensor with a layout looks like in memory. Types without one stay as they are."""
    tensor = tensor_type(type)
    layout = layout_of_type(tensor)
    if layout is None:
        return tensor
    counts = list(tensor.get_shape())
    for dim, tile in zip(layout.inner_dims_pos, layout.inner_tiles, strict=True):
        if counts[dim.data] != DYNAMIC_INDEX:
            counts[dim.data] = -(-counts[dim.data] // tile.data)
    shape = [*(counts[dim.data] for dim in layout.outer_dims_perm), *(tile.data for tile in layout.inner_tiles)]
    return TensorType(tensor.get_element_type(), shape)


def is_exact(type: Attribute) -> bool:
    """Whether the tiles of a tensor type with a layout certainly do not reach over its edges."""
    layout = layout_of_type(type)
    if layout is None:
        return True
    shape = shape_of(type)
    return all(
        tile.data == 1 or (shape[dim.data] != DYNAMIC_INDEX and shape[dim.data] % tile.data == 0)
        for dim, tile in zip(layout.inner_dims_pos, layout.inner_tiles, strict=True)
    )


def tile_counts(type: Attribute, sizes: Sequence[Size], before: RegionOp) -> list[SSAValue]:
    """An index for each `?` of `packed_type(type)`, given the extents of a tensor of `type`.

    The arithmetic goes in front of `before`.
    """
    layout = layout_of_type(type)
    shape = shape_of(type)
    if layout is None:
        return [as_value(size, before) for size, known in zip(sizes, shape, strict=True) if known == DYNAMIC_INDEX]
    tiles = {dim.data: tile.data for dim, tile in zip(layout.inner_dims_pos, layout.inner_tiles, strict=True)}
    return [
        as_value(ceil_div(sizes[dim.data], tiles.get(dim.data, 1), before), before)
        for dim in layout.outer_dims_perm
        if shape[dim.data] == DYNAMIC_INDEX
    ]


class RegionSizes:
    """The sizes that the operations in a region are told, and new ones for it."""

    def __init__(self, region: RegionOp) -> None:
        self.region = region
        self._inside: dict[SSAValue, SSAValue] = {}

    def pack_empties(self) -> None:
        """Give the empty tensors of the region with a layout the sizes of their tiles, not of what these cover.

        Their types stay as they are.
        """
        for op in self.region.body.block.ops:
            if isinstance(op, EmptyOp) and layout_of_type(op.tensor.type) is not None:
                outside = [self._outside(size) for size in merged(shape_of(op.tensor), op.dynamic_sizes)]
                op.operands = [self.inside(size) for size in tile_counts(op.tensor.type, outside, self.region)]

    def _outside(self, size: Size) -> Size:
        """What the host calls a size that an operation in the region is told."""
        if isinstance(size, BlockArgument):
            return self.region.inputs[size.index]
        number = constant_of(size)
        return size if number is None else number

    def inside(self, value: SSAValue) -> SSAValue:
        """What `value`, of the host, is called in the region; one more input if it has none."""
        block = self.region.body.block
        if value not in self._inside:
            if value in self.region.inputs:
                self._inside[value] = block.args[list(self.region.inputs).index(value)]
            else:
                argument = block.insert_arg(value.type, len(block.args))
                self.region.set_inputs([*self.region.inputs, value])
                self._inside[value] = argument
        return self._inside[value]

    def drop_unused(self) -> None:
        """Erase the scalar inputs that nothing in the region uses any more."""
        block = self.region.body.block
        kept: list[SSAValue] = []
        for argument, value in zip(list(block.args), list(self.region.inputs), strict=True):
            if argument.uses or isinstance(argument.type, TensorType):
                kept.append(value)
            else:
                block.erase_arg(argument)
        self.region.set_inputs(kept)
        self._inside.clear()


def logical_sizes(value: SSAValue) -> tuple[Size, ...]:
    """The extents of what a generic writes, as its region calls them; before empties are packed."""
    empty = value.op if isinstance(value, OpResult) else None
    return merged(shape_of(value), empty.dynamic_sizes) if isinstance(empty, EmptyOp) else shape_of(value)
