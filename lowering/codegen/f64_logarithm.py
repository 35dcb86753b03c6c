"""Logarithms, powers, roots and inverse hyperbolic functions of f64 vectors; see `f64_exponential`."""

from __future__ import annotations

import math

from .double_double import Pair, fast_two_sum, multiply, two_product, two_sum
from .emit import Function
from .f64_exponential import LN2_HIGH, LN2_LOW, exp2_scaled, integers, round_to_integer
from .math_functions import clamp, copysign, fabs, polynomial
from .types import Value

_LOG2_E, _LOG2_E_LOW = 1.4426950216293335, 1.9259629911266175e-08
_LOG10_E, _LOG10_E_LOW = 0.4342944771051407, 4.798111141615973e-09
_LOG10_2, _LOG10_2_LOW = 0.30102999560767785, 5.630334806675098e-11
"""High parts of 26 bits, so that a product with as many bits is exact; that of log10 2 has 33, for exponents."""

_TWO_LOG2_E, _TWO_LOG2_E_LOW = 2.8853900817779268, 4.0710547481862066e-17
_THIRD, _THIRD_LOW = 0.3333333333333333, 1.850371707708594e-17

_LOG = (
    0.666666666666667,
    0.3999999999989945,
    0.28571428626001427,
    0.22222211130560726,
    0.18182889433757515,
    0.15331711346672997,
    0.14616576421644387,
)
"""(log((1 + s) / (1 - s)) - 2 s) / s**3 in s**2, for m = (1 + s) / (1 - s) between sqrt 1/2 and sqrt 2."""

_POW = (
    0.2,
    0.14285714285714682,
    0.11111111110827954,
    0.090909091676938,
    0.07692297481537068,
    0.06667402331812168,
    0.05853118574408186,
    0.058615850803995374,
)
"""(atanh(s) / s - 1 - s**2 / 3) / s**4 in s**2, for the same s."""

_CBRT = (
    0.7167346418604423,
    0.3288364544631474,
    -0.03402605365290486,
    0.0016274953380330931,
)
"""The cube root on [1, 8], to one part in 70."""


def _exponent_and_mantissa(f: Function, x: Value) -> Pair:
    """(e, m) with x = 2**e m, m in [sqrt 1/2, sqrt 2), for finite x > 0."""
    type = x.type
    tiny = f.fcmp("olt", x, f.const(type, 2.0**-1022))
    bits = f.bitcast(f.select(tiny, f.fmul(x, f.const(type, 2.0**54)), x), integers(x))
    exponent = f.ashr(f.sub(bits, f.const(bits.type, 0x3FE6A09E667F3BCD)), f.const(bits.type, 52))
    m = f.bitcast(f.sub(bits, f.shl(exponent, f.const(bits.type, 52))), type)
    # An integer of few bits becomes a float in the mantissa of a large one.
    magic = f.const(type, 1.5 * 2.0**52)
    e = f.fsub(f.bitcast(f.add(exponent, f.bitcast(magic, bits.type)), type), magic)
    return f.fadd(e, f.select(tiny, f.const(type, -54.0), f.const(type, 0.0))), m


def _log_parts(f: Function, x: Value) -> tuple[Value, Value, Value]:
    """(e, f, c) with log x = e ln 2 + f - c, f being exact."""
    e, m = _exponent_and_mantissa(f, x)
    one, half = f.const(x.type, 1.0), f.const(x.type, 0.5)
    r = f.fsub(m, one)
    s = f.fdiv(r, f.fadd(m, one))
    z = f.fmul(s, s)
    half_square = f.fmul(half, f.fmul(r, r))
    tail = f.fmul(s, f.fadd(half_square, f.fmul(z, polynomial(f, z, _LOG))))
    return e, r, f.fsub(half_square, tail)


def _finish(f: Function, x: Value, result: Value) -> Value:
    """`result` but for the arguments without a logarithm."""
    infinity, zero = f.const(x.type, math.inf), f.const(x.type, 0.0)
    result = f.select(f.fcmp("olt", x, infinity), result, x)  # infinity and NaN
    result = f.select(f.fcmp("olt", x, zero), f.const(x.type, math.nan), result)
    return f.select(f.fcmp("oeq", x, zero), f.const(x.type, -math.inf), result)


def log(f: Function, x: Value) -> Value:
    e, r, correction = _log_parts(f, x)
    low = f.fsub(f.fmul(e, f.const(x.type, LN2_LOW)), correction)
    return _finish(f, x, f.fadd(f.fmul(e, f.const(x.type, LN2_HIGH)), f.fadd(r, low)))


def _scaled_log(f: Function, x: Value, scale: tuple[float, float], of_two: tuple[float, float]) -> Value:
    """log x * scale, of which log 2 * scale is `of_two`, each in two parts."""
    e, r, correction = _log_parts(f, x)
    high, low = _split_quick(f, f.fsub(r, correction), r, correction)
    first, second = (f.const(x.type, part) for part in scale)
    small = f.fadd(f.fmul(f.fadd(high, low), second), f.fmul(low, first))
    small = f.fadd(small, f.fmul(e, f.const(x.type, of_two[1])))
    large = f.fmul(high, first)
    total, error = two_sum(f, f.fmul(e, f.const(x.type, of_two[0])), large)
    return _finish(f, x, f.fadd(total, f.fadd(error, small)))


def _split_quick(f: Function, total: Value, a: Value, b: Value) -> Pair:
    """a - b, rounded to `total`, as a part of 26 bits and the rest."""
    mask = f.const(integers(total), -1 << 27)
    high = f.bitcast(f.and_(f.bitcast(total, integers(total)), mask), total.type)
    return high, f.fsub(f.fsub(a, high), b)


def log2(f: Function, x: Value) -> Value:
    return _scaled_log(f, x, (_LOG2_E, _LOG2_E_LOW), (1.0, 0.0))


def log10(f: Function, x: Value) -> Value:
    return _scaled_log(f, x, (_LOG10_E, _LOG10_E_LOW), (_LOG10_2, _LOG10_2_LOW))


def log1p(f: Function, x: Value) -> Value:
    """log u + c / u, where u is 1 + x rounded and c what rounding lost."""
    one = f.const(x.type, 1.0)
    u = f.fadd(x, one)
    far = f.fcmp("oge", fabs(f, x), one)
    lost = f.fsub(f.select(far, one, x), f.fsub(u, f.select(far, x, one)))
    result = f.fadd(log(f, u), f.fdiv(lost, u))
    # -1, where the quotient is not a number, infinity, where c is not, and zeros, whose sign the sum loses.
    result = f.select(f.fcmp("oeq", u, f.const(x.type, 0.0)), f.const(x.type, -math.inf), result)
    whole = f.or_(f.fcmp("oeq", x, f.const(x.type, math.inf)), f.fcmp("oeq", x, f.const(x.type, 0.0)))
    return f.select(whole, x, result)


def asinh(f: Function, x: Value) -> Value:
    """log(1 + a + a**2 / (1 + sqrt(a**2 + 1))) with a = |x|; log a + log 2 where squares lose the 1."""
    one, a = f.const(x.type, 1.0), fabs(f, x)
    square = f.fmul(a, a)
    root = f.call_intrinsic("llvm.sqrt", x.type, [f.fadd(square, one)])
    near = log1p(f, f.fadd(a, f.fdiv(square, f.fadd(one, root))))
    return copysign(f, _or_log_of_double(f, a, near), x)


def acosh(f: Function, x: Value) -> Value:
    """log(1 + t + sqrt(2 t + t**2)) with t = x - 1."""
    t = f.fsub(x, f.const(x.type, 1.0))
    root = f.call_intrinsic("llvm.sqrt", x.type, [f.fadd(f.fadd(t, t), f.fmul(t, t))])
    return _or_log_of_double(f, x, log1p(f, f.fadd(t, root)))


def _or_log_of_double(f: Function, a: Value, near: Value) -> Value:
    far = f.fadd(log(f, a), f.const(a.type, math.log(2)))
    return f.select(f.fcmp("ogt", a, f.const(a.type, 2.0**28)), far, near)


def atanh(f: Function, x: Value) -> Value:
    """log(1 + 2 a / (1 - a)) / 2 with a = |x|."""
    one, a = f.const(x.type, 1.0), fabs(f, x)
    result = log1p(f, f.fdiv(f.fadd(a, a), f.fsub(one, a)))
    return copysign(f, f.fmul(f.const(x.type, 0.5), result), x)


def cbrt(f: Function, x: Value) -> Value:
    """2**k times the root of m in [1, 8): a cubic guess, and three steps that triple the right digits (Halley)."""
    type, magnitude = x.type, fabs(f, x)
    e, m = _exponent_and_mantissa(f, magnitude)
    third = f.call_intrinsic("llvm.floor", type, [f.fmul(e, f.const(type, 1 / 3))])
    # e - 3 floor(e / 3) is 0, 1, 2, or 3 where the product was rounded down: m stays below 12.
    rest = f.fsub(e, f.fmul(third, f.const(type, 3.0)))
    m = _exponent_added(f, m, rest)
    guess = polynomial(f, m, _CBRT)
    for _ in range(3):
        cube = f.fmul(f.fmul(guess, guess), guess)
        ratio = f.fdiv(f.fsub(cube, m), f.fadd(f.fadd(cube, cube), m))
        guess = f.fsub(guess, f.fmul(guess, ratio))
    # The last step works on the error itself, so that it rounds only once.
    error = f.fsub(guess, f.fdiv(m, f.fmul(guess, guess)))
    root = f.fsub(guess, f.fmul(error, f.const(type, 1 / 3)))
    result = copysign(f, _exponent_added(f, root, third), x)
    ordinary = f.and_(f.fcmp("olt", magnitude, f.const(type, math.inf)), f.fcmp("one", magnitude, f.const(type, 0.0)))
    return f.select(ordinary, result, x)


def _exponent_added(f: Function, x: Value, exponent: Value) -> Value:
    """x * 2**exponent for a float that is an integer, the result being normal."""
    _, whole = round_to_integer(f, exponent)
    return f.bitcast(f.add(f.bitcast(x, integers(x)), f.shl(whole, f.const(whole.type, 52))), x.type)


def _log2_pair(f: Function, x: Value) -> Pair:
    """log2 x to about 2**-66 of it, for finite x > 0: 2 / ln 2 atanh(s), s = (m - 1) / (m + 1)."""
    type = x.type
    e, m = _exponent_and_mantissa(f, x)
    one = f.const(type, 1.0)
    top = f.fsub(m, one)
    bottom = two_sum(f, m, one)
    quotient = f.fdiv(top, bottom[0])
    product, error = two_product(f, quotient, bottom[0])
    rest = f.fsub(f.fsub(f.fsub(top, product), error), f.fmul(quotient, bottom[1]))
    s = fast_two_sum(f, quotient, f.fdiv(rest, bottom[0]))
    z = multiply(f, s, s)
    series = f.fmul(z[0], polynomial(f, z[0], _POW))
    third = fast_two_sum(f, f.const(type, _THIRD), f.fadd(series, f.const(type, _THIRD_LOW)))
    tail = multiply(f, z, third)
    factor = two_sum(f, one, tail[0])
    factor = fast_two_sum(f, factor[0], f.fadd(factor[1], tail[1]))
    scaled = multiply(f, s, (f.const(type, _TWO_LOG2_E), f.const(type, _TWO_LOG2_E_LOW)))
    fraction = multiply(f, scaled, factor)
    total = two_sum(f, e, fraction[0])
    return fast_two_sum(f, total[0], f.fadd(total[1], fraction[1]))


def pow_of_magnitude(f: Function, x: Value, y: Value) -> Value:
    """x**y for x >= 0; what is undefined is left to the caller."""
    type = x.type
    infinity, zero = f.const(type, math.inf), f.const(type, 0.0)
    logarithm = _log2_pair(f, x)
    # An exponent that takes any but 1 out of range needs no more digits, and would overflow in the products.
    limited = clamp(f, y, -(2.0**64), 2.0**64)
    product = two_product(f, logarithm[0], limited)
    low = f.fadd(product[1], f.fmul(logarithm[1], limited))
    t = clamp(f, f.fadd(product[0], low), -1100.0, 1100.0)
    inside = f.fcmp("oeq", t, f.fadd(product[0], low))
    n, exponent = round_to_integer(f, t)
    r = f.select(inside, f.fsub(product[0], n), zero)
    low = f.select(inside, low, zero)
    result = exp2_scaled(f, r, exponent, low)
    # 0 and infinity to the power of anything, and what is not a number.
    extreme = f.or_(f.fcmp("oeq", x, zero), f.fcmp("oeq", x, infinity))
    grows = f.xor(f.fcmp("ogt", y, zero), f.fcmp("oeq", x, zero))
    result = f.select(extreme, f.select(grows, infinity, zero), result)
    unordered = f.fcmp("uno", x, y)
    return f.select(unordered, f.fadd(x, y), result)
