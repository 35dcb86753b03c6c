"""Spatial blocks moved to the batch dimension and back, and values scattered into zeros."""

from __future__ import annotations

import math

import numpy as np
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ....tosa.elements import numpy_dtype
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, legalize
from .data_movement import zeros
from .pad import real_zero
from .shaping import reshape
from .slice import take


@legalize("SPACE_TO_BATCH_ND")
def space_to_batch(op: Operator, context: Context) -> SSAValue:
    """[N, S*b..., R...] -> [N*b..., S..., R...], after padding the spatial dimensions S."""
    x = context.value(op.input(0))
    blocks, paddings = _blocks(op, context)
    flat = [0, 0, *(amount for pair in paddings for amount in pair)]
    flat += [0] * (2 * len(shape_of(x)) - len(flat))
    if any(flat):
        zero = np.full((1,), real_zero(op.input(0)), numpy_dtype(element_of(x)))
        x = context.add(tosa.PadOp(x, context.shape(flat), context.constant(zero)))
    batch, *spatial = shape_of(x)[: len(blocks) + 1]
    rest = shape_of(x)[len(blocks) + 1 :]
    if any(extent % block for extent, block in zip(spatial, blocks, strict=True)):
        raise ValueError(f"spatial extents {spatial} are no multiples of the blocks {blocks}")
    outer = [extent // block for extent, block in zip(spatial, blocks, strict=True)]
    x = reshape(context, x, [batch, *(e for pair in zip(outer, blocks, strict=True) for e in pair), *rest])
    count, rank = len(blocks), len(shape_of(x))
    order = [2 + 2 * i for i in range(count)] + [0] + [1 + 2 * i for i in range(count)]
    x = context.add(tosa.TransposeOp(x, perms=[*order, *range(2 * count + 1, rank)]))
    return reshape(context, x, [batch * math.prod(blocks), *outer, *rest])


@legalize("BATCH_TO_SPACE_ND")
def batch_to_space(op: Operator, context: Context) -> SSAValue:
    """[N*b..., S..., R...] -> [N, S*b..., R...], of which the borders are cropped."""
    x = context.value(op.input(0))
    blocks, crops = _blocks(op, context)
    batch, *spatial = shape_of(x)[: len(blocks) + 1]
    rest = shape_of(x)[len(blocks) + 1 :]
    if batch % math.prod(blocks):
        raise ValueError(f"a batch of {batch} is no multiple of the blocks {blocks}")
    x = reshape(context, x, [*blocks, batch // math.prod(blocks), *spatial, *rest])
    count, rank = len(blocks), len(shape_of(x))
    order = [count] + [axis for i in range(count) for axis in (count + 1 + i, i)]
    x = context.add(tosa.TransposeOp(x, perms=[*order, *range(2 * count + 1, rank)]))
    whole = [extent * block for extent, block in zip(spatial, blocks, strict=True)]
    x = reshape(context, x, [batch // math.prod(blocks), *whole, *rest])
    start = [0, *(before for before, _ in crops), *(0 for _ in rest)]
    size = [extent - before - after for extent, (before, after) in zip(whole, crops, strict=True)]
    if min(size) < 1:
        raise ValueError(f"crops {crops} of the extents {whole}")
    return take(context, x, start, [batch // math.prod(blocks), *size, *rest])


def _blocks(op: Operator, context: Context) -> tuple[list[int], list[tuple[int, int]]]:
    """Operands 1 and 2: the block sizes, and before and after of each spatial dimension to pad or crop."""
    shape = context.shape_of(op.input(0))
    blocks = context.constant_data(op.input(1)).reshape(-1).tolist()
    borders = context.constant_data(op.input(2))
    if borders.shape != (len(blocks), 2) or len(blocks) >= len(shape) or min(blocks) < 1 or borders.min() < 0:
        raise ValueError(f"blocks {blocks} and borders {borders.tolist()} of a tensor of shape {list(shape)}")
    if DYNAMIC in shape:
        context.unsupported("blocks of a tensor with dynamic dimensions; fix them with --shape")
    return blocks, [(int(before), int(after)) for before, after in borders]


@legalize("SCATTER_ND")
def scatter_nd(op: Operator, context: Context) -> SSAValue:
    """Zeros in which result[indices[i...]] = updates[i...]; indices and shape are constant.

    tosa.scatter writes each place once; TFLite adds where an index repeats, so a repeated index is not supported.
    """
    indices = context.constant_data(op.input(0))
    shape = [int(extent) for extent in context.constant_data(op.input(2)).reshape(-1)]
    depth = indices.shape[-1]
    if not 1 <= depth <= len(shape) or min(shape) < 1:
        raise ValueError(f"indices of {depth} coordinates into {shape}")
    flat = np.ravel_multi_index(tuple(np.moveaxis(indices, -1, 0)), shape[:depth]).reshape(1, -1)
    if np.unique(flat).size != flat.size:
        context.unsupported("indices that repeat, whose updates are summed")
    updates, places, row = context.value(op.input(1)), math.prod(shape[:depth]), math.prod(shape[depth:])
    values = reshape(context, updates, [1, flat.size, row])
    target = zeros(context, element_of(updates), (1, places, row))
    scattered = context.add(tosa.ScatterOp(target, context.constant(flat.astype(np.int32)), values))
    return reshape(context, scattered, shape)
