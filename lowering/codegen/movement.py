"""Padding, concatenation and slices of tensors, fills and copies: all are copies and fills of boxes."""

from __future__ import annotations

from xdsl.dialects.tensor import ConcatOp, ExtractSliceOp, InsertSliceOp, PadOp
from xdsl.ir import BlockArgument, Operation

from ...runtime.errors import UnsupportedError
from .access import Tensor
from .boxes import Box, Place, copy_box, emit_boxes, fill_around
from .extent import Extent
from .kernel import KernelContext
from .types import Value


def emit_pad(context: KernelContext, pad: PadOp) -> int:
    """A border of one value. It needs no scratch memory, as all emitters here."""
    source, target = context.tensor(pad.source), _target(context, pad)
    low = context.extents(pad.static_low, pad.low)
    inside = copy_box(source, target, source.shape, source_at=[0] * len(low), target_at=low)
    border = fill_around(target, low, source.shape, pad_value(context, pad))
    emit_boxes(context, target, [(source, inside), *((None, box) for box in border)])
    return 0


def pad_value(context: KernelContext, pad: PadOp) -> Value:
    """The scalar that `pad` yields, wherever in the border."""
    terminator = pad.region.block.last_op
    assert terminator is not None
    value = terminator.operands[0]
    if isinstance(value, BlockArgument) and value.block is pad.region.block:
        raise UnsupportedError("no code can be generated", ["tensor.pad with a value that depends on the position"])
    return context.scalar(value)


def emit_concat(context: KernelContext, concat: ConcatOp) -> int:
    """Each input after the other along one dimension."""
    target, dim = _target(context, concat), int(concat.dim.value.data)
    boxes: list[tuple[Tensor | None, Box]] = []
    position: list[Extent] = [0] * len(target.shape)
    for value in concat.inputs:
        source = context.tensor(value)
        zeros = [0] * len(source.shape)
        boxes.append((source, copy_box(source, target, source.shape, source_at=zeros, target_at=[*position])))
        position[dim] = position[dim] + source.shape[dim]
    emit_boxes(context, target, boxes)
    return 0


def emit_extract_slice(context: KernelContext, extract: ExtractSliceOp) -> int:
    """A box of the source, perhaps not of all positions; dimensions of size 1 may be dropped in the result."""
    source, target = context.tensor(extract.source), _target(context, extract)
    sizes, place = _slice(context, extract, source)
    contiguous = Tensor(target.pointer, sizes, target.element)
    emit_boxes(context, target, [(source, Box(sizes, (0, contiguous.strides), place))])
    return 0


def emit_insert_slice(context: KernelContext, insert: InsertSliceOp) -> int:
    """The destination with a box of it replaced; dimensions of size 1 may be missing in the source."""
    source, rest, target = context.tensor(insert.source), context.tensor(insert.dest), _target(context, insert)
    sizes, place = _slice(context, insert, target)
    piece = Tensor(source.pointer, sizes, source.element, source.fill)
    replaced = (piece, Box(sizes, place, (0, piece.strides)))
    if place[1] != target.strides:
        # What stays lies between what is replaced, so that first all is copied.
        whole = Box(target.shape, (0, target.strides), (0, target.strides))
        emit_boxes(context, target, [(rest, whole), replaced], divide=False)
        return 0
    offsets = context.extents(insert.static_offsets, insert.offsets)
    boxes: list[tuple[Tensor | None, Box]] = [replaced]
    for box in fill_around(target, offsets, sizes, context.f.undefined("i1")):
        boxes.append((rest, Box(box.sizes, box.target, box.target)))
    emit_boxes(context, target, boxes)
    return 0


def emit_copies(context: KernelContext) -> int:
    """A region without an operation that needs a loop: fills, views of its arguments, constants."""
    for value, target in zip(context.region.yielded.values, context.outputs, strict=True):
        emit_copy(context, context.tensor(value), target)
    return 0


def emit_copy(context: KernelContext, source: Tensor, target: Tensor, *, divide: bool = True) -> None:
    """All elements of `source`, or the one that fills it, to `target` of the same shape."""
    whole = (0, target.strides)
    emit_boxes(context, target, [(source, Box(target.shape, whole, whole))], divide=divide)


def _target(context: KernelContext, operation: Operation) -> Tensor:
    """The output that the only result of `operation` is yielded to."""
    (outputs,) = context.results_of(operation)
    if len(outputs) != 1:
        raise UnsupportedError("no code can be generated", [f"{operation.name} with {len(outputs)} results"])
    return Tensor(outputs[0].pointer, context.shape(operation.results[0]), outputs[0].element)


def _slice(
    context: KernelContext, operation: ExtractSliceOp | InsertSliceOp, whole: Tensor
) -> tuple[tuple[Extent, ...], Place]:
    """The extents of a slice and where in `whole` it lies."""
    offsets = context.extents(operation.static_offsets, operation.offsets)
    sizes = context.extents(operation.static_sizes, operation.sizes)
    steps = context.extents(operation.static_strides, operation.strides)
    offset: Extent = 0
    for first, stride in zip(offsets, whole.strides, strict=True):
        offset = offset + first * stride
    return sizes, (offset, tuple(stride * step for stride, step in zip(whole.strides, steps, strict=True)))
