"""hoist-encodings: sets and unsets move until they meet, cancel, or reach a constant.

Hoist: equal sets of one value become one, right behind the value, so that a constant collects all its encodings and
const-eval later packs each once; what a loop only reads is set in front of the loop. Propagate: a set behind an
element-wise region moves in front of it when that region reads something that was just unset; where the two layouts
turn out to agree, nothing is moved in memory at all.
"""

from __future__ import annotations

from typing import cast

from xdsl.dialects import scf
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute, Block, BlockArgument, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from .dialects.dispatch import RegionOp
from .dialects.encoding import EncodingAttr, SetOp, UnsetOp
from .ir import erase, erase_dead, functions, host_blocks, regions, tensor_type
from .set_encodings import encoded

_UNSAFE_ON_PADDING = frozenset(
    ["tensor.extract", "linalg.index"]
    + [f"arith.{name}" for name in ("divsi", "divui", "remsi", "remui", "ceildivsi", "ceildivui", "floordivsi")]
)
"""Operations that an element-wise region must not do to the zeros that fill up tiles: integers cannot be divided by
zero, and an index would lead nowhere. Anything else that it makes of them is overwritten."""


def hoist_encodings(module: ModuleOp) -> None:
    """Move, merge and cancel the sets and unsets of every function, in place."""
    for function in functions(module):
        for region in reversed(regions(function)):
            _propagate(region)
        for block in reversed(host_blocks(function)):
            hoist_sets(block)
            cancel_pairs(block)
            erase_dead(block)


def hoist_sets(block: Block) -> None:
    """Move every set up to where its source is defined, one per encoding.

    What a loop only reads is set in front of the loop; what a branch reads in the branch, which may not be taken.
    """
    known: dict[tuple[SSAValue, Attribute], SetOp] = {}
    around = block.parent_op()
    for op in list(block.ops):
        if not isinstance(op, SetOp):
            continue
        if isinstance(around, scf.ForOp | scf.WhileOp) and _block_of(op.source) is not block:
            Rewriter.insert_op(_detached(op), InsertPoint.before(around))
            continue
        first = known.setdefault((op.source, op.result.type), op)
        if first is not op:
            op.result.replace_all_uses_with(first.result)
            erase(op)
        elif isinstance(op.source, OpResult) and _block_of(op.source) is block:
            block.insert_op_after(_detached(op), op.source.op)


def _block_of(value: SSAValue) -> Block | None:
    owner = value.owner
    return owner if isinstance(owner, Block) else owner.parent


def _detached(op: SetOp) -> SetOp:
    op.detach()
    return op


def cancel_pairs(block: Block) -> None:
    """Drop casts that change nothing, and sets of what was just unset from the very same encoding.

    A set promises zeros where tiles reach over the edge. Materialisation keeps the promise for what regions compute.
    """
    for op in list(block.ops):
        if not isinstance(op, SetOp | UnsetOp):
            continue
        source = op.source
        if isinstance(op, SetOp) and isinstance(source, OpResult) and isinstance(source.op, UnsetOp):
            source = source.op.source
        if source.type == op.result.type:
            op.result.replace_all_uses_with(source)
            erase(op)


def _propagate(region: RegionOp) -> None:
    """Move the set behind an element-wise region in front of it, if all users of the region want that encoding."""
    generic = _only_elementwise(region)
    if generic is None or len(region.outputs) != 1:
        return
    uses = list(region.outputs[0].uses)
    sets = [use.operation for use in uses if isinstance(use.operation, SetOp)]
    if not sets or len(sets) != len(uses) or len({op.result.type for op in sets}) != 1 or not _reads_unset(region):
        return
    encoding = cast(EncodingAttr, tensor_type(sets[0].result).encoding)
    parent = region.parent
    assert parent is not None
    for value, map in zip(generic.inputs, generic.indexing_maps, strict=False):
        if isinstance(value, BlockArgument):
            type = encoded(value.type, encoding.read_through(map))
            set_op = SetOp(region.inputs[value.index], type)
            parent.insert_op_before(set_op, region)
            region.operands[value.index] = set_op.result
            Rewriter.replace_value_with_new_type(value, type)
    type = encoded(generic.res[0].type, encoding)
    Rewriter.replace_value_with_new_type(generic.outputs[0], type)
    Rewriter.replace_value_with_new_type(generic.res[0], type)
    result = Rewriter.replace_value_with_new_type(region.outputs[0], type)
    for op in sets:
        op.result.replace_all_uses_with(result)
        erase(op)


def _only_elementwise(region: RegionOp) -> GenericOp | None:
    """The generic of a region that does nothing but one element-wise computation, each argument read once."""
    generics = [op for op in region.body.block.ops if not isinstance(op, EmptyOp)][:-1]
    if len(generics) != 1 or not isinstance(generics[0], GenericOp):
        return None
    generic = generics[0]
    parallel = all(iterator.data == IteratorType.PARALLEL for iterator in generic.iterator_types)
    whole = all(argument.has_one_use() for argument in region.body.block.args if isinstance(argument.type, TensorType))
    unsafe = any(inner.name in _UNSAFE_ON_PADDING for inner in generic.body.block.ops)
    return generic if parallel and whole and not unsafe else None


def _reads_unset(region: RegionOp) -> bool:
    return any(isinstance(value, OpResult) and isinstance(value.op, UnsetOp) for value in region.inputs)
