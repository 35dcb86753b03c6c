"""Activation functions, alone and fused into other operators (TFLite `kernels/activations.cc`)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tflite
from xdsl.dialects.builtin import IntegerType, i8, i16
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ....tosa.elements import numpy_dtype
from ...quantization import Scale, centered, quantize_multiplier, rescale
from ..fixed_point import (
    INT8_VALUES,
    Array,
    doubling_high_multiply,
    interpolated_table,
    libm,
    quantized_table,
    rounding_divide,
    saturating_left_shift,
)
from ..legalization import Context, Operator, Tensor, legalize
from .shaping import broadcast

_RELU_RANGES = {
    tflite.ActivationFunctionType.RELU: (0.0, math.inf),
    tflite.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    tflite.ActivationFunctionType.RELU6: (0.0, 6.0),
}


def fused_activation(context: Context, value: SSAValue, function: int, output: Tensor) -> SSAValue:
    """The activation that an operator with result `output` applies to `value` last."""
    if function == tflite.ActivationFunctionType.NONE:
        return value
    if function not in _RELU_RANGES:
        context.unsupported(f"fused activation {function}; NONE, RELU, RELU6 and RELU_N1_TO_1 are supported")
    return clamp(context, value, *_RELU_RANGES[function], output)


def clamp(context: Context, value: SSAValue, low: float, high: float, output: Tensor) -> SSAValue:
    """`value` limited to the real numbers [low, high]; where `output` is quantised, to their nearest steps."""
    element_type = element_of(value)
    if not isinstance(element_type, IntegerType):
        return context.add(tosa.ClampOp(value, low, high))
    limits = np.iinfo(numpy_dtype(element_type))

    def step(real: float) -> int:
        if not math.isfinite(real):
            return limits.max
        return min(max(_nearest_step(real, output), limits.min), limits.max)

    if (step(low), step(high)) == (limits.min, limits.max):
        return value
    return context.add(tosa.ClampOp(value, step(low), step(high)))


def _nearest_step(real: float, output: Tensor) -> int:
    """The integer nearest to `real` in steps of `output`, halves away from zero, divided in float32 as kernels do."""
    if output.quantization is None:
        return int(real)
    steps = float(np.float32(real) / np.float32(output.scale))
    return int(math.copysign(math.floor(abs(steps) + 0.5), steps)) + output.zero_point


def table(context: Context, op: Operator, function: Callable[[Array], Array]) -> SSAValue:
    """A float32 function of a quantised tensor as a look-up: exact for int8, interpolated as in TFLite for int16."""
    x, input, output = context.value(op.input(0)), op.input(0), op.output()
    if element_of(x) == i8:
        return int8_table(context, op, quantized_table(function, input, output))
    if element_of(x) != i16:
        context.unsupported(f"{op.name} of quantised {element_of(x)}; int8, uint8 and int16 are supported")
    entries = context.constant(interpolated_table(function, input.scale, output.scale))
    return rescale(context, context.add(tosa.TableOp(x, entries)), Scale.power_of_two(-7), i16)


def int8_table(context: Context, op: Operator, entries: Array) -> SSAValue:
    """The table look-up whose `entries` stand for the values -128..127 of the first operand."""
    x = context.value(op.input(0))
    if element_of(x) != i8:
        context.unsupported(f"{op.name} of quantised {element_of(x)}; int8 and uint8 are supported")
    return context.add(tosa.TableOp(x, context.constant(np.clip(entries, -128, 127).astype(np.int8))))


def _relu(low: float, high: float) -> Callable[[Operator, Context], SSAValue]:
    def legalization(op: Operator, context: Context) -> SSAValue:
        x, input, output = context.value(op.input(0)), op.input(0), op.output()
        if input.quantization is not None and (input.scale, input.zero_point) != (output.scale, output.zero_point):
            factor = np.float32(input.scale) / np.float32(output.scale)
            x = rescale(context, x, Scale.tflite(factor), element_of(x), input.zero_point, output.zero_point)
        return clamp(context, x, low, high, output)

    return legalization


legalize("RELU")(_relu(0.0, math.inf))
legalize("RELU6")(_relu(0.0, 6.0))
legalize("RELU_N1_TO_1")(_relu(-1.0, 1.0))
legalize("RELU_0_TO_1")(_relu(0.0, 1.0))


@legalize("ELU")
def elu(op: Operator, context: Context) -> SSAValue:
    """x for x >= 0, else exp(x) - 1, computed as tanh(x/2) * (exp(x) + 1), which does not cancel near 0."""
    if op.input(0).quantization is not None:
        return table(context, op, lambda x: np.where(x < 0, libm(np.expm1, x), x))
    x = context.value(op.input(0))
    below = context.add(tosa.MinimumOp(x, context.splat(0, like=x)))
    half = context.add(tosa.MulOp(below, context.splat(0.5, like=x), context.zero_shift()))
    exp_plus_one = context.add(tosa.AddOp(context.add(tosa.ExpOp(below)), context.splat(1, like=x)))
    below = context.add(tosa.MulOp(context.add(tosa.TanhOp(half)), exp_plus_one, context.zero_shift()))
    positive = context.add(tosa.GreaterOp(x, context.splat(0, like=x)))
    return context.add(tosa.SelectOp(positive, x, below))


@legalize("GELU")
def gelu(op: Operator, context: Context) -> SSAValue:
    """x * P(X <= x) for a standard normal X, or its approximation by tanh."""
    approximate = op.options(tflite.GeluOptions).Approximate()
    if op.input(0).quantization is not None:
        return table(context, op, _approximate_gelu if approximate else _gelu)
    x = context.value(op.input(0))
    shift = context.zero_shift()

    def times(a: SSAValue, b: SSAValue | float) -> SSAValue:
        return context.add(tosa.MulOp(a, context.splat(b, like=x) if isinstance(b, float) else b, shift))

    if approximate:
        cube = times(times(x, x), x)
        inner = context.add(tosa.AddOp(x, times(cube, 0.044715)))
        odd = context.add(tosa.TanhOp(times(inner, math.sqrt(2 / math.pi))))
    else:
        odd = context.add(tosa.ErfOp(times(x, math.sqrt(0.5))))
    return times(times(x, 0.5), context.add(tosa.AddOp(odd, context.splat(1, like=x))))


def _gelu(x: Array) -> Array:
    erfc = np.vectorize(math.erfc, otypes=[np.float64])
    return np.float32(0.5) * x * libm(erfc, x * np.float32(-math.sqrt(0.5)))


def _approximate_gelu(x: Array) -> Array:
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + libm(np.tanh, inner))


@legalize("HARD_SWISH")
def hard_swish(op: Operator, context: Context) -> SSAValue:
    """x * relu6(x + 3) / 6."""
    if op.input(0).quantization is not None:
        return int8_table(context, op, _hard_swish_entries(op.input(0), op.output()))
    x = context.value(op.input(0))
    shifted = context.add(tosa.AddOp(x, context.splat(3, like=x)))
    gate = context.add(tosa.ClampOp(shifted, 0.0, 6.0))
    product = context.add(tosa.MulOp(x, gate, context.zero_shift()))
    return context.add(tosa.MulOp(product, context.splat(1 / 6, like=x), context.zero_shift()))


def _hard_swish_entries(input: Tensor, output: Tensor) -> Array:
    """The 16-bit arithmetic of `kernels/internal/reference/hard_swish.h`, for each int8 value."""
    fine_scale = np.float32(1 / 128) * np.float32(input.scale)
    output_factor, output_exponent = _multiplier16(fine_scale / np.float32(output.scale))
    gate_factor, gate_exponent = _multiplier16(fine_scale / (np.float32(3) / np.float32(32768)))
    fine = (INT8_VALUES - input.zero_point) << 7
    # The gate rescales [-3, 3] to 16 bits and saturates; the last left shift comes after the multiplication so that
    # saturation before it does not show.
    gate = saturating_left_shift(fine, gate_exponent - 1, 16) if gate_exponent > 0 else fine
    gate = doubling_high_multiply(gate, gate_factor, 16)
    if gate_exponent > 0:
        gate = saturating_left_shift(gate, 1, 16)
    elif gate_exponent < 0:
        gate = rounding_divide(gate, -gate_exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * doubling_high_multiply(fine, output_factor, 16)
    truncated = np.sign(product) * (np.abs(product) >> 15)
    return rounding_divide(truncated, -output_exponent) + output.zero_point


def _multiplier16(real: np.floating) -> tuple[int, int]:
    """A factor as a 15-bit mantissa and an exponent, as DownScaleInt32ToInt16Multiplier rounds it."""
    mantissa, exponent = (int(part[0]) for part in quantize_multiplier(float(real)))
    return (mantissa + (1 << 15)) >> 16 if mantissa < 0x7FFF7FFF else 0x7FFF, exponent


@legalize("LEAKY_RELU")
def leaky_relu(op: Operator, context: Context) -> SSAValue:
    """x for x >= 0, else alpha * x."""
    alpha = op.options(tflite.LeakyReluOptions).Alpha()
    x, input, output = context.value(op.input(0)), op.input(0), op.output()
    if input.quantization is None:
        scaled = context.add(tosa.MulOp(x, context.splat(alpha, like=x), context.zero_shift()))
        if 0 <= alpha <= 1:
            return context.add(tosa.MaximumOp(x, scaled))
        positive = context.add(tosa.GreaterOp(x, context.splat(0, like=x)))
        return context.add(tosa.SelectOp(positive, x, scaled))
    identity = Scale.tflite(np.float32(input.scale) / np.float32(output.scale))
    slope = np.float32(input.scale) * np.float32(alpha) / np.float32(output.scale)
    below = Scale.tflite(abs(slope))
    if element_of(x) == i8:
        values = INT8_VALUES - input.zero_point
        negative = below.apply(values) * (1 if slope >= 0 else -1)
        entries = np.where(values >= 0, identity.apply(values), negative) + output.zero_point
        return int8_table(context, op, entries)
    if slope < 0:
        context.unsupported("a negative slope on 16-bit activations")
    wide = centered(context, x, input.zero_point)
    positive = context.add(tosa.GreaterEqualOp(wide, context.splat(0, like=wide)))
    branches = (rescale(context, x, scale, element_of(x)) for scale in (identity, below))
    return context.add(tosa.SelectOp(positive, *branches))


@legalize("PRELU")
def prelu(op: Operator, context: Context) -> SSAValue:
    """x for x >= 0, else alpha * x with an `alpha` that broadcasts (`kernels/internal/reference/prelu.h`)."""
    x, alpha = broadcast(context, context.value(op.input(0)), context.value(op.input(1)))
    input, slope, output = op.input(0), op.input(1), op.output()
    if input.quantization is None:
        scaled = context.add(tosa.MulOp(x, alpha, context.zero_shift()))
        positive = context.add(tosa.GreaterEqualOp(x, context.splat(0, like=x)))
        return context.add(tosa.SelectOp(positive, x, scaled))
    element_type = element_of(x)
    wide, wide_alpha = centered(context, x, input.zero_point), centered(context, alpha, slope.zero_point)
    product = context.add(tosa.MulOp(wide, wide_alpha, context.zero_shift()))
    factor = np.float32(input.scale) / np.float32(output.scale)
    alpha_factor = np.float32(input.scale) * np.float32(slope.scale) / np.float32(output.scale)
    above = rescale(context, wide, Scale.tflite(factor), element_type, 0, output.zero_point)
    below = rescale(context, product, Scale.tflite(alpha_factor), element_type, 0, output.zero_point)
    positive = context.add(tosa.GreaterEqualOp(wide, context.splat(0, like=wide)))
    return context.add(tosa.SelectOp(positive, above, below))
