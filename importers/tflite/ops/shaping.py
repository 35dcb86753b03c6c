"""Shapes that TOSA asks for and TFLite leaves implicit: equal ranks to broadcast, exact sizes to slide windows over."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import tflite
from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.base import constant
from ...registry import DYNAMIC, shape_of
from ..legalization import Context


def reshape(context: Context, value: SSAValue, shape: Sequence[int]) -> SSAValue:
    """`value` in another shape, in which one extent may be -1; itself where nothing changes."""
    if tuple(shape) == shape_of(value):
        return value
    if list(shape).count(DYNAMIC) > 1:
        context.unsupported(f"a reshape to {tuple(shape)}, of which two extents are dynamic; give shapes with --shape")
    array = constant(value)
    if array is not None:
        assert isinstance(value.type, TensorType)
        reshaped = array.reshape(shape)
        return context.constant(reshaped, TensorType(value.type.get_element_type(), reshaped.shape))
    return context.add(tosa.ReshapeOp(value, context.shape(shape)))


def broadcast(context: Context, *values: SSAValue) -> list[SSAValue]:
    """The values with leading extents of 1, so that all have the greatest rank among them."""
    rank = max(len(shape_of(value)) for value in values)
    return [reshape(context, value, (1,) * (rank - len(shape_of(value))) + shape_of(value)) for value in values]


def row_count(context: Context, value: SSAValue, columns: int) -> int:
    """How many rows of `columns` elements `value` holds; -1 if that is dynamic."""
    shape = shape_of(value)
    if DYNAMIC in shape:
        return DYNAMIC
    if columns == 0 or prod(shape) % columns:
        context.unsupported(f"rows of {columns} elements in a tensor of shape {shape}")
    return prod(shape) // columns


def fit_windows(
    context: Context, x: SSAValue, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding: int
) -> tuple[SSAValue, list[int]]:
    """`x` [N, (D,) H, W, C] and the padding [(front, back,) top, bottom, left, right] that windows fill exactly.

    TFLite derives the padding from SAME or VALID (`kernels/padding.h`) and ignores rows and columns that no window
    reaches; TOSA wants the windows to end where the padded input ends, so such rows and columns are cut off.
    """
    pad: list[int] = []
    sizes = list(shape_of(x))
    for axis in range(len(kernel)):
        size = sizes[1 + axis]
        reach = (kernel[axis] - 1) * dilation[axis] + 1
        if size == DYNAMIC and stride[axis] != 1:
            context.unsupported("strided windows over a dynamic extent; give shapes with --shape")
        if padding == tflite.Padding.SAME:
            # With stride 1 there are as many windows as elements, so the size itself does not matter.
            known = 1 if size == DYNAMIC else size
            missing = (-(-known // stride[axis]) - 1) * stride[axis] + reach - known
            before = max(missing, 0) // 2
            after = missing - before
        else:
            before = 0
            after = 0 if size == DYNAMIC else -((size - reach) % stride[axis])
        if after < 0:
            sizes[1 + axis] += after
        pad += [before, max(after, 0)]
    if tuple(sizes) != shape_of(x):
        x = context.add(tosa.SliceOp(x, context.shape([0] * len(sizes)), context.shape(sizes)))
    return x, pad
