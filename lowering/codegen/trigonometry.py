"""Sine and cosine of f32 vectors, right to the last places for every finite argument.

Moderate arguments are reduced in double as Cody and Waite do. Large ones go by Payne and Hanek (Radian Reduction for
Trigonometric Functions, 1983): of the product with 2 / pi only the bits that matter modulo four quarter turns are
computed, in integers, with a window into the bits of 2 / pi that the exponent selects.
"""

from __future__ import annotations

import math
from functools import cache

from .emit import Function
from .math_functions import fabs, polynomial
from .types import F64, I32, I64, Value, lanes_of, mangled, vector_type

_PI_2_HIGH, _PI_2_LOW = 1.57079632673412561417, 6.07710050650619224932e-11
"""pi / 2 = high + low in double; high has 33 bits (fdlibm)."""

_ROUND_F64 = 1.5 * 2.0**52
"""Adding this rounds to an integer, left in the low mantissa bits."""

_MODERATE = 2.0**16
"""Up to here quarter turns are fewer than the 20 bits that a product with the high part of pi / 2 leaves free."""

_FIRST_EXPONENT = 127 + 16
_EXPONENTS = 255 - _FIRST_EXPONENT
"""Biased exponents of the finite floats that are not moderate."""

_SIN = (-0.16666666639557623, 0.008333329143892914, -0.00019839256627944237, 2.7175644068644923e-06)
_COS = (0.041666666619203485, -0.0013888883438376294, 2.4799436396811927e-05, -2.720330286806931e-07)


def sin(f: Function, x: Value) -> Value:
    return _sine(f, x, 0)


def cos(f: Function, x: Value) -> Value:
    return _sine(f, x, 1)


def _sine(f: Function, x: Value, quarter_turns: int) -> Value:
    """sin(x + quarter_turns * pi / 2)."""
    type, integers = x.type, vector_type(I32, lanes_of(x.type))
    magnitude = fabs(f, x)
    large = f.and_(
        f.fcmp("ogt", magnitude, f.const(type, _MODERATE)), f.fcmp("olt", magnitude, f.const(type, math.inf))
    )
    pairs = zip(_reduce_large(f, x), _reduce_moderate(f, x), strict=True)
    r, quadrant = (f.select(large, far, near) for far, near in pairs)
    quadrant = f.add(quadrant, f.const(integers, quarter_turns))
    square = f.fmul(r, r)
    sine = f.fma(f.fmul(r, square), polynomial(f, square, _SIN), r)
    tail = f.fmul(f.fmul(square, square), polynomial(f, square, _COS))
    cosine = f.fadd(f.fma(square, f.const(type, -0.5), f.const(type, 1.0)), tail)
    odd = f.icmp("ne", f.and_(quadrant, f.const(integers, 1)), f.const(integers, 0))
    flip = f.shl(f.and_(quadrant, f.const(integers, 2)), f.const(integers, 30))
    return f.bitcast(f.xor(f.bitcast(f.select(odd, cosine, sine), integers), flip), type)


def _reduce_moderate(f: Function, x: Value) -> tuple[Value, Value]:
    """(r, n) with x = r + n * pi / 2, |r| <= pi / 4; n (i32) modulo 2**32."""
    wide = f.cast("fpext", x, F64)
    shifted = f.fma(wide, f.const(wide.type, 2 / math.pi), f.const(wide.type, _ROUND_F64))
    n = f.fsub(shifted, f.const(wide.type, _ROUND_F64))
    reduced = f.fma(n, f.const(wide.type, -_PI_2_HIGH), wide)
    reduced = f.fma(n, f.const(wide.type, -_PI_2_LOW), reduced)
    quadrant = f.cast("trunc", f.bitcast(shifted, vector_type(I64, lanes_of(x.type))), I32)
    return f.emit(x.type, f"fptrunc {wide.type} {reduced.text} to {x.type}"), quadrant


def _reduce_large(f: Function, x: Value) -> tuple[Value, Value]:
    """As `_reduce_moderate`, for finite |x| > _MODERATE."""
    lanes, integers = lanes_of(x.type), vector_type(I32, lanes_of(x.type))
    bits = f.bitcast(fabs(f, x), integers)
    exponent = f.sub(f.lshr(bits, f.const(integers, 23)), f.const(integers, _FIRST_EXPONENT))
    # Lanes that are not large compute something, too, inside of the table.
    index = f.call_intrinsic("llvm.umin", integers, [exponent, f.const(integers, _EXPONENTS - 1)])
    mantissa = f.or_(f.and_(bits, f.const(integers, 0x7FFFFF)), f.const(integers, 0x800000))
    windows = _windows()
    high = lookup(f, f.table(I64, [_as_signed(window >> 32) for window in windows]), index)
    low = lookup(f, f.table(I64, [window & 0xFFFFFFFF for window in windows]), index)
    wide = f.cast("zext", mantissa, I64)
    # Quarter turns modulo 4, with 62 bits behind the point.
    turns = f.add(f.op("mul", wide, high), f.lshr(f.op("mul", wide, low), f.const(wide.type, 32)))
    quadrant = f.lshr(f.add(turns, f.const(wide.type, 1 << 61)), f.const(wide.type, 62))
    rest = f.sub(turns, f.shl(quadrant, f.const(wide.type, 62)))
    scaled = f.fmul(f.cast("sitofp", rest, F64), f.const(vector_type(F64, lanes), math.pi / 2 * 2.0**-62))
    r = f.emit(x.type, f"fptrunc {scaled.type} {scaled.text} to {x.type}")
    turned = f.cast("trunc", quadrant, I32)
    negative = f.fcmp("olt", x, f.const(x.type, 0.0))
    return f.select(negative, f.fneg(r), r), f.select(negative, f.sub(f.zero(integers), turned), turned)


def lookup(f: Function, table: Value, index: Value) -> Value:
    """table[index] of i64, for every lane."""
    lanes = lanes_of(index.type)
    wide = f.cast("zext", index, I64)
    if lanes == 1:
        return f.load(I64, f.element_pointer(table, I64, wide))
    type, mask = vector_type(I64, lanes), f.const(vector_type("i1", lanes), True)
    pointers = f.emit(vector_type("ptr", lanes), f"getelementptr i64, ptr {table.text}, {wide.type} {wide.text}")
    return f.emit(
        type,
        f"call {type} @llvm.masked.gather.{mangled(type)}.v{lanes}p0("
        f"{pointers.type} align 8 {pointers.text}, {mask.type} {mask.text}, {type} poison)",
    )


@cache
def _windows() -> list[int]:
    """For each exponent that is not moderate, 96 bits of 2 / pi * 2**e / 4, behind the point.

    A float is mantissa * 2**e with e = biased exponent - 150. What lies before the point are whole turns.
    """
    bits = 320
    windows = []
    for biased in range(_FIRST_EXPONENT, 255):
        shift = bits - 96 - (biased - 150 - 2)
        windows.append((two_over_pi(bits) >> shift) % (1 << 96))
    return windows


@cache
def two_over_pi(bits: int) -> int:
    """2 / pi * 2**bits."""
    return (2 << 2 * bits) // _pi(bits)


def _pi(bits: int) -> int:
    """pi * 2**bits, by Machin's formula: 16 arctan 1/5 - 4 arctan 1/239."""

    def arctan_inverse(n: int) -> int:
        term = (1 << bits + 32) // n
        total, k = term, 1
        while term:
            term //= -n * n
            k += 2
            total += term // k
        return total

    return (16 * arctan_inverse(5) - 4 * arctan_inverse(239)) >> 32


def _as_signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
