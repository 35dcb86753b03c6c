"""Tensors in tiles: packing, unpacking, `linalg.mmt4d` and element-wise computation over tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.linalg.ops import YieldOp as LinalgYieldOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from ..dialects.dispatch import RegionOp, YieldOp
from ..dialects.encoding import LayoutAttr, SetOp, UnsetOp
from ..dialects.linalg import BatchMatmulOp, BatchMmt4dOp, Mmt4dOp, PackOp, PlainContraction, UnpackOp
from ..ir import erase, identity_generic, tensor_type
from ..sizes import Size, Sizes
from .counts import RegionSizes, is_exact, layout_of_type, logical_sizes, packed_type, tile_counts
from .edges import keep_padding_zero, zero_of


def has_layout(value: SSAValue) -> bool:
    return layout_of_type(value.type) is not None


def pack(op: SetOp, sizes: Sizes) -> None:
    """Replace a set by a region that packs. The padding is zero: it adds nothing to any sum of products."""
    layout = cast(LayoutAttr, tensor_type(op.result).encoding)
    type = packed_type(op.result.type)
    region = _region(op, op.source, type)
    counts = tile_counts(op.result.type, sizes.of(op.source), region)
    region.operands = [op.source, *dict.fromkeys(counts), *counts]
    block = region.body.block
    known = {count: block.insert_arg(count.type, len(block.args)) for count in dict.fromkeys(counts)}
    empty = EmptyOp([known[count] for count in counts], type)
    block.add_op(empty)
    if not layout.inner_tiles:
        _transpose(block, empty, layout)
    else:
        padding = None
        if not is_exact(op.result.type):
            padding = arith.ConstantOp(zero_of(tensor_type(op.source).get_element_type()))
            block.add_op(padding)
        packed = PackOp(block.args[0], empty, padding_value=padding, **_parts(layout))
        block.add_ops([packed, YieldOp(packed.result)])
    op.result.replace_all_uses_with(region.outputs[0])
    erase(op)


def unpack(op: UnsetOp, sizes: Sizes) -> None:
    """Replace an unset by a region that unpacks, before the layout of its source turns into a shape."""
    layout = cast(LayoutAttr, tensor_type(op.source).encoding)
    dims = sizes.dynamic(op.result)
    source = Rewriter.replace_value_with_new_type(op.source, packed_type(op.source.type))
    region = _region(op, source, op.result.type)
    region.operands = [source, *dict.fromkeys(dims), *dims]
    block = region.body.block
    known = {size: block.insert_arg(size.type, len(block.args)) for size in dict.fromkeys(dims)}
    empty = EmptyOp([known[size] for size in dims], tensor_type(op.result))
    unpacked = UnpackOp(block.args[0], empty, **_parts(layout))
    block.add_ops([empty, unpacked, YieldOp(unpacked.result)])
    op.result.replace_all_uses_with(region.outputs[0])
    erase(op)


def tile_matmul(region: RegionOp, root: PlainContraction, sizes: Sizes) -> None:
    """A contraction all of whose operands are tiled: `linalg.mmt4d`, its consumers over tiles of the result."""
    block = region.body.block
    mmt4d = BatchMmt4dOp if isinstance(root, BatchMatmulOp) else Mmt4dOp
    generic = next((op for op in block.ops if isinstance(op, GenericOp)), None)
    if generic is None and _needs_zero_padding(region):
        generic = _read_by_generic(region, root)
    tiled = _TiledGeneric.of(generic) if generic is not None else None
    _pack_types(region, sizes)
    block.insert_op_before(new := mmt4d(root.inputs[0], root.inputs[1], root.outputs[0]), root)
    root.result.replace_all_uses_with(new.result)
    erase(root)
    if tiled is not None:
        tiled.exchange(_needs_zero_padding(region))
    RegionSizes(region).drop_unused()


def tile_elementwise(region: RegionOp, sizes: Sizes) -> None:
    """An element-wise region over tensors in tiles."""
    tiled = _TiledGeneric.of(next(op for op in region.body.block.ops if isinstance(op, GenericOp)))
    _pack_types(region, sizes)
    tiled.exchange(_needs_zero_padding(region))
    RegionSizes(region).drop_unused()


def _needs_zero_padding(region: RegionOp) -> bool:
    """Whether a result goes, in its tiles, to a region that takes their padding for zero: to any but an unpack."""
    return any(
        not any(isinstance(inner, UnpackOp) for region in use.operation.regions for inner in region.block.ops)
        for result in region.outputs
        for use in result.uses
    )


def _read_by_generic(region: RegionOp, root: PlainContraction) -> GenericOp:
    """A generic behind `root` that yields its result unchanged, for the results of the region."""
    init = cast(Operation, cast(Operation, root.init.owner).operands[1].owner)
    empty, generic = identity_generic(root.result, list(init.operands))
    region.body.block.insert_ops_before([empty, generic], region.yielded)
    root.result.replace_uses_with_if(generic.res[0], lambda use: use.operation is not generic)
    return generic


def _pack_types(region: RegionOp, sizes: Sizes) -> None:
    """Give all tensors with a layout, the results of the region among them, the type of their tiles."""
    block = region.body.block
    dims = [
        count
        for result, yielded in zip(region.outputs, region.yielded.values, strict=True)
        for count in tile_counts(yielded.type, sizes.of(result), region)  # an unset has packed the type of the result
    ]
    RegionSizes(region).pack_empties()
    inputs = list(region.inputs)
    for value in [*block.args, *(result for op in block.ops for result in op.results), *region.outputs]:
        if has_layout(value):
            Rewriter.replace_value_with_new_type(value, packed_type(value.type))
    region.operands = [*inputs, *dims]


@dataclass
class _TiledGeneric:
    """A generic once it runs over tiles: its loops are (outer dimensions..., inner dimensions...)."""

    op: GenericOp
    maps: list[AffineMap]
    loops: int
    layout: LayoutAttr
    sizes: tuple[Size, ...]
    """The extents of what the tiles cover, as the region calls them."""
    exact: bool

    @staticmethod
    def of(op: GenericOp) -> _TiledGeneric:
        """To be called while the types still have their layouts."""
        layout = cast(LayoutAttr, tensor_type(op.res[0]).encoding)
        outer = {dim.data: loop for loop, dim in enumerate(layout.outer_dims_perm)}
        inner = {dim.data: loop for loop, dim in enumerate(layout.inner_dims_pos, start=len(outer))}
        loops = len(outer) + len(inner)
        maps = []
        for value, map in zip(op.operands, op.indexing_maps, strict=True):
            results = map.data.results
            own = tensor_type(value).encoding
            if not isinstance(own, LayoutAttr):
                maps.append(AffineMap(loops, 0, tuple(_loop(expr, outer) for expr in results)))
                continue
            dims = [_loop(results[dim.data], outer) for dim in own.outer_dims_perm]
            dims += [_loop(results[dim.data], inner) for dim in own.inner_dims_pos]
            maps.append(AffineMap(loops, 0, tuple(dims)))
        return _TiledGeneric(op, maps, loops, layout, logical_sizes(op.outputs[0]), is_exact(op.res[0].type))

    def exchange(self, zero_padding: bool) -> None:
        """Put the generic over tiles in place; with `zero_padding` it yields zero where they reach over the edge."""
        op = self.op
        if zero_padding and not self.exact:
            keep_padding_zero(op.body.block, self.layout, self.sizes)
        parallel = [IteratorTypeAttr.parallel()] * self.loops
        maps = [AffineMapAttr(map) for map in self.maps]
        types = [output.type for output in op.outputs]
        new = GenericOp(list(op.inputs), list(op.outputs), op.detach_region(op.body), maps, parallel, types)
        assert op.parent is not None
        op.parent.insert_op_before(new, op)
        for old, result in zip(op.res, new.res, strict=True):
            old.replace_all_uses_with(result)
        erase(op)


def _loop(expr: AffineExpr, loops: dict[int, int]) -> AffineExpr:
    return AffineDimExpr(loops[expr.position]) if isinstance(expr, AffineDimExpr) else expr


def _transpose(block: Block, empty: EmptyOp, layout: LayoutAttr) -> None:
    """What a layout without tiles does: the dimensions of the block's argument in another order."""
    order = [dim.data for dim in layout.outer_dims_perm]
    element = tensor_type(empty.tensor).get_element_type()
    body = Block(arg_types=[element, element])
    body.add_op(LinalgYieldOp(body.args[0]))
    read = AffineMap(len(order), 0, tuple(AffineDimExpr(order.index(dim)) for dim in range(len(order))))
    maps = [AffineMapAttr(read), AffineMapAttr(AffineMap.identity(len(order)))]
    parallel = [IteratorTypeAttr.parallel()] * len(order)
    generic = GenericOp([block.args[0]], [empty.tensor], Region(body), maps, parallel, [empty.tensor.type])
    block.add_ops([generic, YieldOp(generic.res[0])])


def _parts(layout: LayoutAttr) -> dict[str, list[int]]:
    return {
        "inner_dims_pos": [dim.data for dim in layout.inner_dims_pos],
        "inner_tiles": [tile.data for tile in layout.inner_tiles],
        "outer_dims_perm": [dim.data for dim in layout.outer_dims_perm],
    }


def _region(op: SetOp | UnsetOp, source: SSAValue, type: Attribute) -> RegionOp:
    """A region of `source`, in front of `op`, on the device of the region that `op` stands beside."""
    neighbour = op.source.owner if isinstance(op, UnsetOp) else next(iter(op.result.uses)).operation
    block = Block(arg_types=[source.type])
    region = RegionOp.create(operands=[source], result_types=[type], regions=[Region(block)])
    if isinstance(neighbour, RegionOp):
        region.device = neighbour.device
    assert op.parent is not None
    op.parent.insert_op_before(region, op)
    return region
