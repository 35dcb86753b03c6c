"""Padding, concatenation and slices of tensors: copies and fills of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.dialects.tensor import ConcatOp, ExtractSliceOp, InsertSliceOp, PadOp
from xdsl.ir import Operation

from ...runtime.errors import UnsupportedError
from .access import Tensor
from .body import constant
from .boxes import Box, copy_box, emit_boxes, fill_around
from .kernel import KernelContext
from .types import Value


def emit_pad(context: KernelContext, pad: PadOp) -> int:
    """A constant border. It needs no scratch memory, as all emitters here."""
    source, target = context.tensor(pad.source), _target(context, pad)
    low = _static(pad, pad.static_low)
    inside = copy_box(source, target, source.shape, source_at=[0] * len(low), target_at=low)
    border = fill_around(target, low, source.shape, pad_value(context, pad))
    emit_boxes(context, target, [(source, inside), *((None, box) for box in border)])
    return 0


def pad_value(context: KernelContext, pad: PadOp) -> Value:
    """The scalar that `pad` yields; only constants are generated."""
    terminator = pad.region.block.last_op
    assert terminator is not None
    value = terminator.operands[0].owner
    if not isinstance(value, ConstantOp):
        raise UnsupportedError("no code can be generated", ["tensor.pad with a value known only at run time"])
    return constant(context.f, value)


def emit_concat(context: KernelContext, concat: ConcatOp) -> int:
    """Each input after the other along one dimension."""
    target, dim = _target(context, concat), int(concat.dim.value.data)
    boxes: list[tuple[Tensor | None, Box]] = []
    position = [0] * len(target.shape)
    for value in concat.inputs:
        source = context.tensor(value)
        zeros = [0] * len(source.shape)
        boxes.append((source, copy_box(source, target, source.shape, source_at=zeros, target_at=position)))
        position[dim] += source.shape[dim]
    emit_boxes(context, target, boxes)
    return 0


def emit_extract_slice(context: KernelContext, extract: ExtractSliceOp) -> int:
    """A box of the source, perhaps not of all positions; dimensions of size 1 may be dropped in the result."""
    source, target = context.tensor(extract.source), _target(context, extract)
    offsets, sizes, steps = _slice(extract)
    contiguous = Tensor(target.pointer, tuple(sizes), target.element)
    base = copy_box(source, contiguous, sizes, source_at=offsets, target_at=[0] * len(sizes))
    assert base.source is not None
    stepped = tuple(stride * step for stride, step in zip(base.source[1], steps, strict=True))
    emit_boxes(context, target, [(source, Box(base.sizes, base.target, (base.source[0], stepped)))])
    return 0


def emit_insert_slice(context: KernelContext, insert: InsertSliceOp) -> int:
    """The destination with a box of it replaced."""
    source, rest, target = context.tensor(insert.source), context.tensor(insert.dest), _target(context, insert)
    offsets, sizes, steps = _slice(insert)
    if any(step != 1 for step in steps):
        raise UnsupportedError("no code can be generated", [f"tensor.insert_slice with strides {steps}"])
    piece = Tensor(source.pointer, tuple(sizes), source.element)
    boxes: list[tuple[Tensor | None, Box]] = [
        (piece, copy_box(piece, target, sizes, source_at=[0] * len(sizes), target_at=offsets))
    ]
    for box in fill_around(target, offsets, sizes, context.f.undefined("i1")):
        boxes.append((rest, Box(box.sizes, box.target, box.target)))
    emit_boxes(context, target, boxes)
    return 0


def _target(context: KernelContext, operation: Operation) -> Tensor:
    """The output that the only result of `operation` is yielded to."""
    (outputs,) = context.results_of(operation)
    if len(outputs) != 1:
        raise UnsupportedError("no code can be generated", [f"{operation.name} with {len(outputs)} results"])
    return Tensor(outputs[0].pointer, _shape_of(operation), outputs[0].element)


def _shape_of(operation: Operation) -> tuple[int, ...]:
    type: Any = operation.results[0].type
    return tuple(type.get_shape())


def _slice(operation: ExtractSliceOp | InsertSliceOp) -> tuple[list[int], list[int], list[int]]:
    parts = (operation.static_offsets, operation.static_sizes, operation.static_strides)
    offsets, sizes, steps = (_static(operation, part) for part in parts)
    return offsets, sizes, steps


def _static(operation: Operation, values: Any) -> list[int]:
    numbers: Sequence[int] = values.get_values()
    if DYNAMIC_INDEX in numbers:
        raise UnsupportedError("no code can be generated", [f"{operation.name} with amounts known only at run time"])
    return list(numbers)
