"""Data layout operators (TOSA 1.0, section 2.10): views where possible, else one operation that moves the elements."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, shape_of
from ..dialects.linalg import dims
from .body import Body
from .builder import Builder, CannotLower, constant_array, constant_scalar, static_shape
from .registry import lowers
from .reshape import reshape


@lowers(tosa.ReshapeOp)
def _reshape(op: tosa.ReshapeOp, b: Builder) -> SSAValue:
    return reshape(b, op.input1, shape_of(op.output))


@lowers(tosa.TransposeOp)
def _transpose(op: tosa.TransposeOp, b: Builder) -> SSAValue:
    """A view where only extents of 1 change places."""
    shape, source, perms = shape_of(op.output), shape_of(op.input1), list(op.plain("perms"))
    moved = [dim for dim in perms if source[dim] != 1]
    if moved == sorted(moved) and source.count(DYNAMIC_INDEX) < 2:
        return reshape(b, op.input1, shape)
    space = dims(len(shape))
    return move(b, op.input1, [space[perms.index(dim)] for dim in range(len(perms))], shape)


@lowers(tosa.ReverseOp)
def _reverse(op: tosa.ReverseOp, b: Builder) -> SSAValue:
    shape = static_shape(op.output, "its result")
    positions = list(dims(len(shape)))
    axis = op.plain("axis")
    positions[axis] = positions[axis] * -1 + (shape[axis] - 1)
    return move(b, op.input1, positions, shape)


@lowers(tosa.TileOp)
def _tile(op: tosa.TileOp, b: Builder) -> SSAValue:
    """Each repeated dimension becomes two, repetition and position, which a collapse joins."""
    source, shape = static_shape(op.input1, "its operand"), static_shape(op.output, "its result")
    split: list[int] = []
    read: list[int | None] = []
    for extent, result in zip(source, shape, strict=True):
        if extent == 1 and result != 1:
            split.append(result)
            read.append(None)
            continue
        if extent != result:
            split.append(result // extent)
        read.append(len(split))
        split.append(extent)
    space = dims(len(split))
    positions = [AffineExpr.constant(0) if dim is None else space[dim] for dim in read]
    return reshape(b, move(b, op.input1, positions, split), shape)


@lowers(tosa.ConcatOp)
def _concat(op: tosa.ConcatOp, b: Builder) -> SSAValue:
    if len(op.input1) == 1:
        return op.input1[0]
    return b.insert(tensor.ConcatOp(list(op.input1), op.plain("axis"), op.output.type)).result


@lowers(tosa.PadOp)
def _pad(op: tosa.PadOp, b: Builder) -> SSAValue:
    amounts = constant_array(op.padding, "padding").tolist()
    return b.pad(op.input1, amounts[::2], amounts[1::2], constant_scalar(op.pad_const, "pad_const"))


@lowers(tosa.SliceOp)
def _slice(op: tosa.SliceOp, b: Builder) -> SSAValue:
    offsets = constant_array(op.start, "start").tolist()
    return extract_slice(b, op.input1, offsets, static_shape(op.output, "its result"))


def extract_slice(b: Builder, value: SSAValue, offsets: Sequence[int], shape: Sequence[int]) -> SSAValue:
    """The box of extents `shape` that begins at `offsets`; the value itself if that is all of it."""
    if tuple(shape) == shape_of(value):
        return value
    extract = tensor.ExtractSliceOp.from_static_parameters(value, offsets, shape)
    return b.insert(extract).result


def move(b: Builder, value: SSAValue, positions: Sequence[AffineExpr], shape: Sequence[int]) -> SSAValue:
    """A new tensor of `shape` whose element at each point of it is that of `value` at `positions`."""
    if DYNAMIC_INDEX in shape and not all(isinstance(position, AffineDimExpr) for position in positions):
        raise CannotLower("its shape must be static: give all shapes with --shape")
    source = (value, AffineMap(len(shape), 0, tuple(positions)))

    def body(_: Body, x: SSAValue) -> SSAValue:
        return x

    return b.elementwise([source], shape, element_of(value), body)
