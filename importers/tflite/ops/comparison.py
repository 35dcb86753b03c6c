"""Comparisons and logical operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from xdsl.dialects.builtin import IntegerType, i1, i32
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ....tosa.dialect.types import element_of
from ...quantization import Scale, cast, centered, rescale
from ..legalization import Context, Operator, Tensor, legalize
from .shaping import broadcast

Compare = Callable[[SSAValue, SSAValue], tosa.TosaOp]

_EXTRA_BITS = 8
"""By which quantised operands are shifted before they are brought to real numbers (`kernels/comparisons.cc`)."""


def _comparable(context: Context, value: SSAValue, tensor: Tensor) -> SSAValue:
    """The operand in a type that TOSA compares: floats as they are, integers in i32, quantised ones scaled."""
    element_type = element_of(value)
    if not isinstance(element_type, IntegerType) or element_type.width.data > 32:
        return value
    if tensor.quantization is None or element_type == i32:
        return cast(context, value, i32)
    wide = centered(context, value, tensor.zero_point)
    shifted = context.add(tosa.LogicalLeftShiftOp(wide, context.splat(_EXTRA_BITS, like=wide)))
    return rescale(context, shifted, Scale.tflite(np.float64(tensor.scale)), i32)


def _comparison(compare: Compare, swapped: bool = False, negated: bool = False) -> Callable[..., SSAValue]:
    def legalization(op: Operator, context: Context) -> SSAValue:
        left, right = broadcast(context, context.value(op.input(0)), context.value(op.input(1)))
        left, right = _comparable(context, left, op.input(0)), _comparable(context, right, op.input(1))
        result = context.add(compare(right, left) if swapped else compare(left, right))
        return context.add(tosa.LogicalNotOp(result)) if negated else result

    return legalization


legalize("EQUAL")(_comparison(tosa.EqualOp))
legalize("NOT_EQUAL")(_comparison(tosa.EqualOp, negated=True))
legalize("GREATER")(_comparison(tosa.GreaterOp))
legalize("GREATER_EQUAL")(_comparison(tosa.GreaterEqualOp))
legalize("LESS")(_comparison(tosa.GreaterOp, swapped=True))
legalize("LESS_EQUAL")(_comparison(tosa.GreaterEqualOp, swapped=True))


def _bitwise(operation: Compare) -> Callable[..., SSAValue]:
    def legalization(op: Operator, context: Context) -> SSAValue:
        left, right = broadcast(context, context.value(op.input(0)), context.value(op.input(1)))
        return context.add(operation(left, right))

    return legalization


legalize("LOGICAL_AND")(_bitwise(tosa.LogicalAndOp))
legalize("LOGICAL_OR")(_bitwise(tosa.LogicalOrOp))
legalize("RIGHT_SHIFT")(_bitwise(lambda left, right: tosa.ArithmeticRightShiftOp(left, right, round=False)))


@legalize("BITWISE_XOR")
def bitwise_xor(op: Operator, context: Context) -> SSAValue:
    left, right = broadcast(context, context.value(op.input(0)), context.value(op.input(1)))
    operation = tosa.LogicalXorOp if element_of(left) == i1 else tosa.BitwiseXorOp
    return context.add(operation(left, right))


@legalize("LOGICAL_NOT")
def logical_not(op: Operator, context: Context) -> SSAValue:
    return context.add(tosa.LogicalNotOp(context.value(op.input(0))))
