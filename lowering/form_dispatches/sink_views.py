"""Moving reshapes behind element-wise operations, so that these run in the iteration space of their producer and fuse.

    matmul [M, N] -> expand to [B, S, N] -> add bias    becomes    matmul [M, N] -> add bias -> expand to [B, S, N]

A reshape costs nothing wherever it stands, so nothing is lost when no fusion follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, TensorType
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp
from xdsl.dialects.tensor import CollapseShapeOp, EmptyOp, ExpandShapeOp
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from ..dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from ..ir import collapse, erase, expand, operands_with_captures, reassociation_of, shape_of, tensor_type, view_source
from .clusters import Cluster, constant_values, form_clusters
from .elementwise import identity_operands
from .extents import Extents

View = CollapseShapeOp | ExpandShapeOp


def sink_views(block: Block, extents: Extents) -> None:
    """Rewrite the body of a function, first to last.

    A cluster moves as a whole, and only into the iteration space of the operand that is computed last: that is the
    producer it will fuse into.
    """
    order = {op: index for index, op in enumerate(block.ops)}
    constant = constant_values(block)
    cluster_of = form_clusters(block, constant, extents)
    for op in list(block.ops):
        if isinstance(op, View):
            _shorten(op, extents, order)
        elif op in cluster_of and cluster_of[op][-1] is op:
            view = _latest_view(cluster_of[op], order, constant)
            if view is not None and _source_fuses(view):
                _reindex(cluster_of[op], view, order)


def share_views(block: Block) -> None:
    """Let equal reshapes of one value be one, so that a region that reads it twice reads one operand."""
    known: dict[tuple[tuple[SSAValue, ...], Attribute], View] = {}
    for op in list(block.ops):
        if isinstance(op, View):
            first = known.setdefault((tuple(op.operands), op.result.type), op)
            if first is not op:
                op.result.replace_all_uses_with(first.result)
                erase(op)


def _shorten(op: View, extents: Extents, order: dict[Operation, int]) -> None:
    """Make of a chain of reshapes that ends in `op` nothing where it leads back to its start, else one reshape if one
    will do. The first behind a depthwise convolution, which becomes part of its region, stays."""
    source = op.src
    while isinstance(source, OpResult) and isinstance(source.op, View):
        source = source.op.src
        if source.type == op.result.type and extents.shape(source) == extents.shape(op.result):
            op.result.replace_all_uses_with(source)
            erase(op)
            return
        direct = _direct_view(source, op.result)
        if direct is not None and not isinstance(source.owner, DepthwiseConv2DNhwcHwcmOp):
            Rewriter.replace_op(op, direct)
            order[direct] = order[op]
            op = direct


def _direct_view(source: SSAValue, result: SSAValue) -> View | None:
    """One reshape from `source` to the shape of `result`, if both are known and the dimensions of one are runs of the
    other's."""
    before, after = list(shape_of(source)), list(shape_of(result))
    if DYNAMIC_INDEX in (*before, *after) or len(before) == len(after) or 0 in before:
        return None
    groups = _runs(max(before, after, key=len), min(before, after, key=len))
    if groups is None:
        return None
    return expand(source, groups, after) if len(after) > len(before) else collapse(source, groups)


def _runs(sizes: Sequence[int], products: Sequence[int]) -> list[list[int]] | None:
    """The runs of `sizes` whose products are `products`, sizes of one at the end of the run in front of them."""
    groups: list[list[int]] = []
    dim = 0
    for product in products:
        group, reached = [], 1
        while dim < len(sizes) and (not group or reached < product):
            group.append(dim)
            reached *= sizes[dim]
            dim += 1
        if reached != product:
            return None
        while dim < len(sizes) and sizes[dim] == 1 and len(sizes) - dim > len(products) - len(groups) - 1:
            group.append(dim)
            dim += 1
        groups.append(group)
    return groups if dim == len(sizes) else None


def _latest_view(cluster: Cluster, order: dict[Operation, int], constant: set[SSAValue]) -> View | None:
    """The reshape through which the cluster reads, in place, the operand that is computed last; None: it reads none."""
    latest, found = -1, None
    for op in cluster:
        in_place = identity_operands(op)
        for index, value in enumerate(operands_with_captures(op)):
            source = view_source(value)
            if not isinstance(source, OpResult) or source.op in cluster or value in constant:
                continue
            if isinstance(source.op, EmptyOp) or order.get(source.op, -1) <= latest:
                continue
            latest = order.get(source.op, -1)
            view = value.op if isinstance(value, OpResult) else None
            found = view if isinstance(view, View) and index in in_place else None
    return found


def _source_fuses(view: View) -> bool:
    """Whether the source is computed by an operation that takes element-wise consumers, and all sizes are known.

    The depthwise convolution's [N, OH, OW, C, M] is collapsed inside its region instead: M is mostly 1, and a loop over
    it would leave nothing to vectorise.
    """
    producer = view.src.op if isinstance(view.src, OpResult) else None
    return (
        producer is not None
        and DYNAMIC_INDEX not in (*shape_of(view.src), *shape_of(view.result))
        and producer.name.startswith("linalg.")
        and not isinstance(producer, DepthwiseConv2DNhwcHwcmOp | FillOp)
    )


@dataclass
class _Operand:
    """How a reindexed op reads one of its inputs: by `map`, after a reshape by `reassociation` (None: as it is)."""

    map: list[AffineExpr]
    reassociation: list[list[int]] | None
    shape: list[int]


def _reindex(cluster: Cluster, view: View, order: dict[Operation, int]) -> None:
    """Make `cluster`, which iterates over the shape of `view`, iterate over that of its source, where that can be."""
    if any(isinstance(inner, IndexOp) for op in cluster for inner in op.body.block.ops):
        return
    inside = {result for op in cluster for result in op.res}
    groups = reassociation_of(view)
    loops = shape_of(view.src)
    reindexed: list[list[_Operand]] = []
    for op in cluster:
        operands = []
        for value, map in zip(op.inputs, op.indexing_maps, strict=False):
            in_place = value is view.result and map.data == AffineMap.identity(map.data.num_dims)
            if value in inside or in_place:  # of a scalar's map, nothing below could tell that it is read in place
                operand = _Operand(list(AffineMap.identity(len(loops)).results), None, list(loops))
            elif isinstance(view, ExpandShapeOp):
                operand = _collapsed(value, map.data, groups, shape_of(view.result))
            else:
                operand = _expanded(value, map.data, groups, loops)
            if operand is None:
                return
            operands.append(operand)
        reindexed.append(operands)
    replaced: dict[SSAValue, SSAValue] = {view.result: view.src}
    for op, operands in zip(list(cluster), reindexed, strict=True):
        new = _rebuilt(op, operands, replaced, view)
        order[new] = order[op]
        replaced.update(zip(op.res, new.res, strict=True))
    block = cluster[-1].parent
    assert block is not None
    for old in cluster[-1].res:
        new = replaced[old]
        behind = expand(new, groups, shape_of(old)) if isinstance(view, ExpandShapeOp) else collapse(new, groups)
        block.insert_op_before(behind, cluster[-1])
        old.replace_all_uses_with(behind.result)
    for op in reversed(cluster):
        erase(op)


def _rebuilt(op: GenericOp, operands: list[_Operand], replaced: dict[SSAValue, SSAValue], view: View) -> GenericOp:
    """`op`, to be inserted in front of itself, over the loops of the source of `view`; its body moves."""
    inputs: list[SSAValue] = []
    for value, operand in zip(op.inputs, operands, strict=True):
        if value in replaced:
            inputs.append(replaced[value])
        elif operand.reassociation is None:
            inputs.append(value)
        else:
            inputs.append(_reshaped(op, value, operand, isinstance(view, ExpandShapeOp)))
    loops = shape_of(view.src)
    empties = [EmptyOp([], TensorType(tensor_type(result).get_element_type(), loops)) for result in op.res]
    maps = [AffineMap(len(loops), 0, tuple(operand.map)) for operand in operands]
    maps += [AffineMap.identity(len(loops))] * len(empties)
    new = GenericOp(
        inputs,
        [empty.tensor for empty in empties],
        op.detach_region(op.body),
        [AffineMapAttr(map) for map in maps],
        [IteratorTypeAttr.parallel()] * len(loops),
        [empty.tensor.type for empty in empties],
    )
    assert op.parent is not None
    op.parent.insert_ops_before([*empties, new], op)
    return new


def _reshaped(op: GenericOp, value: SSAValue, operand: _Operand, collapses: bool) -> SSAValue:
    """`value` reshaped in front of `op`; a reshape that undoes the one `value` comes from is no reshape at all."""
    assert operand.reassociation is not None and op.parent is not None
    type = TensorType(tensor_type(value).get_element_type(), operand.shape)
    if isinstance(value, OpResult) and isinstance(value.op, View) and value.op.src.type == type:
        return value.op.src
    reshape = (
        collapse(value, operand.reassociation) if collapses else expand(value, operand.reassociation, operand.shape)
    )
    op.parent.insert_op_before(reshape, op)
    return reshape.result


def _collapsed(
    value: SSAValue, map: AffineMap, groups: Sequence[Sequence[int]], loops: Sequence[int]
) -> _Operand | None:
    """An operand of loops `loops` once each group of them is one loop; None if it has part of a group only."""
    group_of = {dim: index for index, group in enumerate(groups) for dim in group}
    shape = shape_of(value)
    exprs: list[AffineExpr] = []
    runs: list[list[int]] = []
    position = 0
    while position < len(map.results):
        first = map.results[position]
        if not isinstance(first, AffineDimExpr):
            exprs.append(first)
            runs.append([position])
            position += 1
            continue
        group = group_of[first.position]
        run, dims = [], []
        while position < len(map.results):
            expr = map.results[position]
            if not isinstance(expr, AffineDimExpr) or group_of[expr.position] != group:
                break
            run.append(position)
            dims.append(expr.position)
            position += 1
        needed = [dim for dim in groups[group] if loops[dim] != 1]
        present = [dim for dim in dims if loops[dim] != 1]
        if present == needed:
            exprs.append(AffineDimExpr(group))
        elif not present:
            exprs.append(AffineConstantExpr(0))
        else:
            return None
        runs.append(run)
    used = [expr.position for expr in exprs if isinstance(expr, AffineDimExpr)]
    if len(set(used)) != len(used):
        return None
    sizes = [prod(shape[dim] for dim in run) for run in runs]
    return _Operand(exprs, runs if len(runs) != len(shape) else None, sizes)


def _expanded(value: SSAValue, map: AffineMap, groups: Sequence[Sequence[int]], loops: Sequence[int]) -> _Operand:
    """An operand once loop i is the loops `groups[i]` of extents `loops`."""
    exprs: list[AffineExpr] = []
    reassociation: list[list[int]] = []
    shape: list[int] = []
    for size, expr in zip(shape_of(value), map.results, strict=True):
        dims = groups[expr.position] if isinstance(expr, AffineDimExpr) else [None]
        reassociation.append(list(range(len(exprs), len(exprs) + len(dims))))
        exprs += [expr if dim is None else AffineDimExpr(dim) for dim in dims]
        shape += [size if dim is None else loops[dim] for dim in dims]
    return _Operand(exprs, reassociation if len(exprs) != len(map.results) else None, shape)
