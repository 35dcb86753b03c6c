"""Element-wise arithmetic of two operands that broadcast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tflite
from xdsl.dialects.builtin import IntegerType, i8, i16, i32
from xdsl.ir import Attribute, SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ....tosa.elements import numpy_dtype
from ...quantization import Scale, cast, centered, quantize_multiplier, rescale
from ..fixed_point_operations import high_multiply, reciprocal, right_shift_away
from ..legalization import Context, Operator, Tensor, legalize
from .activation import fused_activation
from .shaping import broadcast


def _operands(op: Operator, context: Context) -> tuple[SSAValue, SSAValue]:
    left, right = broadcast(context, context.value(op.input(0)), context.value(op.input(1)))
    return left, right


def _is_quantized(op: Operator) -> bool:
    return op.output().quantization is not None and isinstance(op.output().element_type, IntegerType)


def multiply(context: Context, left: SSAValue, right: SSAValue) -> SSAValue:
    """left * right; integers narrower than 32 bits give i32."""
    return context.add(tosa.MulOp(left, right, context.zero_shift()))


@legalize("ADD")
def add(op: Operator, context: Context) -> SSAValue:
    return _sum(op, context, tosa.AddOp, op.options(tflite.AddOptions))


@legalize("ADD_N")
def add_n(op: Operator, context: Context) -> SSAValue:
    """The sum of any number of tensors of one shape."""
    total = context.value(op.input(0))
    for position in range(1, len(op.inputs)):
        total = context.add(tosa.AddOp(total, context.value(op.input(position))))
    return total


@legalize("SUB")
def sub(op: Operator, context: Context) -> SSAValue:
    return _sum(op, context, tosa.SubOp, op.options(tflite.SubOptions))


def _sum(
    op: Operator,
    context: Context,
    operation: type[tosa.AddOp] | type[tosa.SubOp],
    options: tflite.AddOptions | tflite.SubOptions,
) -> SSAValue:
    left, right = _operands(op, context)
    if not _is_quantized(op):
        result = in_32_bits(context, operation, left, right)
        return fused_activation(context, result, options.FusedActivationFunction(), op.output())
    element_type = element_of(left)
    if element_type == i16 and options.PotScaleInt16() and _powers_of_two(op):
        context.unsupported("16-bit operands whose scales are powers of two, which their kernel treats by itself")
    # The extra bits keep the sum exact enough and within 32 bits (`kernels/add.cc`, `kernels/sub.cc`).
    extra_bits = 15 if element_type == i16 else 20
    common, left, right = _on_common_scale(op, context, left, right, extra_bits)
    factor = np.float64(common) / (2.0**extra_bits * op.output().scale)
    result = context.add(operation(left, right))
    result = rescale(context, result, Scale.tflite(factor), element_type, 0, op.output().zero_point)
    return fused_activation(context, result, options.FusedActivationFunction(), op.output())


def _on_common_scale(
    op: Operator, context: Context, left: SSAValue, right: SSAValue, extra_bits: int
) -> tuple[float, SSAValue, SSAValue]:
    """Twice the greater scale of both operands, and the operands in i32 as multiples of it times 2^-extra_bits."""
    common = 2.0 * max(op.input(0).scale, op.input(1).scale)

    def on_scale(value: SSAValue, tensor: Tensor) -> SSAValue:
        wide = centered(context, value, tensor.zero_point)
        if 2 * tensor.scale == common:
            return context.add(tosa.LogicalLeftShiftOp(wide, context.splat(extra_bits - 1, like=wide)))
        shifted = context.add(tosa.LogicalLeftShiftOp(wide, context.splat(extra_bits, like=wide)))
        return rescale(context, shifted, Scale.tflite(np.float64(tensor.scale) / common), i32)

    return common, on_scale(left, op.input(0)), on_scale(right, op.input(1))


def _powers_of_two(op: Operator) -> bool:
    tensors = (op.input(0), op.input(1), op.output())
    return all(abs(np.log2(tensor.scale) - np.round(np.log2(tensor.scale))) < 1e-3 for tensor in tensors)


@legalize("MUL")
def mul(op: Operator, context: Context) -> SSAValue:
    activation = op.options(tflite.MulOptions).FusedActivationFunction()
    left, right = _operands(op, context)
    if not _is_quantized(op):
        result = in_32_bits(context, lambda a, b: tosa.MulOp(a, b, context.zero_shift()), left, right)
        return fused_activation(context, result, activation, op.output())
    first, second, output = op.input(0), op.input(1), op.output()
    product = multiply(context, centered(context, left, first.zero_point), centered(context, right, second.zero_point))
    factor = np.float32(first.scale) * np.float32(second.scale) / np.float32(output.scale)
    result = rescale(context, product, Scale.tflite(factor), output.element_type, 0, output.zero_point)
    return fused_activation(context, result, activation, output)


@legalize("SQUARED_DIFFERENCE")
def squared_difference(op: Operator, context: Context) -> SSAValue:
    left, right = _operands(op, context)
    if not _is_quantized(op):
        difference = context.add(tosa.SubOp(left, right))
        return multiply(context, difference, difference)
    if element_of(left) != i8:
        context.unsupported(f"{op.name} of quantised {element_of(left)}; int8 is supported")
    extra_bits = 7
    common, left, right = _on_common_scale(op, context, left, right, extra_bits)
    difference = context.add(tosa.SubOp(left, right))
    factor = np.float64(common) * common / (2.0 ** (2 * extra_bits) * op.output().scale)
    return rescale(
        context, multiply(context, difference, difference), Scale.tflite(factor), i8, 0, op.output().zero_point
    )


@legalize("DIV")
def div(op: Operator, context: Context) -> SSAValue:
    """Float: left * (1 / right), as TOSA has no division; int32 without a scale truncates towards zero."""
    left, right = _operands(op, context)
    if _is_quantized(op):
        result = _quantized_quotient(op, context, left, right)
    elif isinstance(element_of(left), IntegerType):
        result = context.add(tosa.IntDivOp(left, right))
    else:
        result = multiply(context, left, context.add(tosa.ReciprocalOp(right)))
    return fused_activation(context, result, op.options(tflite.DivOptions).FusedActivationFunction(), op.output())


def _quantized_quotient(op: Operator, context: Context, left: SSAValue, right: SSAValue) -> SSAValue:
    """left times the reciprocal of right, bit for bit `kernels/internal/reference/div.h`, which refuses zeros."""
    dividend, divisor, output = op.input(0), op.input(1), op.output()
    wide, by = centered(context, left, dividend.zero_point), centered(context, right, divisor.zero_point)
    zero, one = context.splat(0, like=wide), context.splat(1, like=wide)
    wide = context.add(tosa.SelectOp(context.add(tosa.GreaterOp(zero, by)), context.add(tosa.SubOp(zero, wide)), wide))
    by = context.add(tosa.AbsOp(by))
    leading_zeros = context.add(tosa.ClzOp(by))
    inverse = reciprocal(context, by, leading_zeros)
    # As many bits as the dividend leaves free are used: those above its magnitude, but one.
    sign = context.add(tosa.ArithmeticRightShiftOp(wide, context.splat(31, like=wide), round=False))
    free = context.add(tosa.ClzOp(context.add(tosa.BitwiseXorOp(wide, sign))))
    headroom = context.add(tosa.SubOp(free, one))
    quotient = high_multiply(context, context.add(tosa.LogicalLeftShiftOp(wide, headroom)), inverse)
    factor = np.float32(dividend.scale) / (np.float32(divisor.scale) * np.float32(output.scale))
    mantissa, exponent = (int(part[0]) for part in quantize_multiplier(factor))
    scaled = high_multiply(context, quotient, context.splat(mantissa, like=quotient))
    reciprocal_bits = context.add(tosa.SubOp(context.splat(31 - exponent, like=by), leading_zeros))
    shift = context.add(tosa.ClampOp(context.add(tosa.AddOp(reciprocal_bits, headroom)), 0, 31))
    result = context.add(
        tosa.AddOp(right_shift_away(context, scaled, shift), context.splat(output.zero_point, like=scaled))
    )
    limits = np.iinfo(numpy_dtype(output.element_type))
    return cast(context, context.add(tosa.ClampOp(result, limits.min, limits.max)), output.element_type)


@legalize("FLOOR_DIV")
def floor_div(op: Operator, context: Context) -> SSAValue:
    left, right = _operands(op, context)
    return _floor_quotient(context, left, right)


@legalize("FLOOR_MOD")
def floor_mod(op: Operator, context: Context) -> SSAValue:
    """left - right * floor(left / right): the sign of `right`."""
    left, right = _operands(op, context)
    multiple = multiply(context, right, _floor_quotient(context, left, right))
    return context.add(tosa.SubOp(left, multiple))


def _floor_quotient(context: Context, left: SSAValue, right: SSAValue) -> SSAValue:
    if not isinstance(element_of(left), IntegerType):
        return context.add(tosa.FloorOp(multiply(context, left, context.add(tosa.ReciprocalOp(right)))))
    quotient = context.add(tosa.IntDivOp(left, right))
    remainder = context.add(tosa.SubOp(left, multiply(context, right, quotient)))
    zero = context.splat(0, like=left)
    signs_differ = context.add(tosa.GreaterOp(zero, context.add(tosa.BitwiseXorOp(remainder, right))))
    exact = context.add(tosa.EqualOp(remainder, zero))
    rounds_down = context.add(tosa.LogicalAndOp(signs_differ, context.add(tosa.LogicalNotOp(exact))))
    below = context.add(tosa.SubOp(quotient, context.splat(1, like=left)))
    return context.add(tosa.SelectOp(rounds_down, below, quotient))


@legalize("POW")
def power(op: Operator, context: Context) -> SSAValue:
    left, right = _operands(op, context)
    if isinstance(element_of(left), IntegerType):
        context.unsupported("integer POW; convert the model with POW in float")
    return context.add(tosa.PowOp(left, right))


@legalize("MAXIMUM")
def maximum(op: Operator, context: Context) -> SSAValue:
    return in_32_bits(context, tosa.MaximumOp, *_operands(op, context))


@legalize("MINIMUM")
def minimum(op: Operator, context: Context) -> SSAValue:
    return in_32_bits(context, tosa.MinimumOp, *_operands(op, context))


def in_32_bits(
    context: Context, operation: Callable[[SSAValue, SSAValue], tosa.TosaOp], left: SSAValue, right: SSAValue
) -> SSAValue:
    """`operation` on integers narrower than 32 bits by way of i32, as TOSA has such arithmetic only there.

    Quantised operands of one scale, and integers without any, come out as their kernels do, which wrap.
    """
    element_type: Attribute = element_of(left)
    if element_type not in (i8, i16):
        return context.add(operation(left, right))
    wide = context.add(operation(cast(context, left, i32), cast(context, right, i32)))
    return cast(context, wide, element_type)
