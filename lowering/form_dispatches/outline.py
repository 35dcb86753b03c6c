"""Moving the operations of a group into a `dispatch.region`."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import CollapseShapeOp, EmptyOp, ExpandShapeOp, PadOp
from xdsl.ir import Block, Operation, OpResult, Region, SSAValue

from ..dialects.dispatch import RegionOp, YieldOp
from ..ir import erase, operands_with_captures
from ..sizes import Sizes
from .clusters import AFFINITY, WINDOWS
from .grouping import Group, pads_window
from .merge import merge_elementwise, merge_into_reduction


def outline(block: Block, groups: list[Group], sizes: Sizes) -> None:
    """Replace the operations of `groups` in `block` by regions, in the order of the groups.

    What the host does takes its place among them.
    """
    terminator = block.last_op
    assert terminator is not None
    views = {op: None for op in block.ops if isinstance(op, CollapseShapeOp | ExpandShapeOp)}
    for group in groups:
        if group.collapse is not None:
            del views[group.collapse]
    for op in views:
        op.detach()

    def place(value: SSAValue) -> None:
        """Put the views that lead to `value` back, in front of the terminator, once."""
        if (
            isinstance(value, OpResult)
            and isinstance(value.op, CollapseShapeOp | ExpandShapeOp)
            and value.op.parent is None
        ):
            for operand in value.op.operands:
                place(operand)
            block.insert_op_before(value.op, cast(Operation, terminator))

    for group in groups:
        if group.host is not None:
            group.host.detach()
        step = group.host or _Outliner(group, sizes).build()
        for value in operands_with_captures(step):
            place(value)
        block.insert_op_before(step, terminator)
    for value in terminator.operands:
        place(value)
    for op in views:
        if op.parent is None:
            op.erase()


class _Outliner:
    """Builds the region of one group. `inside` maps values to what they are called in the region."""

    def __init__(self, group: Group, sizes: Sizes) -> None:
        self.group = group
        self.sizes = sizes
        self.block = Block()
        self.inputs: list[SSAValue] = []
        self.inside: dict[SSAValue, SSAValue] = {}

    def build(self) -> RegionOp:
        group = self.group
        members = list(group.operations)
        results = [value for op in members for value in op.results if _leaves(value, set(members))]
        dims = [size for value in results for size in self.sizes.dynamic(value)]
        affinity = group.affinity
        if group.root is not None:
            self._place_root(group.root)
        if group.collapse is not None:
            self._move(group.collapse)
        if group.elementwise:
            loops = self.sizes.of(group.iteration_space)
            empties, merged = merge_elementwise(group.elementwise, results, group.value, loops, self._local)
            self.block.add_ops([*empties, merged])
            self.inside.update(zip(results, merged.res, strict=True))
        self.block.add_op(YieldOp(*(self.inside[value] for value in results)))
        region = RegionOp(self.inputs, [value.type for value in results], Region(self.block), dims)
        if affinity is not None:
            region.attributes[AFFINITY] = affinity
        for value, result in zip(results, region.outputs, strict=True):
            value.replace_uses_with_if(result, lambda use: not region.is_ancestor(use.operation))
        for op in reversed(members):
            if op.parent is not self.block:
                erase(op)
        return region

    def _place_root(self, root: Operation) -> None:
        if self.group.producers:
            reduction = cast(GenericOp, root)
            merged = merge_into_reduction(
                self.group.producers, reduction, self._local(reduction.outputs[0]), self._local
            )
            self.block.add_op(merged)
            self.inside[reduction.res[0]] = merged.res[0]
            return
        image = root.operands[0] if isinstance(root, WINDOWS) else None
        if isinstance(image, OpResult) and isinstance(image.op, PadOp) and pads_window(image.op):
            pad = image.op.clone()
            self._adopt(pad)
            self.inside[image] = pad.result
        self._move(root)

    def _move(self, op: Operation) -> None:
        op.detach()
        self._adopt(op)
        self.inside.update(zip(op.results, op.results, strict=True))

    def _adopt(self, op: Operation) -> None:
        """Append `op` with all its outside operands replaced, those of its own regions too."""
        for inner in op.walk():
            for index, operand in enumerate(inner.operands):
                if inner is op or not op.is_ancestor(operand.owner):
                    inner.operands[index] = self._local(operand)
        self.block.add_op(op)

    def _local(self, value: SSAValue) -> SSAValue:
        """What `value` is called inside: initial values and scalars are repeated there, the rest are arguments."""
        if value not in self.inside:
            if isinstance(value, OpResult) and isinstance(value.op, EmptyOp | FillOp | ConstantOp):
                copy = value.op.clone()
                self._adopt(copy)
                self.inside[value] = copy.results[0]
            else:
                self.inputs.append(value)
                self.inside[value] = self.block.insert_arg(value.type, len(self.block.args))
        return self.inside[value]


def _leaves(value: SSAValue, members: set[Operation]) -> bool:
    """Whether anything but the group itself uses `value`."""
    return any(_member_of(use.operation, members) is None for use in value.uses)


def _member_of(op: Operation, members: set[Operation]) -> Operation | None:
    """The member that `op` is, or lies in the body of."""
    current: Operation | None = op
    while current is not None and current not in members:
        current = current.parent_op()
    return current
