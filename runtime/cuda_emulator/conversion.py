"""cvt and cvta: between types, and between address spaces (PTX ISA 8.5, chapters 9.7.9.20 and 9.7.9.21)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .program import Program, Step, dtype_of, unknown
from .ptx import Instruction

_ROUNDINGS = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def decode_convert(program: Program, instruction: Instruction) -> Step:
    *modes, to, source = instruction.modifiers
    if (modes, to, source) == (["rna"], "tf32", "f32"):
        keep = program.write(instruction.operands[0], "b32")
        bits = program.read(instruction.operands[1], "b32")
        return lambda mask: keep(_tf32_bits(np.asarray(bits())), mask)
    if (modes, source) == (["rn"], "f32") and to in ("f16x2", "bf16x2"):
        return _decode_pair(program, instruction, to[:-2])
    if {to, source} & {"f16x2", "bf16x2", "pred"} or set(modes) - {"rn", "sat", *_ROUNDINGS}:
        raise unknown(instruction)
    write = program.write(instruction.operands[0], to)
    read = program.read(instruction.operands[1], source)
    rounding = next((_ROUNDINGS[mode] for mode in modes if mode in _ROUNDINGS), None)
    convert = _conversion(source, to, rounding, "sat" in modes)
    return lambda mask: write(convert(np.asarray(read())), mask)


def _decode_pair(program: Program, instruction: Instruction, to: str) -> Step:
    """Two f32 become the upper and the lower half of a register."""
    write = program.write(instruction.operands[0], "b32")
    upper, lower = (program.read(operand, "f32") for operand in instruction.operands[1:])
    convert = _conversion("f32", to, None, False)

    def run(mask: Any) -> None:
        halves = [np.asarray(convert(np.asarray(read()))).view(np.uint16) for read in (upper, lower)]
        write(halves[0].astype(np.uint32) << np.uint32(16) | halves[1], mask)

    return run


def _conversion(source: str, to: str, rounding: Any, saturate: bool) -> Any:
    if source == "bf16":
        widen = _conversion("f32", to, rounding, saturate)
        return lambda a: widen((a.astype(np.uint32) << np.uint32(16)).view(np.float32))
    if to == "bf16":
        return lambda a: _bf16_bits(a.astype(np.float32))
    dtype = dtype_of(to)
    if dtype_of(source).kind == "f" and dtype.kind in "iu":
        return lambda a: _to_integer(rounding(a), dtype)
    if rounding is not None:
        return lambda a: rounding(a).astype(dtype)
    if saturate and dtype.kind == "f":
        return lambda a: np.where(np.isnan(a), 0, np.clip(a, 0, 1)).astype(dtype)
    if saturate:
        limits = np.iinfo(dtype)
        return lambda a: _clamp(a, limits.min, limits.max).astype(dtype)
    return lambda a: a.astype(dtype)


def _clamp(value: Any, low: int, high: int) -> Any:
    limits = np.iinfo(value.dtype)
    return np.clip(value, max(low, limits.min), min(high, limits.max))


def _to_integer(value: Any, dtype: Any) -> Any:
    """Whole numbers beyond the type become its nearest, NaN 0 (which PTX leaves open for 64 bits)."""
    limits = np.iinfo(dtype)
    # 2^63 - 1 is no float: what is not below the next power of two is too large.
    above, below = value >= float(limits.max) + 1, value <= float(limits.min)
    inside = np.where(above | below | np.isnan(value), 0, value).astype(dtype)
    return np.where(above, dtype.type(limits.max), np.where(below, dtype.type(limits.min), inside))


def _bf16_bits(value: Any) -> Any:
    """Round to nearest, ties to even; all NaN are one."""
    bits = value.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(value), np.uint16(0x7FFF), rounded.astype(np.uint16))


def _tf32_bits(bits: Any) -> Any:
    """Round to ten bits of fraction, ties away from zero; all NaN are one. The lower 13 bits, which PTX leaves open,
    become zero."""
    is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    rounded = np.where(is_nan, np.uint32(0), bits) + np.uint32(0x1000) & np.uint32(0xFFFFE000)
    return np.where(is_nan, np.uint32(0x7FFFFFFF), rounded)


def decode_convert_address(program: Program, instruction: Instruction) -> Step:
    """Every address here is a generic one, whatever space it was made for."""
    write = program.write(instruction.operands[0], "u64")
    read = program.read(instruction.operands[1], "u64")
    return lambda mask: write(np.asarray(read()), mask)
