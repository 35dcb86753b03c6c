"""Element-wise functions of one operand (TFLite `kernels/elementwise.cc` and its neighbours)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from xdsl.dialects.builtin import IntegerType, i8, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import Scale
from ..fixed_point import INT8_VALUES, Array, inverse_square_root, libm
from ..legalization import Context, Operator, Tensor, legalize
from .activation import int8_table, table
from .arithmetic import multiply


def _float_function(operation: Callable[[SSAValue], tosa.TosaOp]) -> Callable[[Operator, Context], SSAValue]:
    def legalization(op: Operator, context: Context) -> SSAValue:
        x = context.value(op.input(0))
        if isinstance(element_of(x), IntegerType):
            context.unsupported(f"{op.name} of {element_of(x)}; only its float form is supported")
        return context.add(operation(x))

    return legalization


legalize("CEIL")(_float_function(tosa.CeilOp))
legalize("COS")(_float_function(tosa.CosOp))
legalize("FLOOR")(_float_function(tosa.FloorOp))
legalize("SIN")(_float_function(tosa.SinOp))


@legalize("EXP")
def exp(op: Operator, context: Context) -> SSAValue:
    if op.input(0).quantization is not None:
        return table(context, op, lambda x: libm(np.exp, x))
    return context.add(tosa.ExpOp(context.value(op.input(0))))


@legalize("LOG")
def log(op: Operator, context: Context) -> SSAValue:
    output = op.output()
    if op.input(0).quantization is not None:
        lowest = -128 if output.element_type == i8 else -32768
        least = np.float32(lowest - output.zero_point) * np.float32(output.scale)
        return table(context, op, lambda x: np.where(x > 0, libm(np.log, x), least))
    return context.add(tosa.LogOp(context.value(op.input(0))))


@legalize("SQRT")
def sqrt(op: Operator, context: Context) -> SSAValue:
    """TOSA has only the reciprocal of the root."""
    input, output = op.input(0), op.output()
    if input.quantization is not None:
        real = np.float32(input.scale) * np.maximum(INT8_VALUES - input.zero_point, 0).astype(np.float32)
        steps = np.trunc(np.sqrt(real) / np.float32(output.scale)).astype(np.int64)
        return int8_table(context, op, steps + output.zero_point)
    return context.add(tosa.ReciprocalOp(context.add(tosa.RsqrtOp(context.value(input)))))


@legalize("RSQRT")
def rsqrt(op: Operator, context: Context) -> SSAValue:
    input, output = op.input(0), op.output()
    if input.quantization is None:
        return context.add(tosa.RsqrtOp(context.value(input)))
    if element_of(context.value(input)) != i8:
        greatest = np.float32(32767) * np.float32(output.scale)
        return table(context, op, lambda x: np.where(x > 0, np.float32(1) / np.sqrt(x), greatest))
    return int8_table(context, op, _rsqrt_entries(input, output))


def _rsqrt_entries(input: Tensor, output: Tensor) -> Array:
    """RsqrtEvalQuantizedInt8 of `kernels/elementwise.cc`: zero gives the greatest value, negative ones are an error.

    A model cannot raise an error here; negative values give the greatest value, too.
    """
    kept_bits = 20
    values = np.maximum(INT8_VALUES - input.zero_point, 1)
    mantissa, exponent = inverse_square_root(values)
    inverse = np.array([Scale.fixed(m, e + kept_bits).apply(1)[0] for m, e in zip(mantissa, exponent, strict=True)])
    factor = 1.0 / (np.sqrt(np.float32(input.scale)) * np.float32(output.scale)).astype(np.float64)
    scaled = Scale.tflite(factor * 2.0**-kept_bits).apply(inverse)
    return np.where(input.zero_point >= INT8_VALUES, 127, scaled + output.zero_point)


@legalize("ABS")
def absolute(op: Operator, context: Context) -> SSAValue:
    input, output = op.input(0), op.output()
    x = context.value(input)
    if input.quantization is None or element_of(x) == i32:
        return context.add(tosa.AbsOp(x))
    values = np.abs(INT8_VALUES - input.zero_point)
    if input.scale != output.scale:
        values = Scale.tflite(np.float32(input.scale) / np.float32(output.scale)).apply(values)
    return int8_table(context, op, values + output.zero_point)


@legalize("NEG")
def negate(op: Operator, context: Context) -> SSAValue:
    x = context.value(op.input(0))
    zero = context.zero_point(0, element_of(x))
    return context.add(tosa.NegateOp(x, zero, zero))


@legalize("SQUARE")
def square(op: Operator, context: Context) -> SSAValue:
    x = context.value(op.input(0))
    return multiply(context, x, x)


@legalize("SIGN")
def sign(op: Operator, context: Context) -> SSAValue:
    x = context.value(op.input(0))
    zero = context.splat(0, like=x)
    positive = context.add(tosa.SelectOp(context.add(tosa.GreaterOp(x, zero)), context.splat(1, like=x), zero))
    return context.add(tosa.SelectOp(context.add(tosa.GreaterOp(zero, x)), context.splat(-1, like=x), positive))


@legalize("ROUND")
def round_to_even(op: Operator, context: Context) -> SSAValue:
    """The nearest integer, halves to even: floor(x), plus one above a half, or at a half if floor(x) is odd."""
    x = context.value(op.input(0))
    half, one = context.splat(0.5, like=x), context.splat(1, like=x)
    below = context.add(tosa.FloorOp(x))
    fraction = context.add(tosa.SubOp(x, below))
    half_below = multiply(context, below, half)
    is_odd = context.add(tosa.GreaterOp(half_below, context.add(tosa.FloorOp(half_below))))
    half_of_odd = context.add(tosa.LogicalAndOp(context.add(tosa.EqualOp(fraction, half)), is_odd))
    up = context.add(tosa.LogicalOrOp(context.add(tosa.GreaterOp(fraction, half)), half_of_odd))
    return context.add(tosa.SelectOp(up, context.add(tosa.AddOp(below, one)), below))
