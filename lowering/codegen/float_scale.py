"""`tosa.apply_scale` whose result is then limited to 256 values: in f32, and again in integers where that may be wrong.

What follows a quantised contraction is floor(t) for t = value * multiplier / 2**shift + c, rounding twice with
c = 1/2 + 2**(30 - shift), or 1/2 - 2**(30 - shift) for negative values, limited to [low, low + 256). One fused
multiply-add gives z = t - low + 256 + 2 ulp in [256, 512), where an ulp is 2**-15 and the bits of z count ulps: what is
left to do is a shift.

How wrong z is where t - low is in [0, 256), for low in (-256, 0]: converting the value and the multiplier changes each
by 2**-24 of itself, the product by at most 255.75 * 2**-23 < 1 ulp; c is rounded by 1/2 ulp at most and so is the sum.
So z - 2 ulp is within 2 ulp of t - low + 256, and where the fraction of z is 4 ulp or more its integral part is right.
The others, one in 8192, are doubtful: what holds one is computed again in integers. Where t - low lies outside z may be
wrong by more, but it grows with t, so that it stays outside or within 4 ulp of the end, which the same test finds. What
is limited to the same end then is the same.

That is a conversion, a multiply-add, a test and a shift, where integers take eight instructions. Rounding twice keeps
the halves that scales of powers of two give so often 2**(30 - shift) away from what is doubtful.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .emit import OUTLINED, Function
from .types import F32, I32, Value, lanes_of, vector_type

_FRACTION = 15
"""Bits of the fraction of floats in [256, 512)."""
ULP = 2.0**-_FRACTION
_MARGIN = 2
_FIRST = 0x4380_0000 >> _FRACTION
"""256.0 in bits, without its fraction."""

Exact = Callable[[Function, Value, Value, Value], Value]
"""exact(f, value, multiplier, shift): the same in integers."""


def scale_in_float(
    f: Function,
    value: Value,
    multiplier: Value,
    shift: Value,
    low: int,
    exact: Exact,
    mask: Value | None,
    *,
    signs: bool,
) -> Value:
    """The i32 results of vectors of i32 `value` and `multiplier` and of i8 `shift`, 32 at least: right under `mask`
    once limited to some of [low, low + 256), where -256 < low <= 0.

    `signs` tells whether it matters how negative values round.
    """
    amount = f.cast("zext", shift, I32)
    factor = f.fmul(f.cast("sitofp", multiplier, F32), _power_less(f, 0, amount))
    x = f.cast("sitofp", value, F32)
    second = _power_less(f, 30, amount)
    if signs:
        second = f.call_intrinsic("llvm.copysign", x.type, [second, x])
    added = f.fadd(f.const(x.type, 256 - low + 0.5 + _MARGIN * ULP), second)
    return floor_in_float(f, f.fma(x, factor, added), low, _MARGIN, (value, multiplier, shift), exact, mask)


def floor_in_float(
    f: Function, z: Value, low: int, margin: int, operands: Sequence[Value], exact: Exact, mask: Value | None
) -> Value:
    """The integral part of z + low - 256, where z is wrong by `margin` ulp at most and as much too great on purpose;
    where that leaves it doubtful, `exact` of the `operands`."""
    bits = f.bitcast(z, vector_type(I32, lanes_of(z.type)))
    fraction = f.and_(bits, f.const(bits.type, (1 << _FRACTION) - 2 * margin))
    doubtful = f.icmp("eq", fraction, f.zero(bits.type))
    if mask is not None:
        doubtful = f.and_(doubtful, mask)
    integral = f.ashr(bits, f.const(bits.type, _FRACTION))
    origin = f.const(bits.type, _FIRST - low)
    name = f"{f.name}.{f.label('exact')}"
    f.attach(_outlined(name, exact, [operand.type for operand in operands]))
    with f.if_(f.any(doubtful), [integral], unlikely=True) as again:
        again.yield_(f.add(f.call(bits.type, name, operands), origin))
    return f.sub(again.results[0], origin)


def _power_less(f: Function, exponent: int, amount: Value) -> Value:
    """2.0 ** (exponent - amount) for vectors of i32."""
    biased = f.sub(f.const(amount.type, 127 + exponent), amount)
    return f.bitcast(f.shl(biased, f.const(amount.type, 23)), vector_type(F32, lanes_of(amount.type)))


def _outlined(name: str, exact: Exact, types: list[str]) -> Function:
    """Of its own, so that nothing of what is hardly ever needed is computed, or kept in registers, beforehand."""
    names = ("value", "multiplier", "shift")
    f = Function(name, list(zip(types, names, strict=True)), result=types[0], attributes=f"{OUTLINED} cold")
    f.ret(exact(f, *f.arguments))
    return f
