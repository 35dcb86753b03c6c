"""Joining tensors along an axis that exists, or along a new one."""

from __future__ import annotations

import numpy as np
import tflite
from xdsl.dialects.builtin import i8
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ...quantization import round_half_away
from ...registry import shape_of
from ..legalization import Context, Operator, Tensor, legalize
from .axes import normalize_axis
from .shaping import reshape


@legalize("CONCATENATION")
def concatenation(op: Operator, context: Context) -> SSAValue:
    """Quantised operands whose scale is not the result's are rescaled first."""
    options = op.options(tflite.ConcatenationOptions)
    if options.FusedActivationFunction() != tflite.ActivationFunctionType.NONE:
        context.unsupported("a fused activation; TFLite's own kernel refuses it too")
    tensors = [op.input(i) for i in range(len(op.inputs))]
    values = [_in_scale_of(context, tensor, op.output()) for tensor in tensors]
    axis = normalize_axis(options.Axis(), len(context.shape_of(tensors[0])))
    return values[0] if len(values) == 1 else context.add(tosa.ConcatOp(values, axis=axis))


def _in_scale_of(context: Context, tensor: Tensor, result: Tensor) -> SSAValue:
    value = context.value(tensor)
    if tensor.quantization is None or result.quantization is None:
        return value
    if (tensor.scale, tensor.zero_point) == (result.scale, result.zero_point):
        return value
    if tensor.element_type != i8:
        context.unsupported(f"'{tensor.name}' has another scale than the result, which TFLite allows for uint8 only")
    return context.add(tosa.TableOp(value, context.constant(_rescaling_table(tensor, result))))


def _rescaling_table(tensor: Tensor, result: Tensor) -> np.ndarray:
    """The result's value for each int8 value, in the float arithmetic of ConcatenationWithScaling.

    Source: `kernels/internal/reference/concatenation.h`.
    """
    values = np.arange(-128, 128, dtype=np.float32)
    if tensor.unsigned:  # the kernel sees unshifted values
        values = values + np.float32(128)
    zero_point = tensor.zero_point + (128 if tensor.unsigned else 0)
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.float32(tensor.scale) * (np.float32(1) / np.float32(result.scale))
        scaled = values * scale + np.float32(-zero_point) * scale
    if not np.isfinite(scaled).all():
        raise ValueError(f"the scales {tensor.scale} and {result.scale} are too far apart")
    return np.clip(round_half_away(scaled.astype(np.float64)) + result.zero_point, -128, 127).astype(np.int8)


@legalize("PACK")
def pack(op: Operator, context: Context) -> SSAValue:
    """Stacks tensors of one shape along a new axis."""
    values = [context.value(op.input(i)) for i in range(len(op.inputs))]
    shape = list(shape_of(values[0]))
    axis = normalize_axis(op.options(tflite.PackOptions).Axis(), len(shape) + 1)
    expanded = [reshape(context, value, [*shape[:axis], 1, *shape[axis:]]) for value in values]
    return expanded[0] if len(expanded) == 1 else context.add(tosa.ConcatOp(expanded, axis=axis))
