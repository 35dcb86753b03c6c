"""fuse-rows: on a GPU, what reduces rows and what is computed of the same rows from it become one dispatch.

A softmax is four dispatches, a layer norm as many: each reads from memory what the one in front of it wrote, and on a
GPU each is a launch of a few microseconds, longer than what it does to 128 rows of 768. As one, a row stays in the
registers of a warp or of a block from its first load to its last store.

A region takes in the one that computes an operand of it if both go over the same rows, nothing in between needs what
that one computes, and what a thread then has of a row fits its registers.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Block, Operation, OpResult, SSAValue

from .attention import Stages, is_reducing
from .dialects import dispatch
from .dialects.dispatch import RegionOp
from .ir import functions, regions, shape_of
from .rows import Rows
from .target import Target
from .targets import nvptx
from .targets.row_team import MOST_COLUMNS, MOST_VALUES, thread_columns


def fuse_rows(module: ModuleOp, targets: Mapping[str, Target]) -> None:
    """Merge the regions of every function in place; `targets` maps each device to the target of its code."""
    for function in functions(module):
        for region in regions(function):
            if region.device is None or targets[region.device.data].architecture != nvptx.ARCHITECTURE:
                continue
            while True:
                producer = next((p for p in _producers(region) if _can_merge(p, region)), None)
                if producer is None:
                    break
                region = _merge(producer, region)


def _producers(region: RegionOp) -> list[RegionOp]:
    owners = [value.op for value in region.inputs if isinstance(value, OpResult)]
    return [op for op in owners if isinstance(op, RegionOp) and op.parent is region.parent]


def _can_merge(producer: RegionOp, region: RegionOp) -> bool:
    if producer.device != region.device or Stages.of(list(region.body.block.ops)):
        return False
    first, second = Rows.of_region(producer), Rows.of_region(region)
    if first is None or second is None or first.shape != second.shape or first.shape[-1] > MOST_COLUMNS:
        return False
    if not any(is_reducing(generic) for generic in (*first.generics, *second.generics)):
        return False
    arguments = dict(zip(region.inputs, region.body.block.args, strict=True))
    for given, argument in arguments.items():
        if not isinstance(given, OpResult) or given.op is not producer:
            continue
        for use in argument.uses:
            reader = next((generic for generic in second.generics if generic is use.operation), None)
            if reader is None:
                return False
            map = reader.indexing_maps.data[use.index].data
            if not second.reads_in_place(reader, shape_of(given), map):
                return False
    held = _row_values(producer, region, first, second) * thread_columns(first.shape[-1])
    return held <= MOST_VALUES and _is_first_user(producer, region)


def _row_values(producer: RegionOp, region: RegionOp, first: Rows, second: Rows) -> int:
    """Whole rows that are read or computed: a thread may hold its part of all of them at once."""
    results: dict[SSAValue, SSAValue] = dict(zip(producer.results, producer.yielded.values, strict=True))
    outside: dict[SSAValue, SSAValue] = {}
    for each in (producer, region):
        for given, argument in zip(each.inputs, each.body.block.args, strict=True):
            outside[argument] = results.get(given, given)
    held: set[SSAValue] = set()
    for rows in (first, second):
        for generic in filter(rows.is_whole, rows.generics):
            tensors = [value for value in generic.inputs if isinstance(value.type, TensorType)]
            held.update(outside.get(value, value) for value in tensors if shape_of(value)[-1:] == rows.shape[-1:])
            if rows.is_whole_result(generic):
                held.update(generic.res)
    return len(held)


def _is_first_user(producer: RegionOp, region: RegionOp) -> bool:
    """Whether nothing reads results of `producer` before `region` does."""
    block = region.parent
    assert isinstance(block, Block)
    users: set[Operation | None] = {
        block.find_ancestor_op_in_block(use.operation) for result in producer.results for use in result.uses
    }
    users.discard(region)
    op = producer.next_op
    while op is not None and op is not region:
        if op in users:
            return False
        op = op.next_op
    return op is region


def _merge(producer: RegionOp, region: RegionOp) -> RegionOp:
    """One region in the place of `region` that computes what both did, as far as anybody else reads it."""
    source, body = producer.body.block, region.body.block
    yielded = list(producer.yielded.values)
    kept = [
        (result, value)
        for result, value in zip(producer.results, yielded, strict=True)
        if any(use.operation is not region for use in result.uses)
    ]
    inputs: list[SSAValue] = []
    block = Block()
    given_at: dict[SSAValue, SSAValue] = {}

    def argument(given: SSAValue) -> SSAValue:
        if given not in given_at:
            inputs.append(given)
            given_at[given] = block.insert_arg(given.type, len(block.args))
        return given_at[given]

    for old, given in zip(source.args, producer.inputs, strict=True):
        old.replace_all_uses_with(argument(given))
    computed: dict[SSAValue, SSAValue] = dict(zip(producer.results, yielded, strict=True))
    for old, given in zip(body.args, region.inputs, strict=True):
        old.replace_all_uses_with(computed[given] if given in computed else argument(given))
    results = [*region.yielded.values, *(value for _, value in kept)]
    for part in (source, body):
        for op in list(part.ops):
            op.detach()
            if not isinstance(op, dispatch.YieldOp):
                block.add_op(op)
            else:
                op.erase()
    block.add_op(dispatch.YieldOp(*results))
    merged = RegionOp(inputs, [value.type for value in results])
    merged.body.detach_block(merged.body.block)
    merged.body.add_block(block)
    merged.device = region.device
    parent = region.parent
    assert isinstance(parent, Block)
    parent.insert_op_before(merged, region)
    replaced = [*region.results, *(result for result, _ in kept)]
    for old, new in zip(replaced, merged.results, strict=True):
        new.name_hint = old.name_hint
        old.replace_all_uses_with(new)
    region.detach()
    region.erase(safe_erase=False)
    producer.detach()
    producer.erase(safe_erase=False)
    return merged
