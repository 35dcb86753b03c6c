"""What an offset on the left side of an integer contraction adds to its result, taken off again.

    sum_k (lhs + offset) * rhs = sum_k lhs * rhs + offset * sum_k rhs

The sums of the right side are a region of their own, which const-eval runs for weights. Where the consumers start by
adding a bias of the same shape, the region adds it to the sums, and they read that in place of the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, IntegerAttr, TensorType, i32
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Block, BlockArgument, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from ..dialects import dispatch, tiled
from ..dialects.dispatch import RegionOp
from ..ir import erase, identity_generic, shape_of, tensor_type
from ..sizes import Sizes
from .counts import RegionSizes


def subtract_offset(
    region: RegionOp,
    root: tiled.MatmulOp | tiled.Conv2DOp,
    tiles: BlockArgument,
    rhs_map: AffineMap,
    offset: int,
    sizes: Sizes,
) -> None:
    """Make the consumers of `root` in `region` see its result without what `offset` added.

    `tiles` is the packed right side, `rhs_map` the map by which the contraction read it in rows.
    """
    pack = cast(RegionOp, region.inputs[tiles.index].owner)
    matrix = pack.inputs[0]
    parent = region.parent
    assert parent is not None
    rank = len(shape_of(matrix))
    reduced, kept = _columns(rhs_map, isinstance(root, tiled.Conv2DOp))
    block = region.body.block
    generic = next((op for op in block.ops if isinstance(op, GenericOp)), None)
    if generic is None:
        generic = _read_by_generic(region, root.result)
    bias = _bias(generic, root.result, rank - 2)
    addend = region.inputs[bias.index] if bias is not None else None
    sums = _column_sums(matrix, reduced, kept, -offset, addend, sizes)
    sums.device = region.device
    parent.insert_op_before(sums, region)
    if bias is not None:
        region.operands[bias.index] = sums.outputs[0]
        return
    correction = block.insert_arg(sums.outputs[0].type, len(block.args))
    region.set_inputs([*region.inputs, sums.outputs[0]])
    _add(region, generic, root.result, correction)


def _bias(generic: GenericOp, accumulated: SSAValue, batch: int) -> BlockArgument | None:
    """The argument of the region that `generic`, and nothing else, adds to `accumulated` along the columns."""
    position = list(generic.inputs).index(accumulated)
    scalar = generic.body.block.args[position]
    if not scalar.has_one_use():
        return None
    sum = next(iter(scalar.uses)).operation
    if not isinstance(sum, arith.AddiOp):
        return None
    other = sum.rhs if sum.lhs is scalar else sum.lhs
    if not isinstance(other, BlockArgument) or other.block is not generic.body.block or not other.has_one_use():
        return None
    bias = generic.inputs[other.index]
    read = generic.indexing_maps.data[other.index].data
    if not isinstance(bias, BlockArgument) or not bias.has_one_use():
        return None
    return bias if read == _along_columns(len(generic.iterator_types), batch) else None


def _columns(rhs_map: AffineMap, conv: bool) -> tuple[int, list[int]]:
    """Of the right side in rows: the dimension that is summed over, and the others in the order of the loops."""
    if conv:
        return 1, [0]
    loop_of = [expr.position if isinstance(expr, AffineDimExpr) else -1 for expr in rhs_map.results]
    reduced = loop_of.index(rhs_map.num_dims - 1)
    kept = [dim for dim in range(len(loop_of)) if dim != reduced]
    return reduced, sorted(kept, key=loop_of.__getitem__)


def _column_sums(
    matrix: SSAValue, reduced: int, kept: Sequence[int], factor: int, addend: SSAValue | None, sizes: Sizes
) -> RegionOp:
    """A region that sums i8 `matrix` over dimension `reduced` in i32, times `factor`, plus `addend`, as `kept` says."""
    shape = shape_of(matrix)
    rank = len(shape)
    type = TensorType(i32, [shape[dim] for dim in kept])
    addends = [] if addend is None else [addend]
    unknown = [dim for dim in range(rank) if shape[dim] == DYNAMIC_INDEX]
    size_of = dict(zip(unknown, sizes.dynamic(matrix), strict=True))
    dims = [size_of[dim] for dim in kept if dim in size_of]
    region = RegionOp([matrix, *addends, *dims], [type], result_dims=dims)
    block = region.body.block
    inside = block.args[1 + len(addends) :]
    zero = arith.ConstantOp(IntegerAttr(0, i32))
    empty = EmptyOp(inside, type)
    fill = FillOp([zero.result], [empty.tensor])

    add = Block(arg_types=[tensor_type(matrix).get_element_type(), i32])
    widened = arith.ExtSIOp(add.args[0], i32)
    sum = arith.AddiOp(widened, add.args[1])
    add.add_ops([widened, sum, YieldOp(sum)])
    keep = AffineMap(rank, 0, tuple(AffineDimExpr(dim) for dim in kept))
    iterators = [IteratorTypeAttr.reduction() if dim == reduced else IteratorTypeAttr.parallel() for dim in range(rank)]
    sums = GenericOp(
        [block.args[0]], [fill.res[0]], Region(add), _maps(AffineMap.identity(rank), keep), iterators, [type]
    )

    scale = Block(arg_types=[i32] * (2 + len(addends)))
    constant = arith.ConstantOp(IntegerAttr(factor, i32))
    product = arith.MuliOp(scale.args[0], constant)
    scale.add_ops([constant, product])
    if addends:
        scale.add_op(product := arith.AddiOp(product, scale.args[1]))
    scale.add_op(YieldOp(product))
    result = EmptyOp(inside, type)
    inputs = [sums.res[0], *block.args[1 : 1 + len(addends)]]
    identities = _maps(*[AffineMap.identity(rank - 1)] * (len(inputs) + 1))
    parallel = [IteratorTypeAttr.parallel()] * (rank - 1)
    scaled = GenericOp(inputs, [result.tensor], Region(scale), identities, parallel, [type])
    block.add_ops([zero, empty, fill, sums, result, scaled, dispatch.YieldOp(scaled.res[0])])
    return region


def _along_columns(loops: int, batch: int) -> AffineMap:
    """How a consumer with so many loops reads [N], or [B, N] where `batch` is one."""
    return AffineMap(loops, 0, (*(AffineDimExpr(dim) for dim in range(batch)), AffineDimExpr(loops - 1)))


def _add(region: RegionOp, generic: GenericOp, accumulated: SSAValue, correction: BlockArgument) -> None:
    """Add `correction`, [N] or [B, N], to `accumulated` where `generic` reads it."""
    position = list(generic.inputs).index(accumulated)
    block = generic.body.block
    argument = block.insert_arg(i32, len(generic.inputs))
    first = block.first_op
    assert first is not None
    sum = arith.AddiOp(block.args[position], argument)
    block.insert_op_before(sum, first)
    block.args[position].replace_uses_with_if(sum.result, lambda use: use.operation is not sum)

    read = _along_columns(len(generic.iterator_types), len(shape_of(correction)) - 1)
    inputs, outputs = list(generic.inputs), list(generic.outputs)
    maps = [attribute.data for attribute in generic.indexing_maps]
    maps.insert(len(inputs), read)
    types = [result.type for result in generic.res]
    body = generic.detach_region(generic.body)
    new = GenericOp([*inputs, correction], outputs, body, _maps(*maps), generic.iterator_types, types)
    region.body.block.insert_op_before(new, generic)
    for old, result in zip(generic.res, new.res, strict=True):
        old.replace_all_uses_with(result)
    erase(generic)


def _read_by_generic(region: RegionOp, value: SSAValue) -> GenericOp:
    """A generic behind `value` that yields it unchanged, for all who use `value`."""
    told = RegionSizes(region)
    empty, generic = identity_generic(value, [told.inside(size) for size in region.result_dims])
    region.body.block.insert_ops_before([empty, generic], region.yielded)
    value.replace_uses_with_if(generic.res[0], lambda use: use.operation is not generic)
    return generic


def _maps(*maps: AffineMap) -> list[AffineMapAttr]:
    return [AffineMapAttr(map) for map in maps]
