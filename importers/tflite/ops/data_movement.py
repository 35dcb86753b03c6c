"""Operators that permute, repeat or choose elements without computing on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tflite
from xdsl.ir import Attribute, SSAValue

from ....tosa import dialect as tosa
from ....tosa.elements import numpy_dtype
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, legalize
from .axes import normalize_axes
from .shaping import broadcast, reshape


@legalize("TRANSPOSE")
def transpose(op: Operator, context: Context) -> SSAValue:
    perms = context.constant_data(op.input(1)).reshape(-1)
    rank = len(context.shape_of(op.input(0)))
    return context.add(tosa.TransposeOp(context.value(op.input(0)), perms=[int(p) % rank for p in perms]))


@legalize("TILE")
def tile(op: Operator, context: Context) -> SSAValue:
    return _tile(context, context.value(op.input(0)), context.constant_data(op.input(1)).reshape(-1).tolist())


@legalize("BROADCAST_TO")
def broadcast_to(op: Operator, context: Context) -> SSAValue:
    return _broadcast_to(context, context.value(op.input(0)), context.constant_data(op.input(1)).reshape(-1).tolist())


@legalize("FILL")
def fill(op: Operator, context: Context) -> SSAValue:
    dims = context.constant_data(op.input(0)).reshape(-1).tolist()
    return _broadcast_to(context, context.value(op.input(1)), dims)


@legalize("ZEROS_LIKE")
def zeros_like(op: Operator, context: Context) -> SSAValue:
    extents = context.shape_of(op.input(0))
    if DYNAMIC in extents:
        context.unsupported("zeros in a dynamic shape; fix it with --shape")
    return zeros(context, context.type_of(op.input(0)).get_element_type(), extents)


@legalize("REVERSE_V2")
def reverse(op: Operator, context: Context) -> SSAValue:
    x = context.value(op.input(0))
    for axis in normalize_axes(context.constant_data(op.input(1)).reshape(-1), len(shape_of(x))):
        x = context.add(tosa.ReverseOp(x, axis=axis))
    return x


@legalize("SELECT", "SELECT_V2")
def select(op: Operator, context: Context) -> SSAValue:
    """Element-wise choice with numpy's broadcasting; the condition of SELECT may be a vector that chooses rows."""
    condition, on_true, on_false = (context.value(op.input(i)) for i in range(3))
    rank = len(shape_of(on_true))
    if op.name == "SELECT" and len(shape_of(condition)) == 1 and rank > 1:
        condition = reshape(context, condition, [*shape_of(condition), *(1,) * (rank - 1)])
    return context.add(tosa.SelectOp(*broadcast(context, condition, on_true, on_false)))


@legalize("DENSIFY")
def densify(op: Operator, context: Context) -> SSAValue:
    """Sparse constants are expanded when they are read; nothing else can be sparse."""
    return context.value(op.input(0))


@legalize("DEPTH_TO_SPACE")
def depth_to_space(op: Operator, context: Context) -> SSAValue:
    """[N,H,W,b*b*C] -> [N,H*b,W*b,C]: a channel group becomes a block of b x b pixels."""
    block = _block_size(op.options(tflite.DepthToSpaceOptions).BlockSize())
    batch, height, width, depth = _static_image(context, op)
    if depth % (block * block):
        raise ValueError(f"{depth} channels are no multiple of the block's {block * block}")
    channels = depth // (block * block)
    x = reshape(context, context.value(op.input(0)), [batch, height, width, block, block, channels])
    x = context.add(tosa.TransposeOp(x, perms=[0, 1, 3, 2, 4, 5]))
    return reshape(context, x, [batch, height * block, width * block, channels])


@legalize("SPACE_TO_DEPTH")
def space_to_depth(op: Operator, context: Context) -> SSAValue:
    """[N,H*b,W*b,C] -> [N,H,W,b*b*C]: a block of b x b pixels becomes a channel group."""
    block = _block_size(op.options(tflite.SpaceToDepthOptions).BlockSize())
    batch, height, width, channels = _static_image(context, op)
    if height % block or width % block:
        raise ValueError(f"an image of {height} x {width} has no blocks of {block} x {block}")
    x = reshape(context, context.value(op.input(0)), [batch, height // block, block, width // block, block, channels])
    x = context.add(tosa.TransposeOp(x, perms=[0, 1, 3, 2, 4, 5]))
    return reshape(context, x, [batch, height // block, width // block, block * block * channels])


def zeros(context: Context, element_type: Attribute, shape: Sequence[int]) -> SSAValue:
    """A tensor of zeros: one, repeated, so that a large one costs the module nothing."""
    zero = context.constant(np.zeros((1,) * len(shape), numpy_dtype(element_type)))
    return _tile(context, zero, list(shape))


def _block_size(block: int) -> int:
    if block < 1:
        raise ValueError(f"a block size of {block}")
    return block


def _static_image(context: Context, op: Operator) -> tuple[int, int, int, int]:
    """The extents of an [N,H,W,C] operand, of which only N may be dynamic."""
    batch, height, width, channels = context.shape_of(op.input(0))
    if DYNAMIC in (height, width, channels):
        context.unsupported("an image of dynamic size; fix it with --shape")
    return batch, height, width, channels


def _tile(context: Context, x: SSAValue, multiples: list[int]) -> SSAValue:
    if any(multiple < 0 for multiple in multiples):
        raise ValueError(f"negative multiples {multiples}")
    if all(multiple == 1 for multiple in multiples):
        return x
    return context.add(tosa.TileOp(x, context.shape(multiples)))


def _broadcast_to(context: Context, x: SSAValue, target: list[int]) -> SSAValue:
    """`x` repeated to the shape `target`, as numpy's broadcast_to."""
    source = shape_of(x)
    if any(extent < 0 for extent in target) or len(source) > len(target):
        raise ValueError(f"cannot broadcast {list(source)} to {target}")
    source = (1,) * (len(target) - len(source)) + source
    if any(extent not in (1, wanted) for extent, wanted in zip(source, target, strict=True)):
        raise ValueError(f"cannot broadcast {list(source)} to {target}")
    multiples = [wanted if extent == 1 else 1 for extent, wanted in zip(source, target, strict=True)]
    return _tile(context, reshape(context, x, source), multiples)
