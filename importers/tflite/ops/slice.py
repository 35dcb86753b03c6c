"""Boxes, strided or not, out of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tflite
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ....tosa.elements import numpy_dtype
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, legalize
from .axes import normalize_axis
from .shaping import reshape


def take(context: Context, x: SSAValue, start: Sequence[int], size: Sequence[int]) -> SSAValue:
    """The box of extents `size` that begins at `start`; itself where that is all of it. A size of -1 is dynamic."""
    if tuple(size) == shape_of(x) and not any(start):
        return x
    return context.add(tosa.SliceOp(x, context.shape(start), context.shape(size)))


def take_along(context: Context, x: SSAValue, axis: int, start: int, size: int) -> SSAValue:
    """`size` elements along `axis` from `start`, everything along the others."""
    starts, sizes = [0] * len(shape_of(x)), list(shape_of(x))
    starts[axis], sizes[axis] = start, size
    return take(context, x, starts, sizes)


@legalize("SLICE")
def slice_(op: Operator, context: Context) -> SSAValue:
    """Operands: x, begin, size; a size of -1 means all that is left."""
    x = context.value(op.input(0))
    begin = context.constant_data(op.input(1)).reshape(-1).tolist()
    size = context.constant_data(op.input(2)).reshape(-1).tolist()
    shape = shape_of(x)
    sizes = []
    for start, wanted, extent in zip(begin, size, shape, strict=True):
        if wanted < -1 or start < 0:
            raise ValueError(f"begin {begin} and size {size} of {list(shape)}")
        if wanted == -1 and extent == DYNAMIC and start > 0:
            context.unsupported("a slice up to the end of a dynamic dimension; fix it with --shape")
        sizes.append(wanted if wanted != -1 or extent == DYNAMIC else extent - start)
    return take(context, x, begin, sizes)


@dataclass(frozen=True)
class _Range:
    """The elements start, start + stride, ... of one dimension, `count` of them (-1: a whole dynamic dimension)."""

    start: int
    count: int
    stride: int


@legalize("STRIDED_SLICE")
def strided_slice(op: Operator, context: Context) -> SSAValue:
    """Python's x[begin:end:stride, ...], with masks; source: `kernels/internal/strided_slice_logic.h`."""
    x = context.value(op.input(0))
    options = op.options(tflite.StridedSliceOptions)
    begin, end, strides = (context.constant_data(op.input(i)).reshape(-1).tolist() for i in (1, 2, 3))
    if not len(begin) == len(end) == len(strides) or 0 in strides:
        raise ValueError(f"begin {begin}, end {end} and strides {strides}")
    if options.Offset():
        end = [first + length for first, length in zip(begin, end, strict=True)]
    shape = list(shape_of(x))
    ellipsis, new_axis, shrink = options.EllipsisMask(), options.NewAxisMask(), options.ShrinkAxisMask()

    ranges: list[_Range] = []
    result: list[int | None] = []  # None: the count of the next range
    for i in range(len(begin)):
        bit = 1 << i
        if ellipsis & bit:
            later = sum(not new_axis & (1 << j) for j in range(i + 1, len(begin)))
            while len(ranges) < len(shape) - later:
                ranges.append(_Range(0, shape[len(ranges)], 1))
                result.append(None)
        elif new_axis & bit:
            result.append(1)
        else:
            if len(ranges) == len(shape):
                raise ValueError(f"{len(begin)} ranges for a tensor with {len(shape)} dimensions")
            first = None if options.BeginMask() & bit else begin[i]
            last = None if options.EndMask() & bit else end[i]
            extent = shape[len(ranges)]
            if shrink & bit:
                ranges.append(_single(context, first or 0, extent))
            else:
                ranges.append(_range(context, first, last, strides[i], extent))
                result.append(None)
                continue
            result.append(0)
    while len(ranges) < len(shape):
        ranges.append(_Range(0, shape[len(ranges)], 1))
        result.append(None)
    return reshape(context, _take_ranges(context, x, ranges), _result_shape(ranges, result))


def _result_shape(ranges: list[_Range], result: list[int | None]) -> list[int]:
    """The extents of the result: of its entries, None keeps a range, 0 drops one and 1 is a new dimension."""
    remaining = iter(ranges)
    shape: list[int] = []
    for entry in result:
        if entry == 1:
            shape.append(1)
        else:
            taken = next(remaining)
            if entry is None:
                shape.append(taken.count)
    return shape


def _single(context: Context, index: int, extent: int) -> _Range:
    """x[index], whose dimension is dropped."""
    if extent == DYNAMIC and index < 0:
        context.unsupported("an index from the end of a dynamic dimension; fix it with --shape")
    if extent != DYNAMIC and not -extent <= index < extent:
        raise ValueError(f"index {index} of a dimension of {extent}")
    return _Range(index + extent if index < 0 else index, 1, 1)


def _range(context: Context, first: int | None, last: int | None, stride: int, extent: int) -> _Range:
    if extent == DYNAMIC:
        if stride == 1 and first in (None, 0) and last is None:
            return _Range(0, DYNAMIC, 1)
        if stride > 0 and last is not None and last >= 0 and (first is None or first >= 0):
            start = first or 0
            return _Range(start, max(-((start - last) // stride), 0), stride)
        context.unsupported("a slice that depends on a dynamic dimension; fix it with --shape")
    taken = range(extent)[slice(first, last, stride)]
    return _Range(taken.start if len(taken) else 0, len(taken), stride)


def _take_ranges(context: Context, x: SSAValue, ranges: Sequence[_Range]) -> SSAValue:
    """First the box that the ranges span, then every stride-th element of each dimension."""
    starts = [r.start if r.stride > 0 else r.start + (r.count - 1) * r.stride for r in ranges]
    spans = [r.count if r.count <= 0 else (r.count - 1) * abs(r.stride) + 1 for r in ranges]
    if 0 in spans:
        context.unsupported("a slice without elements")
    x = take(context, x, starts, spans)
    for axis, taken in enumerate(ranges):
        if taken.stride < 0:
            x = context.add(tosa.ReverseOp(x, axis=axis))
        if abs(taken.stride) > 1 and taken.count > 1:
            x = _every(context, x, axis, abs(taken.stride), taken.count)
    return x


def _every(context: Context, x: SSAValue, axis: int, stride: int, count: int) -> SSAValue:
    """Every stride-th element along `axis`: padded to whole groups, split into groups, the first of each taken."""
    shape = list(shape_of(x))
    padding = [0] * (2 * len(shape))
    padding[2 * axis + 1] = stride - 1
    zero = context.constant(np.zeros((1,), numpy_dtype(element_of(x))))
    x = context.add(tosa.PadOp(x, context.shape(padding), zero))
    x = reshape(context, x, [*shape[:axis], count, stride, *shape[axis + 1 :]])
    x = take_along(context, x, axis + 1, 0, 1)
    return reshape(context, x, [*shape[:axis], count, *shape[axis + 1 :]])


@legalize("SPLIT")
def split(op: Operator, context: Context) -> list[SSAValue]:
    """Operands: axis, x; equal parts."""
    x = context.value(op.input(1))
    axis = normalize_axis(int(context.constant_data(op.input(0)).item()), len(shape_of(x)))
    extent, parts = shape_of(x)[axis], len(op.outputs)
    if extent == DYNAMIC:
        context.unsupported(f"a split of dimension {axis}, which is dynamic; fix it with --shape")
    if extent % parts:
        raise ValueError(f"cannot split {extent} elements into {parts} equal parts")
    return _split(context, x, axis, [extent // parts] * parts)


@legalize("SPLIT_V")
def split_v(op: Operator, context: Context) -> list[SSAValue]:
    """Operands: x, sizes, axis; one size may be -1: what is left over."""
    x = context.value(op.input(0))
    axis = normalize_axis(int(context.constant_data(op.input(2)).item()), len(shape_of(x)))
    sizes = context.constant_data(op.input(1)).reshape(-1).tolist()
    extent = shape_of(x)[axis]
    if extent == DYNAMIC:
        context.unsupported(f"a split of dimension {axis}, which is dynamic; fix it with --shape")
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = extent - sum(sizes) - 1
    if sum(sizes) != extent or min(sizes) < 0:
        raise ValueError(f"cannot split {extent} elements into {sizes}")
    return _split(context, x, axis, sizes)


def _split(context: Context, x: SSAValue, axis: int, sizes: list[int]) -> list[SSAValue]:
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    return [take_along(context, x, axis, start, size) for start, size in zip(starts, sizes, strict=True)]


@legalize("UNPACK")
def unpack(op: Operator, context: Context) -> list[SSAValue]:
    """One result per index along the axis, which is dropped."""
    x = context.value(op.input(0))
    shape = shape_of(x)
    axis = normalize_axis(op.options(tflite.UnpackOptions).Axis(), len(shape))
    if shape[axis] != len(op.outputs):
        raise ValueError(f"cannot unpack dimension {axis} of {list(shape)} into {len(op.outputs)} results")
    parts = [take_along(context, x, axis, index, 1) for index in range(shape[axis])]
    return [reshape(context, part, shape[:axis] + shape[axis + 1 :]) for part in parts]
