"""plan-memory: every tensor gets its place.

- A result of the function is written straight into the user's output buffer, an argument read from the input buffer.
- Constants lie one behind the other in the artifact's constants, equal bytes once.
- Everything else shares the arena: tensors whose lifetimes do not overlap may lie on top of each other. A view lies
  where its source lies.

No result lies on top of an operand of its own dispatch: kernels promise LLVM that their buffers do not alias, and the
element-wise operations that could work in place have mostly been fused away.

Places are `BufferAttr`s on the regions; a function's `dispatch.arena_bytes` is the size of its arena, a constant's
`dispatch.offset` its offset. The runtime keeps readable slack behind arena and constants, so no buffer carries its own.
Steps that share memory without sharing a tensor depend on each other too: barriers have to look at buffers.
"""

from __future__ import annotations

from typing import cast

from xdsl.dialects import func
from xdsl.dialects.builtin import ArrayAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.ir import BlockArgument, OpResult, SSAValue

from ...tosa.dialect import ConstOp
from ..dialects.dispatch import BufferAttr, RegionOp, YieldOp
from ..ir import byte_size, functions, identity_generic, regions, view_source
from .arena import Lifetime, place
from .constants import ConstantPool

ARENA_BYTES = "dispatch.arena_bytes"
OFFSET = "dispatch.offset"


def plan_memory(module: ModuleOp, pool: ConstantPool, device: str) -> None:
    """Annotate every region, constant and function of `module`; the constants go into `pool`.

    `device` makes the copies that are needed where a function returns an input, a constant, or a value twice.
    """
    for function in functions(module):
        for op in function.body.block.ops:
            if isinstance(op, ConstOp):
                op.attributes[OFFSET] = IntegerAttr(pool.add(op.values), i64)
        _copy_what_is_returned_as_is(function, device)
        _plan(function)


def _copy_what_is_returned_as_is(function: func.FuncOp, device: str) -> None:
    """Give every output a region that writes it: inputs, constants and values returned twice are copied."""
    terminator = cast(func.ReturnOp, function.body.block.last_op)
    written: set[SSAValue] = set()
    for index, value in enumerate(terminator.operands):
        source = view_source(value)
        if isinstance(source, OpResult) and isinstance(source.op, RegionOp) and source not in written:
            written.add(source)
            continue
        copy = _copy(value)
        copy.device = StringAttr(device)
        function.body.block.insert_op_before(copy, terminator)
        terminator.operands[index] = copy.outputs[0]
        written.add(copy.outputs[0])


def _copy(value: SSAValue) -> RegionOp:
    region = RegionOp([value], [value.type])
    empty, generic = identity_generic(region.body.block.args[0])
    region.body.block.add_ops([empty, generic, YieldOp(generic.res[0])])
    return region


def _plan(function: func.FuncOp) -> None:
    block = function.body.block
    terminator = block.last_op
    assert terminator is not None
    steps = regions(function)
    places: dict[SSAValue, BufferAttr] = {}
    for argument in block.args:
        places[argument] = BufferAttr.of("input", argument.index, 0)
    for index, value in enumerate(terminator.operands):
        places[view_source(value)] = BufferAttr.of("output", index, 0)

    lifetimes: dict[SSAValue, Lifetime] = {}
    for index, step in enumerate(steps):
        for value in step.outputs:
            if value not in places:
                lifetimes[value] = Lifetime(byte_size(value.type), index, index)
        for value in map(view_source, step.inputs):
            if value in lifetimes:
                lifetimes[value].end = index
    offsets, arena_bytes = place(list(lifetimes.values()))
    for value, offset in zip(lifetimes, offsets, strict=True):
        places[value] = BufferAttr.of("arena", 0, offset)

    for step in steps:
        values = [*map(view_source, step.inputs), *step.outputs]
        step.buffers = ArrayAttr(_place_of(value, places) for value in values)
    function.attributes[ARENA_BYTES] = IntegerAttr(arena_bytes, i64)


def _place_of(value: SSAValue, places: dict[SSAValue, BufferAttr]) -> BufferAttr:
    if isinstance(value, BlockArgument) or value in places:
        return places[value]
    constant = cast(OpResult, value).op
    return BufferAttr.of("constants", 0, cast(IntegerAttr, constant.attributes[OFFSET]).value.data)
