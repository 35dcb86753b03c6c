"""plan-memory: every tensor gets its place.

Per segment:

- A result is written straight into the output buffer of the call, an argument read from the input buffer.
- Constants lie one behind the other in the artifact's constants, equal bytes once.
- Everything else shares the arena: tensors whose lifetimes do not overlap may lie on top of each other. Where sizes
  are unknown, the host computes offsets and the size of the arena and hands them over (see `dynamic`).
- A view lies where its source lies, rows of a tensor lie in it, and what is concatenated in the whole (see `aliases`).

No result lies on top of an operand of its own dispatch: kernels promise LLVM that their buffers do not alias, and the
element-wise operations that could work in place have mostly been fused away.

Places are `BufferAttr`s on the regions; a segment says the size of its arena, a constant's `dispatch.offset` its
offset. The runtime keeps readable slack behind arena and constants, so no buffer carries its own. Steps that share
memory without sharing a tensor depend on each other too: barriers have to look at buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, IntegerAttr, ModuleOp, i64
from xdsl.ir import OpResult, SSAValue

from ...runtime.artifact import Space
from ...tosa.dialect import ConstOp
from ..dialects.dispatch import BufferAttr, RegionOp, SegmentOp
from ..ir import erase_dead, functions, host_blocks, view_source
from ..share_scalars import share_scalars
from ..sizes import Sizes
from ..target import Target
from .aliases import Aliases, expose_parts
from .arena import Lifetime
from .constants import ConstantPool
from .dynamic import plan_arena
from .table import ScalarTable

OFFSET = "dispatch.offset"
SLOTS = "dispatch.slots"
"""On a region: the entries of the segment's scalar table that its kernel is called with."""


def plan_memory(module: ModuleOp, pool: ConstantPool, targets: Mapping[str, Target]) -> None:
    """Annotate every segment, its regions, and every constant of `module`; the constants go into `pool`.

    `targets` maps the name of each device to the target of its code.
    """
    for function in functions(module):
        for op in function.walk():
            if isinstance(op, ConstOp):
                op.attributes[OFFSET] = IntegerAttr(pool.add(op.values), i64)
        sizes = Sizes()
        for block in host_blocks(function):
            for op in list(block.ops):
                if isinstance(op, SegmentOp):
                    _plan(op, sizes, targets[op.device.data].buffer_alignment)
        share_scalars(function)
        for block in reversed(host_blocks(function)):
            erase_dead(block)


def _plan(segment: SegmentOp, sizes: Sizes, alignment: int) -> None:
    expose_parts(segment, alignment)
    aliases = Aliases(segment)
    table = ScalarTable(segment, sizes)
    steps = [op for op in segment.body.block.ops if isinstance(op, RegionOp)]
    places: dict[SSAValue, BufferAttr] = {}
    for argument in segment.body.block.args[: len(segment.inputs)]:
        places[argument] = BufferAttr.of("input", argument.index, 0)
    for index, value in enumerate(segment.yielded.values):
        places[view_source(value)] = BufferAttr.of("output", index, 0)

    lifetimes: dict[SSAValue, Lifetime] = {}
    for index, step in enumerate(steps):
        for value, _ in map(aliases.whole, step.outputs):
            if value not in places:
                lifetimes.setdefault(value, Lifetime(0, index, index)).end = index
        for value, _ in map(aliases.whole, step.tensors):
            if value in lifetimes:
                lifetimes[value].end = index
    shared, arena_size = plan_arena(segment, lifetimes, table)
    places.update(shared)

    for step in steps:
        values = [*step.tensors, *step.outputs]
        step.buffers = ArrayAttr(_place_of(*aliases.whole(value), places) for value in values)
        slots = table.slots_of(step)
        if slots:
            step.attributes[SLOTS] = DenseArrayBase.from_list(i64, slots)
    if isinstance(arena_size, int):
        segment.arena_bytes = IntegerAttr(arena_size, i64)
    table.hand_over(None if isinstance(arena_size, int) else arena_size)


def _place_of(whole: SSAValue, offset: int, places: dict[SSAValue, BufferAttr]) -> BufferAttr:
    """The place `offset` bytes into `whole`."""
    if whole in places:
        place = places[whole]
        return BufferAttr.of(
            cast(Space, place.space.data), place.index.data, place.offset.data + offset, place.slot.data
        )
    constant = cast(OpResult, whole).op
    return BufferAttr.of("constants", 0, cast(IntegerAttr, constant.attributes[OFFSET]).value.data + offset)
