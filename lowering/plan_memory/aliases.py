"""Tensors that are parts of others in memory: rows of a tensor, and what is concatenated along the outermost dimension.

A dispatch that only takes contiguous rows, or only puts tensors behind each other, need not run: the rows lie where
their source lies, and what is concatenated is written to its part of the whole at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.dialects.tensor import ConcatOp, ExtractSliceOp
from xdsl.ir import Operation, OpResult, SSAValue

from ...tosa.elements import numpy_dtype
from ..dialects.dispatch import RegionOp, SegmentOp, YieldOp
from ..ir import erase, shape_of, tensor_type, view_source
from ..sizes import Size, constant_of, merged, same


def expose_parts(segment: SegmentOp, alignment: int) -> None:
    """Take the operations out of dispatches that need not run; see `Aliases`.

    Every part begins at a multiple of `alignment` bytes in its whole.
    """
    outputs = {view_source(value) for value in segment.yielded.values}
    joined: set[SSAValue] = set()
    for region in [op for op in segment.body.block.ops if isinstance(op, RegionOp)]:
        op = _only_operation(region)
        if isinstance(op, ExtractSliceOp) and region.outputs[0] not in outputs:
            offset = contiguous_offset(op)
            if offset is not None and offset % alignment == 0:
                _take_out(region, op)
        elif isinstance(op, ConcatOp) and joins_outermost(op, alignment):
            parts = [view_source(value) for value in region.inputs]
            if _can_be_joined(parts, outputs | joined):
                joined.update(parts)
                _take_out(region, op)


def _only_operation(region: RegionOp) -> Operation | None:
    """What a region does if that is one operation on its tensors, in order, and nothing else."""
    ops = list(region.body.block.ops)
    if len(ops) != 2 or not isinstance(ops[1], YieldOp) or list(ops[1].values) != list(ops[0].results):
        return None
    return ops[0] if list(ops[0].operands) == list(region.body.block.args) else None


def _can_be_joined(parts: list[SSAValue], elsewhere: set[SSAValue]) -> bool:
    """Whether dispatches write `parts` that are free to lie anywhere."""
    written = all(isinstance(part, OpResult) and isinstance(part.op, RegionOp | ConcatOp) for part in parts)
    return written and len(set(parts)) == len(parts) and not elsewhere.intersection(parts)


def _take_out(region: RegionOp, op: Operation) -> None:
    op.detach()
    op.operands = list(region.inputs)
    block = region.parent
    assert block is not None
    block.insert_op_before(op, region)
    region.outputs[0].replace_all_uses_with(op.results[0])
    erase(region)


class Aliases:
    """Where the tensors of a segment lie in each other."""

    def __init__(self, segment: SegmentOp) -> None:
        self._wholes: dict[SSAValue, tuple[SSAValue, int]] = {}
        for op in segment.body.block.ops:
            if isinstance(op, ExtractSliceOp):
                offset = contiguous_offset(op)
                assert offset is not None
                self._wholes[op.result] = op.source, offset
            elif isinstance(op, ConcatOp):
                offset = 0
                for part in op.inputs:
                    self._wholes[view_source(part)] = op.result, offset
                    offset += prod(shape_of(part)) * _width(part)

    def whole(self, value: SSAValue) -> tuple[SSAValue, int]:
        """The tensor in which `value` lies, and how many bytes behind its beginning."""
        value, total = view_source(value), 0
        while value in self._wholes:
            whole, offset = self._wholes[value]
            value, total = view_source(whole), total + offset
        return value, total


def contiguous_axis(op: ExtractSliceOp, source: Sequence[Size]) -> int | None:
    """The dimension along which a slice takes part of its source, whose sizes are given, if it is contiguous."""
    offsets = merged(_static(op.static_offsets.get_values()), op.offsets)
    sizes = merged(_static(op.static_sizes.get_values()), op.sizes)
    if set(_static(op.static_strides.get_values())) - {1}:
        return None
    whole = [
        constant_of(offset) == 0 and same(size, known)
        for offset, size, known in zip(offsets, sizes, source, strict=True)
    ]
    axis = next((dim for dim, is_whole in enumerate(whole) if not is_whole), 0)
    return axis if all(whole[axis + 1 :]) and set(source[:axis]) <= {1} else None


def contiguous_offset(op: ExtractSliceOp) -> int | None:
    """The bytes in front of a slice in its source; None if that is not known, or the slice is not contiguous."""
    axis = contiguous_axis(op, [*shape_of(op.source)])
    if axis is None or op.sizes or op.offsets or DYNAMIC_INDEX in shape_of(op.source):
        return None
    offset = _static(op.static_offsets.get_values())[axis]
    return offset * prod(shape_of(op.source)[axis + 1 :]) * _width(op.source)


def joins_outermost(op: ConcatOp, alignment: int) -> bool:
    """Whether tensors of known sizes are put behind each other as they are, all at multiples of `alignment` bytes."""
    shapes = [shape_of(value) for value in op.inputs]
    if any(DYNAMIC_INDEX in shape or not set(shape[: op.dim.value.data]) <= {1} for shape in shapes):
        return False
    return all(prod(shape) * _width(op.inputs[0]) % alignment == 0 for shape in shapes[:-1])


def _width(value: SSAValue) -> int:
    return numpy_dtype(tensor_type(value).get_element_type()).itemsize


def _static(values: object) -> tuple[int, ...]:
    return tuple(cast("tuple[int, ...]", values))
