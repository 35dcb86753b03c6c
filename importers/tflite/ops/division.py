"""Division by a constant and rounding, exactly as C does them in float, in the operations that TOSA has."""

from __future__ import annotations

import math

import numpy as np
from xdsl.ir import SSAValue

from ....tosa import dialect as tosa
from ..legalization import Context

# Veltkamp's factor for 24-bit mantissas: splits a float into two halves of at most 12 bits.
_SPLITTER = np.float32(4097)


def divide(context: Context, x: SSAValue, divisor: float) -> SSAValue:
    """x / divisor in f32, correctly rounded.

    TOSA has no division, and multiplying by the reciprocal is off by one unit often enough to move a quantised value.
    So the quotient q = x * (1/divisor) is corrected by its remainder: q + (x - q * divisor) * (1/divisor). The product
    q * divisor is taken exactly, as a rounded product and its error, from halves whose products do not round
    (T. J. Dekker, A floating-point technique for extending the available precision, 1971, section 5).
    """
    exact = np.float32(divisor)
    inverse = context.splat(np.float32(1) / exact, like=x)
    quotient = _multiply(context, x, inverse)
    if math.frexp(float(exact))[0] == 0.5:  # a power of two
        return quotient
    divisor_high = _SPLITTER * exact - (_SPLITTER * exact - exact)
    high, low = context.splat(divisor_high, like=x), context.splat(exact - divisor_high, like=x)

    widened = _multiply(context, quotient, context.splat(_SPLITTER, like=x))
    quotient_high = _subtract(context, widened, _subtract(context, widened, quotient))
    quotient_low = _subtract(context, quotient, quotient_high)

    product = _multiply(context, quotient, context.splat(exact, like=x))
    error = _subtract(context, _multiply(context, quotient_high, high), product)
    for left, right in ((quotient_high, low), (quotient_low, high), (quotient_low, low)):
        error = context.add(tosa.AddOp(error, _multiply(context, left, right)))
    remainder = _subtract(context, _subtract(context, x, product), error)
    return context.add(tosa.AddOp(quotient, _multiply(context, remainder, inverse)))


def round_half_away(context: Context, x: SSAValue) -> SSAValue:
    """C's round(x): to the nearest whole number, halves away from zero.

    Adding the largest float below one half, not one half, keeps 0.49999997 from becoming 1; sums of true halves round
    up to the whole number.
    """
    below_half = context.splat(np.nextafter(np.float32(0.5), np.float32(0)), like=x)
    magnitude = context.add(tosa.FloorOp(context.add(tosa.AddOp(context.add(tosa.AbsOp(x)), below_half))))
    negative = context.add(tosa.GreaterOp(context.splat(0, like=x), x))
    negated = _subtract(context, context.splat(0, like=x), magnitude)
    return context.add(tosa.SelectOp(negative, negated, magnitude))


def _multiply(context: Context, x: SSAValue, y: SSAValue) -> SSAValue:
    return context.add(tosa.MulOp(x, y, context.zero_shift()))


def _subtract(context: Context, x: SSAValue, y: SSAValue) -> SSAValue:
    return context.add(tosa.SubOp(x, y))
