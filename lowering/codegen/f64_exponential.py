"""Exponential and hyperbolic functions of f64 vectors as straight-line code: no libm, no tables, no branches.

Arguments are reduced as Cody and Waite do, ln 2 being split into 32 bits and the rest, so that products with exponents
are exact. The polynomials, here and in the other modules of f64 functions, are interpolations in Chebyshev points of so
many terms that they err by less than 2**-56 of the result. What is left are a few roundings, as the tests hold.
"""

from __future__ import annotations

import math

from .emit import Function
from .math_functions import clamp, copysign, fabs, polynomial
from .types import I64, Value, lanes_of, vector_type

LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
ROUND = 1.5 * 2.0**52
"""Adding this rounds to an integer, left in the low mantissa bits: cheaper than a conversion and safe for NaN."""

_EXP = (
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333326136,
    0.001388888888888375,
    0.00019841269874815834,
    2.480158732554432e-05,
    2.7557255406285044e-06,
    2.7557273647451087e-07,
    2.5105214474751413e-08,
    2.0914685161418067e-09,
)
"""(e**r - 1 - r) / r**2 for |r| <= ln 2 / 2."""


def integers(x: Value) -> str:
    return vector_type(I64, lanes_of(x.type))


def round_to_integer(f: Function, x: Value) -> tuple[Value, Value]:
    """The nearest integer as a float and as an i64, for |x| < 2**51."""
    magic = f.const(x.type, ROUND)
    shifted = f.fadd(x, magic)
    return f.fsub(shifted, magic), f.sub(f.bitcast(shifted, integers(x)), f.bitcast(magic, integers(x)))


def _power_of_two(f: Function, exponent: Value, type: str) -> Value:
    """2**exponent for an integer exponent in the normal range."""
    biased = f.add(exponent, f.const(exponent.type, 1023))
    return f.bitcast(f.shl(biased, f.const(exponent.type, 52)), type)


def scale(f: Function, x: Value, exponent: Value) -> Value:
    """x * 2**exponent in two factors, since the power alone may leave the normal range where the result is in it."""
    half = f.ashr(exponent, f.const(exponent.type, 1))
    x = f.fmul(x, _power_of_two(f, half, x.type))
    return f.fmul(x, _power_of_two(f, f.sub(exponent, half), x.type))


def _expm1_reduced(f: Function, r: Value) -> Value:
    """e**r - 1 for |r| <= ln 2 / 2."""
    return f.fadd(r, f.fmul(f.fmul(r, r), polynomial(f, r, _EXP)))


def _reduce(f: Function, x: Value) -> tuple[Value, Value]:
    """(r, n) with x = r + n ln 2, |r| <= ln 2 / 2."""
    n, exponent = round_to_integer(f, f.fmul(x, f.const(x.type, 1 / math.log(2))))
    high = f.fsub(x, f.fmul(n, f.const(x.type, LN2_HIGH)))
    return f.fsub(high, f.fmul(n, f.const(x.type, LN2_LOW))), exponent


def exp(f: Function, x: Value) -> Value:
    """Overflows to infinity, underflows gradually to zero."""
    r, exponent = _reduce(f, clamp(f, x, -746.0, 710.0))
    return scale(f, f.fadd(_expm1_reduced(f, r), f.const(x.type, 1.0)), exponent)


def exp2(f: Function, x: Value) -> Value:
    x = clamp(f, x, -1076.0, 1025.0)
    n, exponent = round_to_integer(f, x)
    return exp2_scaled(f, f.fsub(x, n), exponent)


def exp2_scaled(f: Function, r: Value, exponent: Value, low: Value | None = None) -> Value:
    """2**(r + low + exponent) for |r| <= 1/2 and a low part below its last place."""
    e = _expm1_reduced(f, f.fmul(r, f.const(r.type, math.log(2))))
    power = f.fadd(e, f.const(r.type, 1.0))
    if low is not None:
        power = f.fadd(power, f.fmul(power, f.fmul(low, f.const(r.type, math.log(2)))))
    return scale(f, power, exponent)


def expm1(f: Function, x: Value) -> Value:
    """2**n (e**r - 1 + (1 - 2**-n)), which cancels nowhere."""
    r, exponent = _reduce(f, clamp(f, x, -60.0, 710.0))
    # Beyond 60 the power is lost in the sum, and its reciprocal stays a normal number.
    small = f.call_intrinsic("llvm.smin", exponent.type, [exponent, f.const(exponent.type, 100)])
    inverse = _power_of_two(f, f.sub(f.zero(exponent.type), small), x.type)
    rest = f.fadd(_expm1_reduced(f, r), f.fsub(f.const(x.type, 1.0), inverse))
    result = scale(f, rest, exponent)
    return f.select(f.fcmp("oeq", x, f.const(x.type, 0.0)), x, result)


def tanh(f: Function, x: Value) -> Value:
    """t / (t + 2) with t = e**2|x| - 1; 1 - 2 / (t + 2) where that is near 1."""
    one, two = f.const(x.type, 1.0), f.const(x.type, 2.0)
    magnitude = clamp(f, fabs(f, x), 0.0, 20.0)
    t = expm1(f, f.fadd(magnitude, magnitude))
    large = f.fcmp("oge", magnitude, one)
    quotient = f.fdiv(f.select(large, two, t), f.fadd(t, two))
    return copysign(f, f.select(large, f.fsub(one, quotient), quotient), x)


def sinh(f: Function, x: Value) -> Value:
    """(t + t / (t + 1)) / 2 with t = e**|x| - 1."""
    magnitude, half = fabs(f, x), f.const(x.type, 0.5)
    t = expm1(f, magnitude)
    near = f.fmul(half, f.fadd(t, f.fdiv(t, f.fadd(t, f.const(x.type, 1.0)))))
    far = f.fcmp("ogt", magnitude, f.const(x.type, 40.0))
    return copysign(f, f.select(far, _half_exp(f, magnitude), near), x)


def cosh(f: Function, x: Value) -> Value:
    magnitude, half = fabs(f, x), f.const(x.type, 0.5)
    e = exp(f, magnitude)
    near = f.fmul(half, f.fadd(e, f.fdiv(f.const(x.type, 1.0), e)))
    far = f.fcmp("ogt", magnitude, f.const(x.type, 40.0))
    return f.select(far, _half_exp(f, magnitude), near)


def _half_exp(f: Function, x: Value) -> Value:
    """e**x / 2, finite where e**x is no longer."""
    root = exp(f, f.fmul(x, f.const(x.type, 0.5)))
    return f.fmul(f.fmul(root, f.const(x.type, 0.5)), root)
