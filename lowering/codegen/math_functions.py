"""Elementary functions of f32 vectors as straight-line code: no libm, no tables, no branches.

Each takes and returns a Value of type float or <N x float>. Arguments are reduced as Cody and Waite do (Software Manual
for the Elementary Functions, 1980), with Cephes' split of ln 2; the polynomials are
least-maximum-error fits (Lawson's iteration) on the reduced interval, weighted for relative error of the result.
The tests hold these errors against float64, in units in the last place, over dense sweeps on every target (one
without FMA rounds each step twice and is the worst):

    exp 1.0, log 0.8, tanh 1.3, erf 1.3, pow 0.51, rsqrt 1.5; sin and cos (trigonometry.py) 1.6
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .emit import Function
from .types import F64, I32, I64, Value, lanes_of, vector_type

_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 = high + low; a product of high with an exponent is exact."""

_ROUND_F32, _ROUND_F64 = 1.5 * 2.0**23, 1.5 * 2.0**52
"""Adding this rounds to an integer, left in the low mantissa bits: cheaper than a conversion and safe for NaN."""

_EXP = (0.5, 0.16666512888404764, 0.04166618728356087, 0.008369598410072943, 0.0013951717250638273)
_LOG = (
    0.3333330981754437,
    -0.24999985339527583,
    0.20002273094778242,
    -0.1666935666349795,
    0.14217715731456798,
    -0.1238180631653894,
    0.11877914264062334,
    -0.11807858618482173,
    0.0692586494762723,
)
_TANH = (
    -0.33333252502633326,
    0.13330622874789327,
    -0.053670534301568325,
    0.02041291465968957,
    -0.005453494254208192,
)
_ERF_NEAR = (
    0.1283791664947829,  # 2 / sqrt(pi) less the 1 that is added last
    -0.37612632285678593,
    0.1128367254556157,
    -0.02685810428870517,
    0.005197797167436707,
    -0.0008105965122957736,
    8.215423724012726e-05,
)
_ERF_FAR = (
    -0.00015061370086990821,
    1.129381810264285,
    0.6336633128546934,
    0.1078582124804014,
    -0.02477451232388798,
    0.003994101037564203,
    -0.00037884966647849674,
    1.1311347554134509e-05,
    7.374565805350355e-07,
)
_LOG2_F64 = (
    2.885390081777857,
    0.9617966940966866,
    0.5770779491551816,
    0.4122082446887214,
    0.31997311021999764,
    0.28082524638170964,
    0.023917826298987713,
)
_EXP2_F64 = (
    1.0000000000000273,
    0.6931471805458189,
    0.24022650695463293,
    0.055504109416668085,
    0.009618129229357777,
    0.0013333450127344933,
    0.0001540341106005261,
    1.5310196536997632e-05,
    1.32641881122326e-06,
)


def polynomial(f: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """The sum of coefficients[i] * x**i, by Horner's rule."""
    result = f.const(x.type, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = f.fma(result, x, f.const(x.type, coefficient))
    return result


def _integers(x: Value) -> str:
    return vector_type(I32, lanes_of(x.type))


def clamp(f: Function, x: Value, low: float, high: float) -> Value:
    """x limited to [low, high]; NaN stays NaN (the first operand of x86's max and min is the one dropped for it)."""
    minimum, maximum = f.const(x.type, low), f.const(x.type, high)
    above = f.select(f.fcmp("ogt", minimum, x), minimum, x)
    return f.select(f.fcmp("olt", maximum, above), maximum, above)


def copysign(f: Function, magnitude: Value, sign: Value) -> Value:
    return f.call_intrinsic("llvm.copysign", magnitude.type, [magnitude, sign])


def fabs(f: Function, x: Value) -> Value:
    return f.call_intrinsic("llvm.fabs", x.type, [x])


def _power_of_two(f: Function, exponent: Value, type: str) -> Value:
    """2**exponent for an integer exponent in the normal range of f32."""
    biased = f.add(exponent, f.const(exponent.type, 127))
    return f.bitcast(f.shl(biased, f.const(exponent.type, 23)), type)


def reduce_exponent(f: Function, x: Value) -> tuple[Value, Value, Value]:
    """(n, r, s) with x = n ln 2 + r, n whole and |r| <= ln 2 / 2; the bits of s are those of _ROUND_F32 plus n."""
    shifted = f.fma(x, f.const(x.type, 1 / math.log(2)), f.const(x.type, _ROUND_F32))
    n = f.fsub(shifted, f.const(x.type, _ROUND_F32))
    r = f.fma(n, f.const(x.type, -_LN2_HIGH), x)
    return n, f.fma(n, f.const(x.type, -_LN2_LOW), r), shifted


def exp(f: Function, x: Value) -> Value:
    """e**x = 2**n * e**r with |r| <= ln 2 / 2; overflows to infinity, underflows gradually to zero."""
    _, r, shifted = reduce_exponent(f, clamp(f, x, -104.0, 89.0))
    tail = f.fmul(f.fmul(r, r), polynomial(f, r, _EXP))
    result = f.fadd(f.fadd(tail, r), f.const(x.type, 1.0))
    integers = _integers(x)
    exponent = f.sub(f.bitcast(shifted, integers), f.bitcast(f.const(x.type, _ROUND_F32), integers))
    # Two factors, since 2**n alone leaves the normal range where the result is subnormal or just below infinity.
    half = f.ashr(exponent, f.const(integers, 1))
    result = f.fmul(result, _power_of_two(f, half, x.type))
    return f.fmul(result, _power_of_two(f, f.sub(exponent, half), x.type))


def log(f: Function, x: Value) -> Value:
    """ln x = e ln 2 + ln m with m in [sqrt 1/2, sqrt 2); -infinity at zero, NaN below."""
    type, integers = x.type, _integers(x)
    tiny = f.fcmp("olt", x, f.const(type, 2.0**-126))
    scaled = f.select(tiny, f.fmul(x, f.const(type, 2.0**23)), x)
    bits = f.bitcast(scaled, integers)
    exponent = f.ashr(f.sub(bits, f.const(integers, 0x3F3504F3)), f.const(integers, 23))
    m = f.bitcast(f.sub(bits, f.shl(exponent, f.const(integers, 23))), type)
    correction = f.select(tiny, f.const(type, -23.0), f.const(type, 0.0))
    e = f.fadd(f.emit(type, f"sitofp {integers} {exponent.text} to {type}"), correction)
    r = f.fsub(m, f.const(type, 1.0))
    square = f.fmul(r, r)
    tail = f.fmul(f.fmul(square, r), polynomial(f, r, _LOG))
    tail = f.fma(e, f.const(type, _LN2_LOW), tail)
    tail = f.fma(square, f.const(type, -0.5), tail)
    result = f.fma(e, f.const(type, _LN2_HIGH), f.fadd(r, tail))
    result = f.select(f.fcmp("olt", x, f.const(type, math.inf)), result, x)  # infinity and NaN
    result = f.select(f.fcmp("olt", x, f.const(type, 0.0)), f.const(type, math.nan), result)
    return f.select(f.fcmp("oeq", x, f.const(type, 0.0)), f.const(type, -math.inf), result)


def tanh(f: Function, x: Value, exp: Callable[[Function, Value], Value] = exp) -> Value:
    """1 - 2 / (e**2|x| + 1) with the sign of x; a polynomial near zero, where that would cancel."""
    type = x.type
    magnitude, square = fabs(f, x), f.fmul(x, x)
    near = f.fma(f.fmul(x, square), polynomial(f, square, _TANH), x)
    one = f.const(type, 1.0)
    denominator = f.fadd(exp(f, f.fadd(magnitude, magnitude)), one)
    far = copysign(f, f.fsub(one, f.fdiv(f.const(type, 2.0), denominator)), x)
    return f.select(f.fcmp("olt", magnitude, f.const(type, 0.625)), near, far)


def erf(f: Function, x: Value) -> Value:
    """An odd polynomial near zero; 1 - exp(-p(|x|)) beyond, p fitted to -ln erfc."""
    type = x.type
    magnitude = fabs(f, x)
    near = f.fma(x, polynomial(f, f.fmul(x, x), _ERF_NEAR), x)
    limited = clamp(f, magnitude, 0.0, 4.0)
    complement = exp(f, f.fneg(polynomial(f, limited, _ERF_FAR)))
    far = copysign(f, f.fsub(f.const(type, 1.0), complement), x)
    return f.select(f.fcmp("olt", magnitude, f.const(type, 0.927734375)), near, far)


def rsqrt(f: Function, x: Value) -> Value:
    root = f.call_intrinsic("llvm.sqrt", x.type, [x])
    return f.fdiv(f.const(x.type, 1.0), root)


def pow(f: Function, x: Value, y: Value) -> Value:
    """2**(y log2 |x|) in double, so that the product keeps enough bits."""
    type = x.type
    result = f.emit(type, f"fptrunc {vector_type(F64, lanes_of(type))} {_pow_f64(f, fabs(f, x), y).text} to {type}")
    return signed_power(f, x, y, result)


def signed_power(f: Function, x: Value, y: Value, result: Value) -> Value:
    """x**y from |x|**y, with the signs and special cases of IEEE 754 pow."""
    type = x.type
    one, zero = f.const(type, 1.0), f.const(type, 0.0)
    whole = f.call_intrinsic("llvm.trunc", type, [y])
    half = f.fmul(y, f.const(type, 0.5))
    is_whole = f.fcmp("oeq", whole, y)
    is_odd = f.and_(is_whole, f.fcmp("one", f.call_intrinsic("llvm.trunc", type, [half]), half))
    signed = f.select(is_odd, copysign(f, result, x), result)
    infinite = f.fcmp("oeq", fabs(f, x), f.const(type, math.inf))
    undefined = f.and_(f.fcmp("olt", x, zero), f.fcmp("one", whole, y))
    undefined = f.and_(undefined, f.xor(infinite, f.const(infinite.type, True)))
    signed = f.select(undefined, f.const(type, math.nan), signed)
    minus_one = f.and_(f.fcmp("oeq", x, f.const(type, -1.0)), f.fcmp("oeq", fabs(f, y), f.const(type, math.inf)))
    is_one = f.or_(f.or_(f.fcmp("oeq", x, one), f.fcmp("oeq", y, zero)), minus_one)
    return f.select(is_one, one, signed)


def _pow_f64(f: Function, magnitude: Value, y: Value) -> Value:
    """magnitude**y in double for magnitude >= 0, both f32 on entry."""
    lanes = lanes_of(magnitude.type)
    type, integers = vector_type(F64, lanes), vector_type(I64, lanes)
    x = f.cast("fpext", magnitude, F64)
    bits = f.bitcast(x, integers)
    exponent = f.ashr(f.sub(bits, f.const(integers, 0x3FE6A09E667F3BCD)), f.const(integers, 52))
    m = f.bitcast(f.sub(bits, f.shl(exponent, f.const(integers, 52))), type)
    one = f.const(type, 1.0)
    s = f.fdiv(f.fsub(m, one), f.fadd(m, one))
    narrow = f.cast("trunc", exponent, I32)
    e = f.emit(type, f"sitofp {narrow.type} {narrow.text} to {type}")
    log2 = f.fma(s, polynomial(f, f.fmul(s, s), _LOG2_F64), e)
    infinity, zero = f.const(type, math.inf), f.const(type, 0.0)
    log2 = f.select(f.fcmp("olt", x, infinity), log2, x)  # infinity and NaN
    log2 = f.select(f.fcmp("oeq", x, zero), f.const(type, -math.inf), log2)
    t = clamp(f, f.fmul(log2, f.cast("fpext", y, F64)), -200.0, 200.0)
    shifted = f.fadd(t, f.const(type, _ROUND_F64))
    r = f.fsub(t, f.fsub(shifted, f.const(type, _ROUND_F64)))
    scale = f.sub(f.bitcast(shifted, integers), f.bitcast(f.const(type, _ROUND_F64), integers))
    scale = f.shl(f.add(scale, f.const(integers, 1023)), f.const(integers, 52))
    return f.fmul(polynomial(f, r, _EXP2_F64), f.bitcast(scale, type))
