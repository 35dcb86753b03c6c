"""Padding with a constant or by reflection."""

from __future__ import annotations

import numpy as np
import tflite
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.elements import numpy_dtype
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, Tensor, legalize
from .shaping import reshape
from .slice import take_along


def padding_of(context: Context, op: Operator) -> list[tuple[int, int]]:
    """Before and after of each dimension, from operand 1 of shape [rank, 2]; raises ValueError for other shapes."""
    rank = len(context.shape_of(op.input(0)))
    padding = context.constant_data(op.input(1))
    if padding.shape != (rank, 2) or (padding < 0).any():
        raise ValueError(f"paddings {padding.tolist()} of a tensor with {rank} dimensions")
    return [(int(before), int(after)) for before, after in padding]


def real_zero(tensor: Tensor) -> int:
    """The stored value that means 0."""
    if tensor.quantization is not None:
        return tensor.zero_point
    return -128 if tensor.unsigned else 0


@legalize("PAD", "PADV2")
def pad(op: Operator, context: Context) -> SSAValue:
    """PADV2 brings the value to pad with; PAD pads with what means 0."""
    x = context.value(op.input(0))
    element_type = context.type_of(op.input(0)).get_element_type()
    if op.name == "PADV2":
        value = reshape(context, context.value(op.input(2)), [1])
    else:
        value = context.constant(np.full((1,), real_zero(op.input(0)), numpy_dtype(element_type)))
    flat = [amount for pair in padding_of(context, op) for amount in pair]
    return context.add(tosa.PadOp(x, context.shape(flat), value))


@legalize("MIRROR_PAD")
def mirror_pad(op: Operator, context: Context) -> SSAValue:
    """Each dimension in turn: the reversed border before, the tensor, the reversed border after.

    REFLECT leaves out the border element itself, SYMMETRIC repeats it.
    """
    x = context.value(op.input(0))
    skip = 1 if op.options(tflite.MirrorPadOptions).Mode() == tflite.MirrorPadMode.REFLECT else 0
    for axis, (before, after) in enumerate(padding_of(context, op)):
        extent = shape_of(x)[axis]
        if before == after == 0:
            continue
        if extent == DYNAMIC:
            context.unsupported(f"mirrored padding of dimension {axis}, which is dynamic; fix it with --shape")
        if max(before, after) + skip > extent:
            raise ValueError(f"padding ({before}, {after}) of dimension {axis}, which has only {extent} elements")
        parts = [
            _reversed_slice(context, x, axis, skip, before),
            x,
            _reversed_slice(context, x, axis, extent - skip - after, after),
        ]
        x = context.add(tosa.ConcatOp([part for part in parts if part is not None], axis=axis))
    return x


def _reversed_slice(context: Context, x: SSAValue, axis: int, start: int, size: int) -> SSAValue | None:
    """`size` elements along `axis` from `start`, in reverse order; None where there are none."""
    if size == 0:
        return None
    return context.add(tosa.ReverseOp(take_along(context, x, axis, start, size), axis=axis))
