"""Elements or rows chosen by index: all become tosa.gather, values [N,K,C] by indices [N,W] to [N,W,C]."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tflite
from xdsl.dialects.builtin import f32, i1, i8, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import cast
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, Tensor, legalize
from .axes import normalize_axis
from .shaping import reshape


@legalize("GATHER")
def gather(op: Operator, context: Context) -> SSAValue:
    """result[batch, before, indices..., after] = x[batch, before, indices[batch, ...], after].

    The axis is moved next to the batch dimensions, so that one gather reads rows of the `before` and `after` elements.
    """
    x, indices = context.value(op.input(0)), _indices(context, op.input(1))
    options = op.options(tflite.GatherOptions)
    shape, index_shape = shape_of(x), shape_of(indices)
    axis = normalize_axis(options.Axis(), len(shape))
    batch_dims = options.BatchDims() + (len(index_shape) if options.BatchDims() < 0 else 0)
    if not 0 <= batch_dims <= min(axis, len(index_shape)):
        raise ValueError(f"{options.BatchDims()} batch dimensions before axis {axis} of {list(shape)}")
    batch, before, after = shape[:batch_dims], shape[batch_dims:axis], shape[axis + 1 :]
    if axis != batch_dims:
        order = [*range(batch_dims), axis, *range(batch_dims, axis), *range(axis + 1, len(shape))]
        x = context.add(tosa.TransposeOp(x, perms=order))
    chosen = index_shape[batch_dims:]
    rows = _gather_rows(context, x, indices, batch, shape[axis], chosen, (*before, *after))
    if not before or not chosen:
        return rows
    moved, width = len(before), len(chosen)
    order = [*range(batch_dims)]
    order += [batch_dims + width + i for i in range(moved)] + [batch_dims + i for i in range(width)]
    order += range(batch_dims + width + moved, len(shape_of(rows)))
    return context.add(tosa.TransposeOp(rows, perms=order))


@legalize("GATHER_ND")
def gather_nd(op: Operator, context: Context) -> SSAValue:
    """result[i...] = x[indices[i..., 0], indices[i..., 1], ...]: the leading dimensions of x as one, by flat index."""
    x, indices = context.value(op.input(0)), _indices(context, op.input(1))
    shape, index_shape = shape_of(x), shape_of(indices)
    depth = index_shape[-1]
    if not 1 <= depth <= len(shape) or DYNAMIC in shape[:depth]:
        context.unsupported(f"indices of {depth} coordinates into {list(shape)}")
    strides = [math.prod(shape[i + 1 : depth]) for i in range(depth)]
    flat = reshape(context, indices, [_product(index_shape[:-1]), depth])
    factors = context.constant(np.array([strides], np.int32))
    products = context.add(tosa.MulOp(flat, factors, context.zero_shift()))
    flat = context.add(tosa.ReduceSumOp(products, axis=1))
    return _gather_rows(context, x, flat, (), math.prod(shape[:depth]), index_shape[:-1], shape[depth:])


@legalize("EMBEDDING_LOOKUP")
def embedding_lookup(op: Operator, context: Context) -> SSAValue:
    """Rows of a table by index; those of a quantised table are dequantised if the result is float.

    Source: `kernels/embedding_lookup.cc`, EvalHybrid: value * scale, without a zero point.
    """
    indices, table = _indices(context, op.input(0)), op.input(1)
    values = context.value(table)
    shape = shape_of(values)
    rows = _gather_rows(context, values, indices, (), shape[0], shape_of(indices), shape[1:])
    if table.quantization is None or op.output().element_type != f32:
        return rows
    if table.quantization.per_channel:
        context.unsupported("a table with one scale per row; one scale for all of it is supported")
    scale = context.splat(table.scale, like=cast(context, rows, f32))
    return context.add(tosa.MulOp(cast(context, rows, f32), scale, context.zero_shift()))


@legalize("ONE_HOT")
def one_hot(op: Operator, context: Context) -> SSAValue:
    """`on` where the index equals the position along a new axis, else `off`. Operands: indices, depth, on, off."""
    indices = _indices(context, op.input(0))
    shape = list(shape_of(indices))
    depth = int(context.constant_data(op.input(1)).item())
    if not 0 < depth <= 1 << 20:
        context.unsupported(f"a depth of {depth}")
    axis = normalize_axis(op.options(tflite.OneHotOptions).Axis(), len(shape) + 1)
    positions = np.arange(depth, dtype=np.int32).reshape([depth if i == axis else 1 for i in range(len(shape) + 1)])
    expanded = reshape(context, indices, [*shape[:axis], 1, *shape[axis:]])
    chosen = context.add(tosa.EqualOp(expanded, context.constant(positions)))
    on, off = (reshape(context, context.value(op.input(i)), [1] * (len(shape) + 1)) for i in (2, 3))
    return context.add(tosa.SelectOp(chosen, on, off))


def _indices(context: Context, tensor: Tensor) -> SSAValue:
    """Indices as TOSA takes them, in 32 bits. No tensor is large enough to need more."""
    known = context.known_data(tensor)
    if known is not None:
        return context.constant(known.astype(np.int32))
    return cast(context, context.value(tensor), i32)


def _gather_rows(
    context: Context,
    x: SSAValue,
    indices: SSAValue,
    batch: Sequence[int],
    extent: int,
    chosen: Sequence[int],
    row: Sequence[int],
) -> SSAValue:
    """x [batch..., extent, row...] by indices [batch..., chosen...] to [batch..., chosen..., row...]."""
    boolean = element_of(x) == i1  # tosa.gather has no booleans
    values = reshape(context, cast(context, x, i8) if boolean else x, [_product(batch), extent, _product(row)])
    flat = reshape(context, indices, [_product(batch), _product(chosen)])
    rows = reshape(context, context.add(tosa.GatherOp(values, flat)), [*batch, *chosen, *row])
    return cast(context, rows, i1) if boolean else rows


def _product(extents: Sequence[int]) -> int:
    return DYNAMIC if DYNAMIC in extents else math.prod(extents)
