"""The arena of a segment some of whose sizes only a call knows.

Buffers of known sizes share the first part, placed as always. Behind it those of unknown sizes follow in slots, one
after the other: each slot is of one size, an expression that all its buffers have, and buffers that are never needed at
the same time share it. The host adds up the sizes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsl.builder import Builder
from xdsl.dialects import arith
from xdsl.dialects.builtin import DYNAMIC_INDEX, FloatAttr, IndexType, IntegerAttr, f64, i64
from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import InsertPoint

from ...runtime.artifact import ALIGNMENT, LARGEST
from ...tosa.elements import numpy_dtype
from ..dialects.dispatch import BufferAttr, CheckOp, SegmentOp
from ..ir import byte_size, shape_of, tensor_type
from ..sizes import Size, as_value, product, total
from .arena import Lifetime, place
from .table import ScalarTable


@dataclass
class _Slot:
    """Buffers of one size that take turns."""

    shape: Sequence[Size]
    """With the bytes of an element as the last size."""
    bytes: Size
    members: list[tuple[SSAValue, Lifetime]] = field(default_factory=list)

    def is_free(self, lifetime: Lifetime) -> bool:
        return not any(other.overlaps(lifetime) for _, other in self.members)


def plan_arena(
    segment: SegmentOp, lifetimes: Mapping[SSAValue, Lifetime], table: ScalarTable
) -> tuple[dict[SSAValue, BufferAttr], Size]:
    """The place of every value in the arena, and the arena's size."""
    known = {value: lifetime for value, lifetime in lifetimes.items() if DYNAMIC_INDEX not in shape_of(value)}
    for value, lifetime in known.items():
        lifetime.size = byte_size(value.type)
    offsets, static_bytes = place(list(known.values()))
    places = {value: BufferAttr.of("arena", 0, offset) for value, offset in zip(known, offsets, strict=True)}
    slots = _slots({value: lifetime for value, lifetime in lifetimes.items() if value not in known}, table)
    end: Size = static_bytes
    for slot in slots:
        entry = table.slot(as_value(end, segment))
        places.update({value: BufferAttr.of("arena", 0, 0, entry) for value, _ in slot.members})
        end = total([end, _aligned(slot.bytes, segment)], segment)
    if slots:
        _check_total([slot.shape for slot in slots], segment)
    return places, end


def _check_total(shapes: Sequence[Sequence[Size]], segment: SegmentOp) -> None:
    """Let a call fail whose arena is larger than any memory: the sum of its bytes could wrap around to a small one."""
    builder = Builder(InsertPoint.before(segment))

    def as_float(size: Size) -> SSAValue:
        if isinstance(size, int):
            return builder.insert(arith.ConstantOp(FloatAttr(float(size), f64))).result
        number = builder.insert(arith.IndexCastOp(size, i64)).result
        return builder.insert(arith.SIToFPOp(number, f64)).result

    total_bytes = as_float(0)
    for shape in shapes:
        product_bytes = as_float(1)
        for size in shape:
            product_bytes = builder.insert(arith.MulfOp(product_bytes, as_float(size))).result
        total_bytes = builder.insert(arith.AddfOp(total_bytes, product_bytes)).result
    holds = builder.insert(arith.CmpfOp(total_bytes, as_float(LARGEST), "olt"))
    builder.insert(CheckOp(holds, [], "the tensors between dispatches are larger than any memory"))


def _slots(lifetimes: Mapping[SSAValue, Lifetime], table: ScalarTable) -> list[_Slot]:
    """The fewest slots of each size: in order of their beginnings each buffer takes one that is free."""
    by_size: dict[Hashable, list[_Slot]] = {}
    for value, lifetime in sorted(lifetimes.items(), key=lambda item: item[1].begin):
        shape = table.shape(value)
        width = numpy_dtype(tensor_type(value).get_element_type()).itemsize
        same_size = by_size.setdefault((_structure(shape), width), [])
        slot = next((slot for slot in same_size if slot.is_free(lifetime)), None)
        if slot is None:
            slot = _Slot([*shape, width], product([*shape, width], table.segment))
            same_size.append(slot)
        slot.members.append((value, lifetime))
    return [slot for same_size in by_size.values() for slot in same_size]


def _structure(shape: Sequence[Size]) -> Hashable:
    """Equal for shapes of surely as many elements."""
    known = 1
    for size in shape:
        known *= size if isinstance(size, int) else 1
    return known, tuple(sorted(id(size) for size in shape if not isinstance(size, int)))


def _aligned(size: Size, before: Operation) -> Size:
    """`size` rounded up to a multiple of the alignment, computed in front of `before`."""
    rounded = as_value(total([size, ALIGNMENT - 1], before), before)
    mask = arith.ConstantOp(IntegerAttr(-ALIGNMENT, IndexType()))
    aligned = arith.AndIOp(rounded, mask.result)
    block = before.parent
    assert block is not None
    block.insert_ops_before([mask, aligned], before)
    return aligned.result
