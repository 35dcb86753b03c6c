"""BATCH_MATMUL: products of matrices in the last two axes, the leading axes broadcast."""

from __future__ import annotations

from math import prod

import numpy as np
import tflite
from xdsl.dialects.builtin import IntegerType, f32, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import cast, requantize
from ...registry import DYNAMIC, shape_of
from ..legalization import Context, Operator, Tensor, legalize
from .shaping import broadcast, reshape


@legalize("BATCH_MATMUL")
def batch_matmul(op: Operator, context: Context) -> SSAValue:
    """[..., H, C] times [..., C, W]; `adj_x` and `adj_y` say that an operand comes with its last axes swapped."""
    options = op.options(tflite.BatchMatMulOptions)
    left, right, output = op.input(0), op.input(1), op.output()
    a, b = broadcast(context, context.value(left), context.value(right))
    hybrid = not isinstance(element_of(a), IntegerType) and isinstance(element_of(b), IntegerType)
    if hybrid:
        b = _real(context, b, right)
    a = _swap_last(context, a) if options.AdjX() else a
    b = _swap_last(context, b) if options.AdjY() else b
    leading = _broadcast_leading(context, shape_of(a)[:-2], shape_of(b)[:-2])
    batch = DYNAMIC if DYNAMIC in leading else prod(leading)
    product = context.add(
        tosa.MatMulOp(
            _flatten(context, a, leading, batch),
            _flatten(context, b, leading, batch),
            context.zero_point(0 if left.quantization is None else left.zero_point, element_of(a)),
            context.zero_point(0 if hybrid or right.quantization is None else right.zero_point, element_of(b)),
        )
    )
    if isinstance(element_of(a), IntegerType) and output.element_type != i32:
        # The kernel multiplies the scales in float32, see GetQuantizedConvolutionMultipler in kernels/kernel_util.cc.
        factor = np.float64(np.float32(left.scale) * np.float32(right.scale)) / np.float64(output.scale)
        product = requantize(context, product, factor, element_of(a), output.zero_point)
    return reshape(context, product, (*leading, shape_of(a)[-2], shape_of(b)[-1]))


def _real(context: Context, weight: SSAValue, tensor: Tensor) -> SSAValue:
    """Integer weights as the real numbers they stand for."""
    if tensor.quantization is None:
        context.unsupported(f"weights of type {element_of(weight)} without scales")
    wide = cast(context, weight, f32)
    shape = [1] * len(shape_of(weight))
    if tensor.quantization.per_channel:
        shape[tensor.quantization.axis + len(shape) - len(tensor.shape)] = -1
    if tensor.quantization.zero_point.any():
        points = tensor.quantization.zero_point.astype(np.float32).reshape(shape)
        wide = context.add(tosa.SubOp(wide, context.constant(points)))
    scales = context.constant(tensor.quantization.scale.reshape(shape))
    return context.add(tosa.MulOp(wide, scales, context.zero_shift()))


def _swap_last(context: Context, value: SSAValue) -> SSAValue:
    rank = len(shape_of(value))
    return context.add(tosa.TransposeOp(value, perms=[*range(rank - 2), rank - 1, rank - 2]))


def _broadcast_leading(context: Context, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    for a, b in zip(left, right, strict=True):
        if a != b and 1 not in (a, b):
            context.unsupported(f"leading extents {left} and {right}, which do not broadcast")
    return tuple(b if a == 1 else a for a, b in zip(left, right, strict=True))


def _flatten(context: Context, value: SSAValue, leading: tuple[int, ...], batch: int) -> SSAValue:
    """The matrices of `value` one after the other, repeated where its leading extents are 1: [batch, rows, columns]."""
    own, matrix = shape_of(value)[:-2], shape_of(value)[-2:]
    if own != leading:
        if DYNAMIC in leading:
            context.unsupported("matrices repeated a dynamic number of times; give shapes with --shape")
        times = [whole // part for whole, part in zip(leading, own, strict=True)]
        value = context.add(tosa.TileOp(value, context.shape([*times, 1, 1])))
    return reshape(context, value, (batch, *matrix))
