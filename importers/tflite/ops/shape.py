"""Operators that only rename dimensions, and those that compute with shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tflite
from xdsl.ir import SSAValue

from ....tosa.elements import numpy_dtype
from ...registry import DYNAMIC
from ..legalization import Context, Operator, legalize
from .axes import normalize_axis
from .shaping import reshape


@legalize("RESHAPE")
def reshape_(op: Operator, context: Context) -> SSAValue:
    """The target shape is operand 1, or, in models of old converters, an option. One extent may be -1."""
    x = context.value(op.input(0))
    source = context.shape_of(op.input(0))
    shape_tensor = op.optional_input(1)
    if shape_tensor is not None:
        target = [int(extent) for extent in context.constant_data(shape_tensor).reshape(-1)]
    else:
        options = op.options(tflite.ReshapeOptions)
        target = [options.NewShape(i) for i in range(options.NewShapeLength())]
        # Old models write a scalar's shape as [0].
        target = [] if target == [0] else target
    if any(extent < DYNAMIC for extent in target):
        raise ValueError(f"negative extent in the target shape {target}")
    if DYNAMIC not in source and target.count(DYNAMIC) == 1:
        known = math.prod(extent for extent in target if extent != DYNAMIC)
        if known and math.prod(source) % known == 0:
            target[target.index(DYNAMIC)] = math.prod(source) // known
    return reshape(context, x, _with_batch_of(source, op.input(0).shape, target))


def _with_batch_of(source: Sequence[int], declared: Sequence[int], target: list[int]) -> list[int]:
    """`target`, which fits a tensor of the shape `declared`, for one of the shape `source`, of another batch.

    Models made for one sample name its extents. As the batch is the outermost dimension, samples follow each other
    before as after, whatever the shapes within one are: the outermost extent grows as the batch does.
    """
    fits = DYNAMIC not in (*source, *target) and math.prod(source) == math.prod(target)
    if fits or not source or not target or source[1:] != declared[1:] or math.prod(declared) != math.prod(target):
        return target
    batch, rest = divmod(source[0] * target[0], declared[0]) if declared[0] > 0 else (0, 1)
    return target if rest or DYNAMIC in (*source, *target) else [batch, *target[1:]]


@legalize("EXPAND_DIMS")
def expand_dims(op: Operator, context: Context) -> SSAValue:
    shape = list(context.shape_of(op.input(0)))
    axis = int(context.constant_data(op.input(1)).item())
    shape.insert(normalize_axis(axis, len(shape) + 1), 1)
    return reshape(context, context.value(op.input(0)), shape)


@legalize("SQUEEZE")
def squeeze(op: Operator, context: Context) -> SSAValue:
    """Drops the extents of 1 that the option names, or all of them where it names none."""
    shape = context.shape_of(op.input(0))
    options = op.options(tflite.SqueezeOptions)
    named = [normalize_axis(options.SqueezeDims(i), len(shape)) for i in range(options.SqueezeDimsLength())]
    dropped = named or [axis for axis, extent in enumerate(shape) if extent == 1]
    if any(shape[axis] not in (1, DYNAMIC) for axis in dropped):
        raise ValueError(f"cannot drop the dimensions {dropped} of {list(shape)}: not all are 1")
    kept = [extent for axis, extent in enumerate(shape) if axis not in dropped]
    return reshape(context, context.value(op.input(0)), kept)


@legalize("SHAPE")
def shape(op: Operator, context: Context) -> SSAValue:
    extents = context.shape_of(op.input(0))
    if DYNAMIC in extents:
        context.unsupported("the shape of a tensor with dynamic dimensions is needed; fix them with --shape")
    return context.constant(np.array(extents, numpy_dtype(op.output().element_type)))


@legalize("RANK")
def rank(op: Operator, context: Context) -> SSAValue:
    return context.constant(np.array(len(context.shape_of(op.input(0))), np.int32))


@legalize("RANGE")
def range_(op: Operator, context: Context) -> SSAValue:
    """start, start + delta, ... below limit; all three must be constant, since they decide the result's shape."""
    start, limit, delta = (context.constant_data(op.input(i), "iuf").item() for i in range(3))
    if delta == 0:
        raise ValueError("a range with a step of 0")
    count = max(math.ceil((limit - start) / delta), 0)
    if count > 1 << 24:
        context.unsupported(f"a constant range of {count} elements")
    dtype = numpy_dtype(op.output().element_type)
    return context.constant((start + delta * np.arange(count)).astype(dtype))
