"""Arithmetic, logic, comparison and selection (PTX ISA 8.5, chapters 9.7.1 to 9.7.8), element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .program import Program, Step, dtype_of, unknown
from .ptx import PACKED, WIDTHS, Instruction

Function = Callable[..., Any]


def _apply(program: Program, instruction: Instruction, function: Function, sources: list[str], result: str) -> Step:
    """The step that writes `function` of operands, read as the types of `sources`, as `result`."""
    if len(instruction.operands) != len(sources) + 1:
        raise unknown(instruction)
    write = program.write(instruction.operands[0], result)
    reads = [program.read(operand, type) for operand, type in zip(instruction.operands[1:], sources, strict=True)]
    if len(reads) == 1:
        (first,) = reads
        return lambda mask: write(function(first()), mask)
    if len(reads) == 2:
        first, second = reads
        return lambda mask: write(function(first(), second()), mask)
    return lambda mask: write(function(*(read() for read in reads)), mask)


# -- integers and floats alike


def _minimum(a: Any, b: Any) -> Any:
    """As PTX has it: a number rather than a NaN, and -0 before +0."""
    if np.asarray(a).dtype.kind != "f":
        return np.minimum(a, b)
    return np.where((a == b) & np.signbit(a), a, np.where((a == b), b, np.fmin(a, b)))


def _maximum(a: Any, b: Any) -> Any:
    if np.asarray(a).dtype.kind != "f":
        return np.maximum(a, b)
    return np.where((a == b) & np.signbit(a), b, np.where((a == b), a, np.fmax(a, b)))


def _divide(a: Any, b: Any) -> Any:
    """Towards zero; what division by zero gives is unspecified."""
    if np.asarray(a).dtype.kind == "f":
        return a / b
    divisor = np.where(b == 0, np.ones_like(b), b)
    if np.asarray(a).dtype.kind == "u":
        return a // divisor
    quotient = a // divisor
    return quotient + ((quotient < 0) & (quotient * divisor != a)).astype(quotient.dtype)


def _remainder(a: Any, b: Any) -> Any:
    return a - _divide(a, b) * b


def _multiply_high(a: Any, b: Any) -> Any:
    size = np.asarray(a).dtype.itemsize
    if size < 8:
        wide = np.dtype(f"{np.asarray(a).dtype.kind}{2 * size}")
        return (np.asarray(a).astype(wide) * np.asarray(b).astype(wide) >> wide.type(8 * size)).astype(
            np.asarray(a).dtype
        )
    unsigned = _multiply_high_u64(np.asarray(a).view(np.uint64), np.asarray(b).view(np.uint64))
    if np.asarray(a).dtype.kind == "u":
        return unsigned
    signed = unsigned.view(np.int64)
    return signed - np.where(a < 0, b, 0) - np.where(b < 0, a, 0)


def _multiply_high_u64(a: Any, b: Any) -> Any:
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a0, a1, b0, b1 = a & low, a >> half, b & low, b >> half
    middle = a1 * b0 + (a0 * b0 >> half)
    other = a0 * b1 + (middle & low)
    return a1 * b1 + (middle >> half) + (other >> half)


def _multiply_wide(a: Any, b: Any) -> Any:
    wide = np.dtype(f"{np.asarray(a).dtype.kind}{2 * np.asarray(a).dtype.itemsize}")
    return np.asarray(a).astype(wide) * np.asarray(b).astype(wide)


def fused_multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once. f32: the sum in f64, rounded to odd, has bits enough to be rounded again
    (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Trans. Computers 57, 2008)."""
    dtype = np.asarray(a).dtype
    if dtype == np.float64:
        from ..reference.numerics import fused_multiply_add as exact

        return exact(*np.broadcast_arrays(a, b, c))
    product = np.asarray(a).astype(np.float64) * np.asarray(b).astype(np.float64)  # exact
    addend = np.asarray(c).astype(np.float64)
    total = product + addend
    part = total - product
    error = (product - (total - part)) + (addend - part)
    bits = total.view(np.int64) if total.ndim else np.asarray(total).view(np.int64)
    inexact = (error != 0) & np.isfinite(total) & ((bits & 1) == 0)
    away = (error > 0) == (total > 0)
    return np.where(inexact, bits + np.where(away, 1, -1), bits).view(np.float64).astype(dtype)


_BINARY: dict[str, Function] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "min": _minimum,
    "max": _maximum,
    "div": _divide,
    "rem": _remainder,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "copysign": lambda a, b: np.copysign(b, a),
}

_UNARY: dict[str, Function] = {
    "neg": lambda a: -a,
    "abs": np.abs,
    "not": np.invert,
    "sqrt": np.sqrt,
    "rcp": lambda a: np.asarray(a).dtype.type(1) / a,
}

_KNOWN_MODIFIERS = {"rn", "lo", "approx", "full"}
_INEXACT = {"approx", "full"}
"""Instructions whose result the specification only bounds: not emulated, as no two GPUs need agree on them."""


def _check(instruction: Instruction) -> None:
    extra = set(instruction.modifiers[:-1])
    if extra - _KNOWN_MODIFIERS or extra & _INEXACT:
        raise unknown(instruction)


def _packed(function: Function, type: str) -> Function:
    """`function` of numbers of `type` on pairs of them in 32 bits."""
    part = dtype_of(type)

    def apply(*pairs: Any) -> Any:
        spread = [np.ascontiguousarray(pair).view(part) for pair in np.broadcast_arrays(*map(np.atleast_1d, pairs))]
        return np.ascontiguousarray(function(*spread), part).view(np.uint32)

    return apply


def decode_binary(program: Program, instruction: Instruction) -> Step:
    _check(instruction)
    type = instruction.type
    if type in PACKED and type != "bf16x2":
        function = _packed(_BINARY[instruction.opcode], PACKED[type])
        return _apply(program, instruction, function, ["b32", "b32"], "b32")
    return _apply(program, instruction, _BINARY[instruction.opcode], [type, type], type)


def decode_unary(program: Program, instruction: Instruction) -> Step:
    _check(instruction)
    return _apply(program, instruction, _UNARY[instruction.opcode], [instruction.type], instruction.type)


def decode_exponential(program: Program, instruction: Instruction) -> Step:
    """ex2.approx.ftz.f32, which the specification bounds by 2**-22 of the result: here it is the nearest number, and
    what kernels make of it has fewer bits. Subnormal operands and results are zero."""
    if instruction.modifiers != ("approx", "ftz", "f32"):
        raise unknown(instruction)

    def power(a: Any) -> Any:
        result = np.exp2(np.asarray(a).astype(np.float64)).astype(np.float32)
        return np.where(result < np.finfo(np.float32).tiny, np.float32(0), result)

    return _apply(program, instruction, power, ["f32"], "f32")


def decode_multiply(program: Program, instruction: Instruction) -> Step:
    """mul, mad and fma."""
    type = instruction.type
    add = instruction.opcode != "mul"
    if type.startswith("f"):
        _check(instruction)
        function = fused_multiply_add if add else np.multiply
        if type in PACKED:
            return _apply(program, instruction, _packed(function, PACKED[type]), ["b32"] * (2 + add), "b32")
        return _apply(program, instruction, function, [type] * (2 + add), type)
    mode = instruction.modifiers[0]
    functions: dict[str, Function] = {"lo": np.multiply, "hi": _multiply_high, "wide": _multiply_wide}
    if mode not in functions or len(instruction.modifiers) != 2:
        raise unknown(instruction)
    product = functions[mode]
    result = f"{type[0]}{16 * WIDTHS[type]}" if mode == "wide" else type
    if add:
        return _apply(program, instruction, lambda a, b, c: product(a, b) + c, [type, type, result], result)
    return _apply(program, instruction, product, [type, type], result)


def decode_dot(program: Program, instruction: Instruction) -> Step:
    """dp4a: c + the products of the four bytes of a and of b."""
    left, right = instruction.modifiers
    bytes_ = {"s32": np.int8, "u32": np.uint8}
    result = "u32" if left == right == "u32" else "s32"

    def dot(a: Any, b: Any, c: Any) -> Any:
        a, b = np.broadcast_arrays(a, b)
        pairs = [np.ascontiguousarray(each)[..., None].view(bytes_[type]) for each, type in ((a, left), (b, right))]
        return c + (pairs[0].astype(c.dtype) * pairs[1].astype(c.dtype)).sum(-1, dtype=c.dtype)

    return _apply(program, instruction, dot, [left, right, result], result)


# -- bits


def decode_shift(program: Program, instruction: Instruction) -> Step:
    """shl and shr: amounts beyond the width shift everything out."""
    type = instruction.type
    bits = 8 * WIDTHS[type]
    dtype = dtype_of(type)
    last = dtype.type(bits - 1)

    def left(value: Any, amount: Any) -> Any:
        shifted = np.left_shift(value, np.minimum(amount, bits - 1).astype(dtype))
        return np.where(amount >= bits, dtype.type(0), shifted)

    def right(value: Any, amount: Any) -> Any:
        shifted = np.right_shift(value, np.minimum(amount, bits - 1).astype(dtype))
        return np.where(amount >= bits, np.right_shift(value, last) if dtype.kind == "i" else dtype.type(0), shifted)

    return _apply(program, instruction, left if instruction.opcode == "shl" else right, [type, "u32"], type)


def decode_count(program: Program, instruction: Instruction) -> Step:
    """popc and clz, whose result is a u32."""
    bits = 8 * WIDTHS[instruction.type]

    def leading_zeros(value: Any) -> Any:
        filled = np.array(value)
        for distance in (1, 2, 4, 8, 16, 32)[: bits.bit_length() - 1]:
            filled |= filled >> filled.dtype.type(distance)
        return np.uint32(bits) - np.bitwise_count(filled).astype(np.uint32)

    def ones(value: Any) -> Any:
        return np.bitwise_count(value).astype(np.uint32)

    function = ones if instruction.opcode == "popc" else leading_zeros
    return _apply(program, instruction, function, [instruction.type], "u32")


def decode_extract_bits(program: Program, instruction: Instruction) -> Step:
    """bfe: `length` bits from `position` on, of signed types extended by the sign of the last of them there is."""
    type = instruction.type
    bits = 8 * WIDTHS[type]
    dtype = dtype_of(type)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    signed = dtype.kind == "i"

    def extract(value: Any, position: Any, length: Any) -> Any:
        position, length = np.minimum(position & 0xFF, bits), np.minimum(length & 0xFF, bits)
        beyond = (position == bits) & (length > 0)
        length = np.minimum(length, bits - position)
        up = (bits - position - length).astype(unsigned)
        down = (bits - length).astype(unsigned)
        # Without bits to extract both shifts would be by the whole width, which numpy leaves undefined.
        lifted = np.left_shift(np.asarray(value).view(unsigned), np.minimum(up, unsigned.type(bits - 1)))
        nothing = np.where(beyond & (np.asarray(value) < 0), dtype.type(-1), dtype.type(0)) if signed else dtype.type(0)
        return np.where(
            length == 0,
            nothing,
            np.right_shift(lifted.view(dtype), np.minimum(down, unsigned.type(bits - 1)).astype(dtype)),
        )

    return _apply(program, instruction, extract, [type, "u32", "u32"], type)


def decode_permute(program: Program, instruction: Instruction) -> Step:
    """prmt.b32: each byte of the result is one of the eight of two registers, or its sign."""

    def permute(low: Any, high: Any, selector: Any) -> Any:
        low, high, selector = (np.asarray(x).astype(np.uint64) for x in (low, high, selector))
        both = low | high << np.uint64(32)
        result = np.zeros(np.broadcast(both, selector).shape, np.uint64)
        for byte in range(4):
            choice = selector >> np.uint64(4 * byte) & np.uint64(15)
            picked = both >> (choice & np.uint64(7)) * np.uint64(8) & np.uint64(255)
            sign = np.where(picked & np.uint64(128), np.uint64(255), np.uint64(0))
            result |= np.where(choice & np.uint64(8), sign, picked) << np.uint64(8 * byte)
        return result.astype(np.uint32)

    if instruction.modifiers != ("b32",):
        raise unknown(instruction)
    return _apply(program, instruction, permute, ["b32", "b32", "b32"], "b32")


def decode_funnel_shift(program: Program, instruction: Instruction) -> Step:
    """shf: 32 bits of the 64 of two registers, shifted by up to 31 (wrap) or 32 (clamp)."""
    direction, mode = instruction.modifiers[:2]

    def shift(low: Any, high: Any, amount: Any) -> Any:
        both = np.asarray(low).astype(np.uint64) | np.asarray(high).astype(np.uint64) << np.uint64(32)
        amount = (amount & 31 if mode == "wrap" else np.minimum(amount, 32)).astype(np.uint64)
        shifted = both << amount >> np.uint64(32) if direction == "l" else both >> amount
        return shifted.astype(np.uint32)

    if direction not in ("l", "r") or mode not in ("wrap", "clamp"):
        raise unknown(instruction)
    return _apply(program, instruction, shift, ["b32", "b32", "u32"], "b32")


def decode_logic(program: Program, instruction: Instruction) -> Step:
    """lop3: any function of three bits, by its table."""

    def logic(a: Any, b: Any, c: Any, table: Any) -> Any:
        result = np.zeros_like(a)
        for row in range(8):
            if int(table) >> row & 1:
                result = result | (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
        return result

    return _apply(program, instruction, logic, ["b32", "b32", "b32", "u32"], "b32")


# -- comparison and selection

_COMPARISONS: dict[str, Function] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}


def _comparison(name: str, type: str) -> Function | None:
    """Of floats `ltu` and the like hold for NaN too, plain ones do not (`ne` neither, unlike numpy's)."""
    if not type.startswith("f"):
        return _COMPARISONS.get(_UNSIGNED.get(name, name))
    if name in ("num", "nan"):
        return lambda a, b: (np.isnan(a) | np.isnan(b)) == (name == "nan")
    if name == "ne":
        return lambda a, b: (a != b) & ~(np.isnan(a) | np.isnan(b))
    if name in _COMPARISONS:
        return _COMPARISONS[name]
    ordered = _COMPARISONS.get(name.removesuffix("u"))
    return None if ordered is None else lambda a, b: ordered(a, b) | np.isnan(a) | np.isnan(b)


def decode_set_predicate(program: Program, instruction: Instruction) -> Step:
    compare = _comparison(instruction.modifiers[0], instruction.type)
    if compare is None or len(instruction.modifiers) != 2:
        raise unknown(instruction)
    return _apply(program, instruction, compare, [instruction.type] * 2, "pred")


def decode_select(program: Program, instruction: Instruction) -> Step:
    type = instruction.type
    return _apply(program, instruction, lambda a, b, c: np.where(c, a, b), [type, type, "pred"], type)
