"""Exact integer arithmetic that is more than one LLVM instruction."""

from __future__ import annotations

from .emit import Function
from .types import F64, I1, I32, Value, bits_of, lanes_of, vector_type


def divide(f: Function, a: Value, b: Value, *, signed: bool) -> Value:
    """a / b towards zero. Never traps: a / 0 is 0, and the most negative value / -1 wraps."""
    bits, lanes = bits_of(a.type), lanes_of(a.type)
    zero = f.zero(a.type)
    by_zero = f.icmp("eq", b, zero)
    if bits > 32 or (bits == 32 and not signed):
        return f.select(by_zero, zero, _divide_by_instruction(f, a, b, by_zero, signed=signed))
    # A double holds every quotient of 32-bit integers well enough to truncate to the exact result, and CPUs have
    # no integer division of vectors.
    minus_one = f.icmp("eq", b, f.const(b.type, -1)) if signed else by_zero
    safe = f.select(f.or_(by_zero, minus_one), f.const(b.type, 1), b)
    opcode, wide = "sitofp" if signed else "uitofp", vector_type(F64, lanes)
    quotient = f.fdiv(f.cast(opcode, a, F64), f.cast(opcode, safe, F64))
    assert quotient.type == wide
    result = f.cast("trunc", f.cast("fptosi", quotient, I32), f"i{bits}")
    if signed:
        result = f.select(minus_one, f.sub(zero, a), result)
    return f.select(by_zero, zero, result)


def _divide_by_instruction(f: Function, a: Value, b: Value, by_zero: Value, *, signed: bool) -> Value:
    one = f.const(b.type, 1)
    if not signed:
        return f.op("udiv", a, f.select(by_zero, one, b))
    minus_one = f.icmp("eq", b, f.const(b.type, -1))
    safe = f.select(f.or_(by_zero, minus_one), one, b)
    return f.select(minus_one, f.sub(f.zero(a.type), a), f.op("sdiv", a, safe))


def remainder(f: Function, a: Value, b: Value, *, signed: bool) -> Value:
    """a - (a / b) * b with the quotient as in `divide`."""
    return f.sub(a, f.op("mul", divide(f, a, b, signed=signed), b))


def floor_divide(f: Function, a: Value, b: Value) -> Value:
    """The quotient rounded towards minus infinity."""
    quotient = divide(f, a, b, signed=True)
    rest = f.sub(a, f.op("mul", quotient, b))
    inexact = f.icmp("ne", rest, f.zero(a.type))
    opposite = f.icmp("slt", f.xor(a, b), f.zero(a.type))
    return f.select(f.and_(inexact, opposite), f.sub(quotient, f.const(a.type, 1)), quotient)


def ceil_divide(f: Function, a: Value, b: Value) -> Value:
    """The quotient rounded towards plus infinity."""
    quotient = divide(f, a, b, signed=True)
    rest = f.sub(a, f.op("mul", quotient, b))
    inexact = f.icmp("ne", rest, f.zero(a.type))
    same = f.icmp("sge", f.xor(a, b), f.zero(a.type))
    return f.select(f.and_(inexact, same), f.add(quotient, f.const(a.type, 1)), quotient)


def ceil_divide_unsigned(f: Function, a: Value, b: Value) -> Value:
    """The quotient of unsigned integers rounded up; 0 for a division by zero."""
    quotient = divide(f, a, b, signed=False)
    rest = f.sub(a, f.op("mul", quotient, b))
    zero = f.zero(a.type)
    exact = f.or_(f.icmp("eq", rest, zero), f.icmp("eq", b, zero))
    return f.select(exact, quotient, f.add(quotient, f.const(a.type, 1)))


def power(f: Function, base: Value, exponent: Value) -> Value:
    """math.ipowi, wrapping: by squaring, one bit of the exponent after the other.

    A negative exponent gives 1 / base**-exponent rounded towards zero, and 0 for base 0.
    """
    one, zero = f.const(base.type, 1), f.zero(base.type)
    magnitude = f.call_intrinsic("llvm.abs", base.type, [exponent, f.const(I1, False)])
    with f.loop(0, bits_of(base.type), 1, [one, base, magnitude]) as loop:
        result, factor, left = loop.values
        odd = f.icmp("ne", f.and_(left, one), zero)
        product = f.op("mul", result, factor)
        loop.yield_(f.select(odd, product, result), f.op("mul", factor, factor), f.lshr(left, one))
    minus_one = f.const(base.type, -1)
    alternating = f.select(f.icmp("ne", f.and_(exponent, one), zero), minus_one, one)
    inverse = f.select(f.icmp("eq", base, minus_one), alternating, zero)
    inverse = f.select(f.icmp("eq", base, one), one, inverse)
    return f.select(f.icmp("slt", exponent, zero), inverse, loop.results[0])
