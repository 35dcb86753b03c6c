"""Conversions between number formats that hold on every target, without calls into a runtime library.

f16 needs F16C, AArch64 or Zfh and bf16 needs AVX512-BF16 to be converted by an instruction, and the latter flushes
subnormals; LLVM would call a library elsewhere. Here both are integer code where the instruction is missing or inexact.
"""

from __future__ import annotations

from ..target import Target
from .emit import Function
from .math_functions import fabs
from .types import BF16, F16, F32, I16, I32, Value, bits_of, element_of, lanes_of, mangled, vector_type

_ROUNDED_AT_ONCE = (8, 16)
"""Lanes for which LLVM has an instruction that rounds to bf16."""


def float_cast(f: Function, target: Target, value: Value, element: str) -> Value:
    """Every lane in another float format, rounded to nearest even."""
    source = element_of(value.type)
    if source == element:
        return value
    if source in (F16, BF16):
        wide = _extend_half(f, target, value) if source == F16 else _extend_bfloat(f, value)
        return float_cast(f, target, wide, element)
    if element in (F16, BF16):
        # f64 by way of f32 would round twice; TOSA has no such cast.
        narrow = f.cast("fptrunc", value, F32)
        return _truncate_half(f, target, narrow) if element == F16 else _truncate_bfloat(f, narrow)
    return f.cast("fpext" if bits_of(element) > bits_of(source) else "fptrunc", value, element)


def round_to_bfloat(f: Function, target: Target, value: Value) -> Value:
    """f32 to bf16, rounded to nearest even; subnormal numbers may become zero, which lets one instruction do it."""
    if not target.bf16 or lanes_of(value.type) not in _ROUNDED_AT_ONCE:
        return float_cast(f, target, value, BF16)
    return f.cast("fptrunc", value, BF16)


def float_to_integer(f: Function, value: Value, element: str, *, signed: bool) -> Value:
    """Towards zero, saturated to the range of `element`; NaN becomes 0 (TOSA 1.0, CAST)."""
    type = vector_type(element, lanes_of(value.type))
    if lanes_of(value.type) > 1 and bits_of(element) <= 16 and element_of(value.type) == F32:
        # LLVM's saturating conversion to narrow elements goes lane by lane on x86.
        least, greatest = (-(1 << bits_of(element) - 1), (1 << bits_of(element) - 1) - 1)
        if not signed:
            least, greatest = 0, (1 << bits_of(element)) - 1
        low, high = (f.const(value.type, float(limit)) for limit in (least, greatest))
        number = f.select(f.fcmp("uno", value, value), f.const(value.type, 0.0), value)
        bounded = f.select(f.fcmp("ogt", number, low), number, low)
        bounded = f.select(f.fcmp("olt", bounded, high), bounded, high)
        return f.cast("trunc", f.cast("fptosi", bounded, I32), element)
    name = "llvm.fptosi.sat" if signed else "llvm.fptoui.sat"
    return f.call(type, f"{name}.{mangled(type)}.{mangled(value.type)}", [value])


def _lanes_like(value: Value, element: str) -> str:
    return vector_type(element, lanes_of(value.type))


def _extend_bfloat(f: Function, value: Value) -> Value:
    bits = f.cast("zext", f.bitcast(value, _lanes_like(value, I16)), I32)
    return f.bitcast(f.shl(bits, f.const(bits.type, 16)), _lanes_like(value, F32))


def _truncate_bfloat(f: Function, value: Value) -> Value:
    bits = f.bitcast(value, _lanes_like(value, I32))
    odd = f.and_(f.lshr(bits, f.const(bits.type, 16)), f.const(bits.type, 1))
    rounded = f.add(f.add(bits, f.const(bits.type, 0x7FFF)), odd)
    quiet = f.or_(bits, f.const(bits.type, 0x400000))
    chosen = f.select(f.fcmp("uno", value, value), quiet, rounded)
    high = f.cast("trunc", f.lshr(chosen, f.const(bits.type, 16)), I16)
    return f.bitcast(high, _lanes_like(value, BF16))


def _extend_half(f: Function, target: Target, value: Value) -> Value:
    if target.converts_half:
        return f.cast("fpext", value, F32)
    bits = f.cast("zext", f.bitcast(value, _lanes_like(value, I16)), I32)
    magnitude = f.shl(f.and_(bits, f.const(bits.type, 0x7FFF)), f.const(bits.type, 13))
    sign = f.shl(f.and_(bits, f.const(bits.type, 0x8000)), f.const(bits.type, 16))
    # A multiplication rebiases the exponent and normalises subnormals in one exact step.
    scaled = f.fmul(f.bitcast(magnitude, _lanes_like(value, F32)), f.const(_lanes_like(value, F32), 2.0**112))
    special = f.icmp("uge", magnitude, f.const(bits.type, 0x7C00 << 13))
    exponent = f.select(special, f.const(bits.type, 0x7F800000), f.const(bits.type, 0))
    result = f.or_(f.or_(f.bitcast(scaled, bits.type), exponent), sign)
    return f.bitcast(result, _lanes_like(value, F32))


def _truncate_half(f: Function, target: Target, value: Value) -> Value:
    if target.converts_half:
        return f.cast("fptrunc", value, F16)
    bits = f.bitcast(value, _lanes_like(value, I32))
    magnitude = f.bitcast(fabs(f, value), bits.type)
    sign = f.lshr(f.xor(bits, magnitude), f.const(bits.type, 16))
    # Subnormal halves: adding 0.5 moves the bits that stay to the end of the mantissa and rounds the others off.
    half = f.const(value.type, 0.5)
    subnormal = f.sub(f.bitcast(f.fadd(fabs(f, value), half), bits.type), f.bitcast(half, bits.type))
    odd = f.and_(f.lshr(magnitude, f.const(bits.type, 13)), f.const(bits.type, 1))
    rebiased = f.add(magnitude, f.const(bits.type, ((15 - 127) << 23) + 0xFFF))
    normal = f.lshr(f.add(rebiased, odd), f.const(bits.type, 13))
    result = f.select(f.icmp("ult", magnitude, f.const(bits.type, 113 << 23)), subnormal, normal)
    infinity = f.const(bits.type, 0x7C00)
    result = f.select(f.icmp("uge", magnitude, f.const(bits.type, 143 << 23)), infinity, result)
    result = f.select(f.fcmp("uno", value, value), f.const(bits.type, 0x7E00), result)
    return f.bitcast(f.cast("trunc", f.or_(result, sign), I16), _lanes_like(value, F16))
