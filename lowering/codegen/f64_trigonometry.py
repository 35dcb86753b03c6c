"""Trigonometric functions of f64 vectors and their inverses; see `f64_exponential`.

Moderate arguments are reduced as Cody and Waite do, with pi / 2 in parts of 33 bits. Large ones, which are rare, go by
Payne and Hanek (Radian Reduction for Trigonometric Functions, 1983) in integers, and only if a vector holds one.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

from .double_double import multiply, two_sum
from .emit import Function
from .f64_exponential import integers, round_to_integer
from .math_functions import copysign, fabs, polynomial
from .trigonometry import lookup, two_over_pi
from .types import F64, I64, Value, lanes_of

_PI_2 = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""pi / 2 as a sum; the first three have 33 bits, so that products with up to 20 bits are exact."""

_PI_2_LOW, _PI_4_LOW, _PI_LOW = 6.123233995736766e-17, 3.061616997868383e-17, 1.2246467991473532e-16
"""What pi / 2, pi / 4 and pi have more than the floats nearest to them."""

_MODERATE = 2.0**20
"""Up to here quarter turns have no more than 20 bits."""

_WORDS = 46
"""Words of 32 bits that the largest exponent reaches: the first two lie before the point."""

_LIMBS = 6
"""Of 32 bits: 2 before the point, 53 that the mantissa takes, 62 that cancel for the float nearest to a multiple of
pi / 2 (Kahan), and enough for the result."""

_SIN = (
    -0.16666666666666666,
    0.008333333333330929,
    -0.00019841269836729297,
    2.7557316087378873e-06,
    -2.5051128685155503e-08,
    1.5917901824596877e-10,
)
"""(sin(r) / r - 1) / r**2 in r**2, for |r| <= pi / 4."""

_COS = (
    0.041666666666666664,
    -0.0013888888888887385,
    2.4801587298747373e-05,
    -2.755731726223748e-07,
    2.0876144291642197e-09,
    -1.1382490122000279e-11,
)
"""(cos(r) - 1 + r**2 / 2) / r**4 in r**2."""

_ATAN = (
    -0.3333333333333333,
    0.19999999999995519,
    -0.14285714284666184,
    0.11111111015227572,
    -0.09090904576954117,
    0.07692183163650894,
    -0.06664511064599371,
    0.05858145587628202,
    -0.050854323376990765,
    0.0392311556198723,
    -0.01917627151752634,
)
"""(atan(t) / t - 1) / t**2 in t**2, for |t| <= tan(pi / 8)."""

_ASIN = (
    0.16666666666666669,
    0.07499999999998433,
    0.04464285714635543,
    0.030381944138531247,
    0.02237217294214989,
    0.017352392720869973,
    0.013971212973552933,
    0.011479177415184906,
    0.01032281435018578,
    0.005457506718640358,
    0.01740087944269402,
    -0.014851887071247204,
    0.028757851367421566,
)
"""(asin(x) / x - 1) / x**2 in x**2, for |x| <= 1/2."""


def sin(f: Function, x: Value) -> Value:
    return _sine(f, x, 0)


def cos(f: Function, x: Value) -> Value:
    return _sine(f, x, 1)


def tan(f: Function, x: Value) -> Value:
    high, low, quadrant = _reduce(f, x)
    sine, cosine = _sine_of_reduced(f, high, low), _cosine_of_reduced(f, high, low)
    odd = f.icmp("ne", f.and_(quadrant, f.const(quadrant.type, 1)), f.zero(quadrant.type))
    result = f.fdiv(f.select(odd, f.fneg(cosine), sine), f.select(odd, sine, cosine))
    return f.select(f.fcmp("oeq", x, f.const(x.type, 0.0)), x, result)


def _sine(f: Function, x: Value, quarter_turns: int) -> Value:
    """sin(x + quarter_turns * pi / 2)."""
    high, low, quadrant = _reduce(f, x)
    quadrant = f.add(quadrant, f.const(quadrant.type, quarter_turns))
    odd = f.icmp("ne", f.and_(quadrant, f.const(quadrant.type, 1)), f.zero(quadrant.type))
    result = f.select(odd, _cosine_of_reduced(f, high, low), _sine_of_reduced(f, high, low))
    flip = f.shl(f.and_(quadrant, f.const(quadrant.type, 2)), f.const(quadrant.type, 62))
    result = f.bitcast(f.xor(f.bitcast(result, quadrant.type), flip), x.type)
    # The sum of the low parts loses the sign of zero.
    return f.select(f.fcmp("oeq", x, f.const(x.type, 0.0)), x, result) if quarter_turns == 0 else result


def _sine_of_reduced(f: Function, high: Value, low: Value) -> Value:
    square = f.fmul(high, high)
    tail = f.fmul(f.fmul(high, square), polynomial(f, square, _SIN))
    # The derivative is the cosine, 1 - r**2 / 2 for what the low part needs.
    slope = f.fsub(f.const(high.type, 1.0), f.fmul(f.const(high.type, 0.5), square))
    return f.fadd(high, f.fadd(tail, f.fmul(low, slope)))


def _cosine_of_reduced(f: Function, high: Value, low: Value) -> Value:
    one = f.const(high.type, 1.0)
    square = f.fmul(high, high)
    half = f.fmul(f.const(high.type, 0.5), square)
    top = f.fsub(one, half)
    lost = f.fsub(f.fsub(one, top), half)
    tail = f.fsub(f.fmul(f.fmul(square, square), polynomial(f, square, _COS)), f.fmul(high, low))
    return f.fadd(top, f.fadd(lost, tail))


def _reduce(f: Function, x: Value) -> tuple[Value, Value, Value]:
    """(r, its low part, n) with x = r + n * pi / 2, |r| <= pi / 4; n (i64) modulo 4."""
    near = _reduce_moderate(f, x)
    magnitude = fabs(f, x)
    large = f.and_(
        f.fcmp("ogt", magnitude, f.const(x.type, _MODERATE)), f.fcmp("olt", magnitude, f.const(x.type, math.inf))
    )
    lanes = lanes_of(x.type)
    bits = large if lanes == 1 else f.bitcast(large, f"i{lanes}")
    with f.if_(f.icmp("ne", bits, f.const(bits.type, 0)), near) as branch:
        far = _reduce_large(f, x)
        branch.yield_(*(f.select(large, a, b) for a, b in zip(far, near, strict=True)))
    high, low, quadrant = branch.results
    return high, low, quadrant


def _reduce_moderate(f: Function, x: Value) -> tuple[Value, Value, Value]:
    n, quadrant = round_to_integer(f, f.fmul(x, f.const(x.type, 2 / math.pi)))
    first, second, third, last = (f.fmul(n, f.const(x.type, part)) for part in _PI_2)
    # Each difference is exact or what it lost is kept: the parts fall off by 33 bits.
    total, lost = f.fsub(x, first), f.const(x.type, 0.0)
    for part in (second, third):
        following = f.fsub(total, part)
        shadow = f.fsub(following, total)
        error = f.fsub(f.fsub(total, f.fsub(following, shadow)), f.fadd(part, shadow))
        total, lost = following, f.fadd(lost, error)
    lost = f.fsub(lost, last)
    high = f.fadd(total, lost)
    return high, f.fadd(f.fsub(total, high), lost), quadrant


def _reduce_large(f: Function, x: Value) -> tuple[Value, Value, Value]:
    """As `_reduce_moderate`, for finite |x| > _MODERATE."""
    type = integers(x)

    def number(value: int) -> Value:
        return f.const(type, value)

    def low(value: Value) -> Value:
        return f.and_(value, number(0xFFFFFFFF))

    def high(value: Value) -> Value:
        return f.lshr(value, number(32))

    bits = f.bitcast(fabs(f, x), type)
    mantissa = f.or_(f.and_(bits, number((1 << 52) - 1)), number(1 << 52))
    # x = mantissa * 2**exponent. What makes multiples of four quarter turns is left out: the window begins with the
    # bit that has the weight 2 then. Lanes that are not large compute something, too, inside of the table.
    start = f.sub(f.lshr(bits, number(52)), number(1075 + 2 - 64))
    start = f.call_intrinsic("llvm.smax", type, [start, number(0)])
    start = f.call_intrinsic("llvm.smin", type, [start, number(32 * (_WORDS - _LIMBS - 1))])
    word, shift = f.lshr(start, number(5)), f.and_(start, number(31))
    table = f.table(I64, _two_over_pi())
    words = [lookup(f, table, f.add(word, number(i))) for i in range(_LIMBS + 1)]
    pairs = [f.or_(f.shl(left, number(32)), right) for left, right in itertools.pairwise(words)]
    window = [low(f.lshr(pair, f.sub(number(32), shift))) for pair in reversed(pairs)]
    # The product modulo 2**(32 * _LIMBS), its least limb first, in columns of 32 bits.
    first, second = ([f.op("mul", half, limb) for limb in window] for half in (low(mantissa), high(mantissa)))
    limbs, carry = [], number(0)
    for column in range(_LIMBS):
        carry = f.add(carry, low(first[column]))
        if column > 0:
            carry = f.add(carry, f.add(high(first[column - 1]), low(second[column - 1])))
        if column > 1:
            carry = f.add(carry, high(second[column - 2]))
        limbs.append(low(carry))
        carry = high(carry)
    # The upper 64 bits are quarter turns with 62 behind the point.
    top = f.or_(f.shl(limbs[5], number(32)), limbs[4])
    quadrant = f.lshr(f.add(top, number(1 << 61)), number(62))
    rest = f.sub(top, f.shl(quadrant, number(62)))
    parts = [f.ashr(rest, number(32)), low(rest), limbs[3], limbs[2], limbs[1]]
    turns = [
        f.fmul(f.cast("sitofp", part, F64), f.const(x.type, 2.0 ** (-30 - 32 * i))) for i, part in enumerate(parts)
    ]
    total, lost = two_sum(f, turns[0], turns[1])
    total, more = two_sum(f, total, turns[2])
    lost = f.fadd(f.fadd(lost, more), f.fadd(turns[3], turns[4]))
    r, r_low = multiply(f, (total, lost), (f.const(x.type, math.pi / 2), f.const(x.type, _PI_2_LOW)))
    negative = f.fcmp("olt", x, f.const(x.type, 0.0))
    flipped = f.sub(number(0), quadrant)
    return (
        f.select(negative, f.fneg(r), r),
        f.select(negative, f.fneg(r_low), r_low),
        f.select(negative, flipped, quadrant),
    )


@cache
def _two_over_pi() -> list[int]:
    """The bits of 2 / pi, 32 in each: 64 before the point, then those behind it."""
    bits = 32 * (_WORDS - 2)
    return [two_over_pi(bits) >> (bits + 32 - 32 * i) & 0xFFFFFFFF for i in range(_WORDS)]


# Inverses


def _arc(f: Function, over: Value, under: Value) -> tuple[Value, Value]:
    """(high, low) parts of atan(over / under) for 0 <= over <= under, not both 0 or infinite."""
    type = over.type
    zero = f.const(type, 0.0)
    steep = f.fcmp("ogt", over, f.fmul(under, f.const(type, math.sqrt(2) - 1)))
    # atan(a / b) = pi / 4 + atan((a - b) / (a + b)); large ones are halved, since the sum might overflow.
    factor = f.select(f.fcmp("ogt", under, f.const(type, 1.0)), f.const(type, 0.5), f.const(type, 1.0))
    a, b = f.fmul(over, factor), f.fmul(under, factor)
    t = f.fdiv(f.select(steep, f.fsub(a, b), over), f.select(steep, f.fadd(a, b), under))
    square = f.fmul(t, t)
    tail = f.fmul(f.fmul(t, square), polynomial(f, square, _ATAN))
    tail = f.fadd(tail, f.select(steep, f.const(type, _PI_4_LOW), zero))
    high, lost = two_sum(f, f.select(steep, f.const(type, math.pi / 4), zero), t)
    return high, f.fadd(lost, tail)


def atan(f: Function, x: Value) -> Value:
    one, a = f.const(x.type, 1.0), fabs(f, x)
    large = f.fcmp("ogt", a, one)
    high, low = _arc(f, f.select(large, one, a), f.select(large, a, one))
    return copysign(f, _select_difference(f, large, (math.pi / 2, _PI_2_LOW), high, low), x)


def atan2(f: Function, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), with the signs of zeros as IEEE 754 has it."""
    type = x.type
    one, infinity = f.const(type, 1.0), f.const(type, math.inf)
    a, b = fabs(f, y), fabs(f, x)
    # Of two zeros the one above counts, of two infinities both alike.
    both_zero = f.fcmp("oeq", f.fadd(a, b), f.const(type, 0.0))
    both_infinite = f.and_(f.fcmp("oeq", a, infinity), f.fcmp("oeq", b, infinity))
    a, b = f.select(both_infinite, one, a), f.select(f.or_(both_infinite, both_zero), one, b)
    swapped = f.fcmp("ogt", a, b)
    over, under = f.select(swapped, b, a), f.select(swapped, a, b)
    high, low = _arc(f, over, under)
    right = _select_difference(f, swapped, (math.pi / 2, _PI_2_LOW), high, low)
    # In the left half pi less the angle, without rounding in between.
    left_low = f.const(type, math.pi)
    mirrored = f.fsub(left_low, f.fsub(f.fadd(high, low), f.const(type, _PI_LOW)))
    beyond = f.fadd(f.const(type, math.pi / 2), f.fadd(f.fadd(high, low), f.const(type, _PI_2_LOW)))
    behind = f.icmp("slt", f.bitcast(x, integers(x)), f.zero(integers(x)))
    angle = f.select(behind, f.select(swapped, beyond, mirrored), right)
    return copysign(f, f.select(f.fcmp("uno", x, y), f.fadd(x, y), angle), y)


def _select_difference(f: Function, condition: Value, whole: tuple[float, float], high: Value, low: Value) -> Value:
    """whole - (high + low) where the condition holds, else the sum."""
    difference = f.fsub(f.const(high.type, whole[0]), f.fsub(f.fadd(high, low), f.const(high.type, whole[1])))
    return f.select(condition, difference, f.fadd(high, low))


def _arcsine_parts(f: Function, x: Value) -> tuple[Value, Value]:
    """(whether |x| > 1/2, asin |x| or else asin sqrt((1 - |x|) / 2))."""
    half, a = f.const(x.type, 0.5), fabs(f, x)
    large = f.fcmp("ogt", a, half)
    square = f.select(large, f.fmul(half, f.fsub(f.const(x.type, 1.0), a)), f.fmul(a, a))
    root = f.select(large, f.call_intrinsic("llvm.sqrt", x.type, [square]), a)
    return large, f.fadd(root, f.fmul(f.fmul(root, square), polynomial(f, square, _ASIN)))


def asin(f: Function, x: Value) -> Value:
    """pi / 2 - 2 asin sqrt((1 - a) / 2) for a = |x| > 1/2."""
    large, arc = _arcsine_parts(f, x)
    # In two steps of pi / 4, of which the first is exact near 1/2 (Sterbenz).
    quarter = f.const(x.type, math.pi / 4)
    rest = f.fadd(f.fsub(quarter, arc), f.fsub(f.const(x.type, _PI_2_LOW), f.fsub(arc, quarter)))
    return copysign(f, f.select(large, rest, arc), x)


def acos(f: Function, x: Value) -> Value:
    """2 asin sqrt((1 - x) / 2) near 1, pi less that of -x near -1, pi / 2 - asin x between."""
    type = x.type
    large, arc = _arcsine_parts(f, x)
    double = f.fadd(arc, arc)
    negative = f.fcmp("olt", x, f.const(type, 0.0))
    behind = f.fsub(f.const(type, math.pi), f.fsub(double, f.const(type, _PI_LOW)))
    signed = f.fsub(copysign(f, arc, x), f.const(type, _PI_2_LOW))
    middle = f.fsub(f.const(type, math.pi / 2), signed)
    return f.select(large, f.select(negative, behind, double), middle)
