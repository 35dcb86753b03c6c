"""Exact integer arithmetic that is more than one LLVM instruction."""

from __future__ import annotations

from .emit import Function
from .types import F64, I32, I64, Value, bits_of, lanes_of, vector_type


def apply_scale(f: Function, value: Value, multiplier: Value, shift: Value, *, double_round: bool) -> Value:
    """tosa.apply_scale (TOSA 1.0, 4.2): round(value * multiplier / 2**shift) in 64 bits, truncated to i32.

    Where shift > 31, double rounding first adds 1 << 30 with the sign of value.
    """
    wide = f.cast("sext", value, I64)
    factor, amount = f.cast("sext", multiplier, I64), f.cast("zext", shift, I64)
    one = f.const(wide.type, 1)
    rounding = f.shl(one, f.sub(amount, one))
    if double_round:
        # (value >> 63) ^ (1 << 30) is -(1 << 30) - 1 for negative values; subtracting the sign again makes it exact.
        sign = f.ashr(wide, f.const(wide.type, 63))
        signed = f.sub(f.xor(f.const(wide.type, 1 << 30), sign), sign)
        twice = f.icmp("ugt", amount, f.const(wide.type, 31))
        rounding = f.add(rounding, f.select(twice, signed, f.zero(wide.type)))
    product = f.op("mul", wide, factor)
    return f.cast("trunc", f.ashr(f.add(product, rounding), amount), I32)


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
