"""Types, values and literals of LLVM IR text, and how tensor element types map onto them.

An LLVM type is held as its own spelling ("i32", "float", "<16 x i8>", "ptr"): the emitter writes text, and a string
compares, hashes and prints for free.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache, lru_cache

import ml_dtypes
import numpy as np
from xdsl.dialects import builtin
from xdsl.dialects.builtin import IndexType, IntegerType
from xdsl.ir import Attribute

I1, I8, I16, I32, I64, PTR = "i1", "i8", "i16", "i32", "i64", "ptr"
F16, BF16, F32, F64 = "half", "bfloat", "float", "double"

_FLOATS = {builtin.f16: F16, builtin.bf16: BF16, builtin.f32: F32, builtin.f64: F64}
_SUFFIXES = {F16: "f16", BF16: "bf16", F32: "f32", F64: "f64", PTR: "p0"}
_BITS = {F16: 16, BF16: 16, F32: 32, F64: 64, PTR: 64}


class Value:
    """A typed operand: `text` is a register ("%v7") or a literal; `constant` is set for scalar integer literals.

    `multiple` is a number that the i64 or the address in a register is known to be a multiple of.
    """

    __slots__ = ("constant", "multiple", "text", "type")

    def __init__(self, type: str, text: str, constant: int | None = None, multiple: int = 1) -> None:
        self.type = type
        self.text = text
        self.constant = constant
        self.multiple = multiple

    def __repr__(self) -> str:
        return f"{self.type} {self.text}"

    @property
    def divisor(self) -> int:
        """The greatest number that certainly divides it: 0 for zero, which all do."""
        return self.multiple if self.constant is None else abs(self.constant)


def vector_type(element: str, lanes: int) -> str:
    """`lanes` elements as one value; a single lane is the scalar itself."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


@cache
def split_type(type: str) -> tuple[str, int]:
    """(element type, lanes) of a scalar or vector type."""
    if not type.startswith("<"):
        return type, 1
    lanes, element = type[1:-1].split(" x ")
    return element, int(lanes)


def element_of(type: str) -> str:
    return split_type(type)[0]


def lanes_of(type: str) -> int:
    return split_type(type)[1]


def is_float(type: str) -> bool:
    return split_type(type)[0] in (F32, F16, BF16, F64)


@cache
def bits_of(type: str) -> int:
    """Width of one element of `type` in bits."""
    element = split_type(type)[0]
    return _BITS.get(element) or int(element[1:])


@cache
def mangled(type: str) -> str:
    """The suffix of an overloaded intrinsic: "v16f32" for <16 x float>."""
    element, lanes = split_type(type)
    suffix = _SUFFIXES.get(element, element)
    return suffix if lanes == 1 else f"v{lanes}{suffix}"


def _scalar_literal(element: str, value: int | float | bool) -> str:
    if element == F32:
        # LLVM spells a float as the double of the same value; the cast rounds to what a float can hold.
        return "0x" + struct.pack(">d", float(np.float32(value))).hex().upper()
    if element == F64:
        return "0x" + struct.pack(">d", float(value)).hex().upper()
    if element == F16:
        return "0xH" + np.array(value, ">f2").tobytes().hex().upper()
    if element == BF16:
        return f"0xR{np.array(value, ml_dtypes.bfloat16).view(np.uint16).item():04X}"
    if element == I1:
        return "true" if value else "false"
    if element == PTR:
        return "null"
    return str(int(value))


def half_value(literal: str) -> float:
    """The number that a literal of a 16-bit float stands for."""
    bits = np.array(int(literal[3:], 16), np.uint16)
    return float(bits.view(np.float16 if literal.startswith("0xH") else ml_dtypes.bfloat16))


@lru_cache(maxsize=4096)
def splat_literal(type: str, value: int | float | bool) -> str:
    """Every lane of `type` holding `value`."""
    element, lanes = split_type(type)
    literal = _scalar_literal(element, value)
    return literal if lanes == 1 else f"splat ({element} {literal})"


def vector_literal(type: str, values: Sequence[int | float | bool]) -> str:
    element, lanes = split_type(type)
    assert len(values) == lanes, f"{len(values)} values for {type}"
    return "<" + ", ".join(f"{element} {_scalar_literal(element, value)}" for value in values) + ">"


def register_type(attribute: Attribute) -> str:
    """The type of one element of an IR type in registers: i1 stays a bit, i4 computes as i8, i48 and index as i64."""
    if attribute in _FLOATS:
        return _FLOATS[attribute]
    if isinstance(attribute, IndexType):
        return I64
    if isinstance(attribute, IntegerType):
        width = attribute.width.data
        return I1 if width == 1 else f"i{next(size for size in (8, 16, 32, 64) if size >= width)}"
    raise TypeError(f"no machine type for {attribute}")


def memory_type(attribute: Attribute) -> str:
    """The type of one element of a tensor in memory: as in registers, but a bool is a byte holding 0 or 1."""
    register = register_type(attribute)
    return I8 if register == I1 else register


def byte_size(attribute: Attribute) -> int:
    """Bytes of one tensor element in memory."""
    return bits_of(memory_type(attribute)) // 8
