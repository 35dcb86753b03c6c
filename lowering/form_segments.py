"""form-segments: what one device does without the host in between becomes one `dispatch.segment`.

Every host block is cut into levels. An operation of the host (arithmetic, control flow, a transfer) is on the level
behind the dispatches that it needs results of; a dispatch is on the level of the latest operation of the host, or of
another device, that it needs. The dispatches of one level and device are one segment, cut behind those whose results
a transfer waits for. A program of static shapes on one device is thus one segment.

A function's results are written by dispatches, each result by one of its own: copies are made where a function returns
an argument, a constant, or a value twice. (What a loop carries and what the host computes is returned as it is.)

Inside a segment are regions in program order, the views between them and the constants they read. A view whose source
is computed in the segment is yielded in the place of its source if nobody else wants that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from xdsl.dialects import arith, func
from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.dialects.tensor import CollapseShapeOp, DimOp, ExpandShapeOp
from xdsl.ir import Block, BlockArgument, Operation, OpResult, Region, SSAValue
from xdsl.traits import IsTerminator

from ..tosa.dialect import ConstOp
from .dialects.dispatch import RegionOp, SegmentOp, YieldOp
from .ir import erase_dead, functions, host_blocks, identity_generic, operands_with_captures, view_source
from .sizes import Sizes

_VIEWS = (CollapseShapeOp, ExpandShapeOp)


def form_segments(module: ModuleOp, device: str) -> None:
    """Outline every dispatch of `module` into a segment, in place; `device` makes the copies for results."""
    for function in functions(module):
        _copy_what_is_returned_as_is(function, device)
        blocks = host_blocks(function)
        sizes = Sizes()
        for block in blocks:
            for op in list(block.ops):
                if isinstance(op, _VIEWS):
                    sizes.dynamic(op.result)  # what its arithmetic needs is on the level of the view
        for block in reversed(blocks):
            _Outliner(block, sizes).run()
        for block in reversed(blocks):
            erase_dead(block)


def _copy_what_is_returned_as_is(function: func.FuncOp, device: str) -> None:
    terminator = cast(func.ReturnOp, function.body.block.last_op)
    written: set[SSAValue] = set()
    for index, value in enumerate(terminator.operands):
        source = view_source(value)
        computed = isinstance(source, OpResult) and not isinstance(source.op, ConstOp)
        if not computed or source in written:
            copy = _copy(value, Sizes())
            copy.device = StringAttr(device)
            function.body.block.insert_op_before(copy, terminator)
            terminator.operands[index] = source = copy.outputs[0]
        written.add(source)


def _copy(value: SSAValue, sizes: Sizes) -> RegionOp:
    dims = sizes.dynamic(value)
    region = RegionOp([value, *dims], [value.type], result_dims=dims)
    source, *arguments = region.body.block.args
    empty, generic = identity_generic(source, arguments)
    region.body.block.add_ops([empty, generic, YieldOp(generic.res[0])])
    return region


@dataclass(eq=False)
class _Segment:
    """Dispatches of one device and level, in program order."""

    level: int
    device: str
    regions: list[RegionOp] = field(default_factory=list)
    waited_for: bool = False
    """Whether a transfer reads a result, so that nothing more should come before it."""


class _Outliner:
    """Cuts one block. Operations of blocks around it are on level 0, with all constants."""

    def __init__(self, block: Block, sizes: Sizes) -> None:
        self.block = block
        self.sizes = sizes
        self.level_of: dict[Operation, int] = {}
        self.segments: list[_Segment] = []

    def run(self) -> None:
        host: list[Operation] = []
        latest: dict[tuple[int, str], _Segment] = {}
        for op in self.block.ops:
            if not isinstance(op, RegionOp):
                self.level_of[op] = max(map(self._host_level, operands_with_captures(op)), default=0)
                host.append(op)
                continue
            assert op.device is not None
            device = op.device.data
            level = self.level_of[op] = max((self._level(value, device) for value in op.operands), default=0)
            segment = latest.get((level, device))
            if segment is None or segment.waited_for:
                segment = latest[level, device] = _Segment(level, device)
                self.segments.append(segment)
            segment.regions.append(op)
            segment.waited_for |= any(_is_transferred(result) for result in op.outputs)
        built = [(segment.level, self._outline(segment)) for segment in self.segments]
        self._reorder(host, built)

    def _reorder(self, host: Sequence[Operation], segments: Sequence[tuple[int, SegmentOp]]) -> None:
        """Level by level: the host's operations, then the segments; the terminator last."""
        last = [op for op in host if op.has_trait(IsTerminator)]
        steps = [(self.level_of[op], 0, op) for op in host if op not in last]
        steps += [(level, 1, segment) for level, segment in segments]
        steps.sort(key=lambda step: step[:2])
        for op in host:
            op.detach()
        self.block.add_ops([*(op for _, _, op in steps), *last])

    def _level(self, value: SSAValue, device: str) -> int:
        """The first level on which a dispatch of `device` can read `value`."""
        op = value.op if isinstance(value, OpResult) else None
        if op is None or op.parent is not self.block:
            return 0
        if isinstance(op, _VIEWS):
            return max(self._level(op.src, device), *map(self._host_level, op.operands[1:]), 0)
        if isinstance(op, RegionOp):
            same = op.device is not None and op.device.data == device
            return self.level_of[op] + (not same)
        return self.level_of[op]

    def _host_level(self, value: SSAValue) -> int:
        """The first level on which the host can read `value`."""
        op = value.op if isinstance(value, OpResult) else None
        if op is None or op.parent is not self.block or isinstance(op, arith.ConstantOp):
            return 0  # a constant may have been made only now, for a size that a type hides
        return self.level_of[op] + isinstance(op, RegionOp)

    def _outline(self, segment: _Segment) -> SegmentOp:
        members = set[Operation](segment.regions)
        exported = [self._exported(result, members, segment) for op in segment.regions for result in op.outputs]
        leaving = [value for value in exported if value is not None]
        dims = [size for value in leaving for size in self.sizes.dynamic(value)]
        body = _Body()
        for op in segment.regions:
            op.operands = [body.local(value) for value in op.operands]
            op.detach()
            body.block.add_op(op)
            body.inside.update(zip(op.outputs, op.outputs, strict=True))
        body.block.add_op(YieldOp(*(body.local(value) for value in leaving)))
        body.ask_for_sizes()
        types = [value.type for value in leaving]
        inputs, scalars = body.operands()
        region = Region(body.block)
        outlined = SegmentOp(inputs, scalars, types, dims, segment.device, region)
        for value, result in zip(leaving, outlined.outputs, strict=True):
            result.name_hint = value.name_hint
            value.replace_uses_with_if(result, lambda use: not outlined.is_ancestor(use.operation))
        return outlined

    def _exported(self, result: SSAValue, members: set[Operation], segment: _Segment) -> SSAValue | None:
        """What leaves the segment of `result`: itself, a view of it if only that is wanted, or nothing."""
        wanted: list[SSAValue] = []
        candidates = [result]
        for value in candidates:  # grows while it is walked
            for user in {use.operation: None for use in value.uses}:
                if isinstance(user, _VIEWS) and user.src is value:
                    candidates.append(user.result)
                elif user not in members and (not wanted or wanted[-1] is not value):
                    wanted.append(value)
        if not wanted:
            return None
        view = wanted[0]
        return view if len(wanted) == 1 and self._is_ready(view, segment.level) else result

    def _is_ready(self, value: SSAValue, level: int) -> bool:
        """Whether all sizes that the views leading to `value` need are known on `level`, in this very block."""
        while isinstance(value, OpResult) and isinstance(value.op, _VIEWS):
            if value.op.parent is not self.block:
                return False
            if any(self._host_level(size) > level for size in [*value.op.operands[1:], *self.sizes.dynamic(value)]):
                return False
            value = value.op.src
        return True


class _Body:
    """The block of a segment while it is built; `inside` maps values to what they are called there."""

    def __init__(self) -> None:
        self.block = Block()
        self.inside: dict[SSAValue, SSAValue] = {}
        self.arguments: dict[SSAValue, BlockArgument] = {}

    def local(self, value: SSAValue) -> SSAValue:
        """What `value` is called inside: constants and views are repeated there, the rest are arguments."""
        if value not in self.inside:
            op = value.op if isinstance(value, OpResult) else None
            if isinstance(op, ConstOp):
                self.inside[value] = self._add(ConstOp(op.values))
            elif isinstance(op, _VIEWS):
                operands = [self.local(operand) for operand in op.operands]
                self.inside[value] = self._add(op.clone(dict(zip(op.operands, operands, strict=True))))
            else:
                argument = self.block.insert_arg(value.type, len(self.block.args))
                self.inside[value] = self.arguments[value] = argument
        return self.inside[value]

    def _add(self, op: Operation) -> SSAValue:
        self.block.add_op(op)
        return op.results[0]

    def ask_for_sizes(self) -> None:
        """Let sizes of the segment's own inputs be asked of these, inside, instead of being handed over too."""
        for value, argument in list(self.arguments.items()):
            dim = value.op if isinstance(value, OpResult) else None
            if not isinstance(dim, DimOp) or dim.source not in self.arguments:
                continue
            index = cast(OpResult, dim.index).op
            if isinstance(index, arith.ConstantOp):
                number = index.clone()
                asked = DimOp(self.arguments[dim.source], number)
                first = self.block.first_op
                assert first is not None
                self.block.insert_ops_before([number, asked], first)
                argument.replace_all_uses_with(asked.result)
                self.block.erase_arg(argument)
                del self.arguments[value]

    def operands(self) -> tuple[list[SSAValue], list[SSAValue]]:
        """The (tensors, scalars) that the arguments stand for, which are put in this order."""
        tensors = [value for value in self.arguments if isinstance(value.type, TensorType)]
        scalars = [value for value in self.arguments if not isinstance(value.type, TensorType)]
        old = list(self.block.args)
        for value in [*tensors, *scalars]:
            argument = self.block.insert_arg(value.type, len(self.block.args))
            argument.name_hint = self.arguments[value].name_hint
            self.arguments[value].replace_all_uses_with(argument)
        for argument in old:
            self.block.erase_arg(argument)
        return tensors, scalars


def _is_transferred(value: SSAValue) -> bool:
    return any(use.operation.name == "device.transfer" for use in value.uses)
