"""Tensors in tiles: packing, unpacking, `linalg.mmt4d` and element-wise computation over tiles."""

from __future__ import annotations

from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, AnyFloat, FloatAttr, IntegerAttr, IntegerType, TensorType
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from ..dialects.dispatch import RegionOp, YieldOp
from ..dialects.encoding import LayoutAttr, SetOp, UnsetOp
from ..dialects.linalg import BatchMatmulOp, BatchMmt4dOp, Mmt4dOp, PackOp, PlainContraction, UnpackOp
from ..ir import erase, shape_of, tensor_type


def has_layout(value: SSAValue) -> bool:
    return isinstance(value.type, TensorType) and isinstance(value.type.encoding, LayoutAttr)


def packed_type(type: Attribute) -> TensorType[Attribute]:
    """The type of tiles: what a tensor with a layout looks like in memory. Types without one stay as they are."""
    tensor = cast("TensorType[Attribute]", type)
    layout = tensor.encoding
    if not isinstance(layout, LayoutAttr):
        return tensor
    counts = list(tensor.get_shape())
    for dim, tile in zip(layout.inner_dims_pos, layout.inner_tiles, strict=True):
        counts[dim.data] = -(-counts[dim.data] // tile.data)
    shape = [*(counts[dim.data] for dim in layout.outer_dims_perm), *(tile.data for tile in layout.inner_tiles)]
    return TensorType(tensor.get_element_type(), shape)


def pack(op: SetOp) -> None:
    """Replace a set by a region that packs. The padding is zero: it adds nothing to any sum of products."""
    layout = cast(LayoutAttr, tensor_type(op.result).encoding)
    shape = shape_of(op.source)
    region = RegionOp([op.source], [packed_type(op.result.type)])
    block = region.body.block
    empty = EmptyOp([], packed_type(op.result.type))
    block.add_op(empty)
    padding = None
    if any(shape[dim.data] % tile.data for dim, tile in zip(layout.inner_dims_pos, layout.inner_tiles, strict=True)):
        padding = arith.ConstantOp(_zero(tensor_type(op.source).get_element_type()))
        block.add_op(padding)
    packed = PackOp(block.args[0], empty, padding_value=padding, **_parts(layout))
    block.add_ops([packed, YieldOp(packed.result)])
    _replace(op, region, op.result)


def unpack(op: UnsetOp) -> None:
    """Replace an unset by a region that unpacks, before the layout of its source turns into a shape."""
    layout = cast(LayoutAttr, tensor_type(op.source).encoding)
    source = Rewriter.replace_value_with_new_type(op.source, packed_type(op.source.type))
    region = RegionOp([source], [op.result.type])
    block = region.body.block
    empty = EmptyOp([], tensor_type(op.result))
    unpacked = UnpackOp(block.args[0], empty, **_parts(layout))
    block.add_ops([empty, unpacked, YieldOp(unpacked.result)])
    _replace(op, region, op.result)


def tile_matmul(region: RegionOp, root: PlainContraction) -> None:
    """A contraction all of whose operands are tiled: `linalg.mmt4d`, its consumers over tiles of the result."""
    block = region.body.block
    mmt4d = BatchMmt4dOp if isinstance(root, BatchMatmulOp) else Mmt4dOp
    generic = next((op for op in block.ops if isinstance(op, GenericOp)), None)
    tiled = _tiled_generic(generic) if generic is not None else None
    _pack_types(region)
    block.insert_op_before(new := mmt4d(root.inputs[0], root.inputs[1], root.outputs[0]), root)
    root.result.replace_all_uses_with(new.result)
    erase(root)
    if generic is not None and tiled is not None:
        _exchange(generic, tiled)


def tile_elementwise(region: RegionOp) -> None:
    """An element-wise region over tensors in tiles."""
    generic = next(op for op in region.body.block.ops if isinstance(op, GenericOp))
    tiled = _tiled_generic(generic)
    _pack_types(region)
    _exchange(generic, tiled)


def _pack_types(region: RegionOp) -> None:
    """Give all tensors with a layout, the results of the region among them, the type of their tiles."""
    block = region.body.block
    for value in [*block.args, *(result for op in block.ops for result in op.results), *region.outputs]:
        if has_layout(value):
            Rewriter.replace_value_with_new_type(value, packed_type(value.type))


def _tiled_generic(op: GenericOp) -> tuple[list[AffineMap], int]:
    """The maps of `op` once it runs over tiles, and its number of loops: (outer dimensions..., inner dimensions...)."""
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
    return maps, loops


def _loop(expr: AffineExpr, loops: dict[int, int]) -> AffineExpr:
    return AffineDimExpr(loops[expr.position]) if isinstance(expr, AffineDimExpr) else expr


def _exchange(op: GenericOp, tiled: tuple[list[AffineMap], int]) -> None:
    maps, loops = tiled
    new = GenericOp(
        list(op.inputs),
        list(op.outputs),
        op.detach_region(op.body),
        [AffineMapAttr(map) for map in maps],
        [IteratorTypeAttr.parallel()] * loops,
        [output.type for output in op.outputs],
    )
    assert op.parent is not None
    op.parent.insert_op_before(new, op)
    for old, result in zip(op.res, new.res, strict=True):
        old.replace_all_uses_with(result)
    erase(op)


def _parts(layout: LayoutAttr) -> dict[str, list[int]]:
    return {
        "inner_dims_pos": [dim.data for dim in layout.inner_dims_pos],
        "inner_tiles": [tile.data for tile in layout.inner_tiles],
        "outer_dims_perm": [dim.data for dim in layout.outer_dims_perm],
    }


def _zero(type: Attribute) -> FloatAttr | IntegerAttr:
    if isinstance(type, IntegerType):
        return IntegerAttr(0, type)
    return FloatAttr(0.0, cast(AnyFloat, type))


def _replace(op: Operation, region: RegionOp, old: SSAValue) -> None:
    """Put `region`, on the device of the region `op` stands beside, in the place of `op`."""
    neighbour = op.operands[0].owner if isinstance(op, UnsetOp) else next(iter(old.uses)).operation
    assert op.parent is not None
    if isinstance(neighbour, RegionOp):
        region.device = neighbour.device
    op.parent.insert_op_before(region, op)
    old.replace_all_uses_with(region.outputs[0])
    erase(op)
