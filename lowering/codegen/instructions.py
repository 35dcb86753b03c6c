"""The hardware instructions kernels name directly: LLVM's spelling, the CPU feature needed, and the meaning in numpy.

Only what LLVM would not select from plain IR belongs here. The tests execute every row against its meaning.
Semantics: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2; Arm Architecture Reference Manual
for A-profile, chapter C7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .types import vector_type

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Instruction:
    """One instruction at one width; any one of `features` provides it.

    `meaning` maps arrays of the operands' elements to the result's.
    """

    name: str
    intrinsic: str
    features: tuple[str, ...]
    result: str
    operands: tuple[str, ...]
    meaning: Callable[..., Array]


def _dot_u8s8(accumulator: Array, a: Array, b: Array) -> Array:
    """accumulator[i] += sum over 4 of unsigned a[4i + j] * signed b[4i + j], wrapping."""
    products = a.view(np.uint8).astype(np.int32) * b.astype(np.int32)
    return accumulator + products.reshape(-1, 4).sum(1, dtype=np.int32)


def _multiply_add_s16(a: Array, b: Array) -> Array:
    """a[2i] * b[2i] + a[2i + 1] * b[2i + 1] in 32 bits."""
    products = a.astype(np.int32) * b.astype(np.int32)
    return products.reshape(-1, 2).sum(1, dtype=np.int32)


def _flush(values: Array) -> Array:
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), values), values)


def _dot_bf16(accumulator: Array, a: Array, b: Array) -> Array:
    """accumulator[i] += a[2i + 1] * b[2i + 1], then += a[2i] * b[2i]; each a fused step, subnormals taken as zero."""
    wide = accumulator.astype(np.float64)
    x, y = _flush(a.astype(np.float32)).astype(np.float64), _flush(b.astype(np.float32)).astype(np.float64)
    for j in (1, 0):
        # The product of two bf16 is exact in double; adding a float there rounds twice, which float hides.
        wide = _flush((x[j::2] * y[j::2] + wide).astype(np.float32)).astype(np.float64)
    return wide.astype(np.float32)


def _dot_s8(accumulator: Array, a: Array, b: Array) -> Array:
    """accumulator[i] += sum over 4 of a[4i + j] * b[4i + j], wrapping."""
    products = a.astype(np.int32) * b.astype(np.int32)
    return accumulator + products.reshape(-1, 4).sum(1, dtype=np.int32)


def _add_to_odd(a: Array, b: Array) -> Array:
    """f32 sums of f64 numbers that are f32, rounded to odd and subnormals taken as zero."""
    total = a + b
    # What the double does not hold (Knuth's TwoSum) says to which side the exact sum lies.
    part = total - a
    rest = (a - (total - part)) + (b - part)
    bits = total.view(np.int64)
    toward = np.where((rest > 0) == (total > 0), bits, bits - 1)
    odd = np.where(rest != 0, toward | 1, bits).view(np.float64)
    narrow = odd.astype(np.float32)
    too_far = np.abs(narrow.astype(np.float64)) > np.abs(odd)
    truncated = np.where(too_far, narrow.view(np.int32) - 1, narrow.view(np.int32))
    inexact = truncated.view(np.float32).astype(np.float64) != odd
    return _flush(np.where(inexact, truncated | 1, truncated).astype(np.int32).view(np.float32)).astype(np.float64)


def _dot_bf16_to_odd(accumulator: Array, a: Array, b: Array) -> Array:
    """accumulator[i] += a[2i] * b[2i] + a[2i + 1] * b[2i + 1]; both sums rounded to odd (BFDOT without FEAT_EBF16)."""
    x, y = _flush(a.astype(np.float32)).astype(np.float64), _flush(b.astype(np.float32)).astype(np.float64)
    pair = _add_to_odd(x[0::2] * y[0::2], x[1::2] * y[1::2])
    return _add_to_odd(_flush(accumulator).astype(np.float64), pair).astype(np.float32)


def _matrix_s8(accumulator: Array, a: Array, b: Array) -> Array:
    """accumulator[2, 2] += a[2, 8] * b[2, 8] transposed, wrapping."""
    products = a.reshape(2, 8).astype(np.int32) @ b.reshape(2, 8).astype(np.int32).T
    return accumulator + products.reshape(-1)


def _matrix_bf16(accumulator: Array, a: Array, b: Array) -> Array:
    """accumulator[2, 2] += a[2, 4] * b[2, 4] transposed, as two `bfdot` of pairs (BFMMLA without FEAT_EBF16)."""
    rows, columns = a.reshape(2, 2, 2), b.reshape(2, 2, 2)
    for pair in (0, 1):
        left, right = np.repeat(rows[:, pair], 2, axis=0), np.tile(columns[:, pair], (2, 1))
        accumulator = _dot_bf16_to_odd(accumulator, left.reshape(-1), right.reshape(-1))
    return accumulator


def _permute_bytes_two(low: Array, indices: Array, high: Array) -> Array:
    """Byte indices[i] mod 128 of `low` followed by `high`."""
    return np.concatenate([low, high])[indices.view(np.uint8) & 127]


def _round_two_to_bf16(high: Array, low: Array) -> Array:
    """`low` followed by `high`, rounded to nearest even."""
    return np.concatenate([low, high]).astype(ml_dtypes.bfloat16)


def _rows(
    name: str,
    spellings: dict[int, tuple[str, ...]],
    result: tuple[str, int],
    operands: tuple[tuple[str, int], ...],
    meaning: Callable[..., Array],
) -> list[Instruction]:
    """One row per register width: `spellings` maps bits to (intrinsic, features...); types are (element, its bits)."""

    def at(element: tuple[str, int], width: int) -> str:
        return vector_type(element[0], width // element[1])

    return [
        Instruction(name, intrinsic, tuple(features), at(result, width), tuple(at(o, width) for o in operands), meaning)
        for width, (intrinsic, *features) in spellings.items()
    ]


_I8, _I16, _I32, _BF16, _F32 = ("i8", 8), ("i16", 16), ("i32", 32), ("bfloat", 16), ("float", 32)

INSTRUCTIONS: tuple[Instruction, ...] = (
    *_rows(
        "vpdpbusd",
        {
            512: ("llvm.x86.avx512.vpdpbusd.512", "avx512vnni"),
            256: ("llvm.x86.avx512.vpdpbusd.256", "avx512vnni", "avxvnni"),
            128: ("llvm.x86.avx512.vpdpbusd.128", "avx512vnni", "avxvnni"),
        },
        _I32,
        (_I32, _I8, _I8),
        _dot_u8s8,
    ),
    *_rows(
        "vdpbf16ps",
        {
            512: ("llvm.x86.avx512bf16.dpbf16ps.512", "avx512bf16"),
            256: ("llvm.x86.avx512bf16.dpbf16ps.256", "avx512bf16"),
            128: ("llvm.x86.avx512bf16.dpbf16ps.128", "avx512bf16"),
        },
        _F32,
        (_F32, _BF16, _BF16),
        _dot_bf16,
    ),
    *_rows(
        "pmaddwd",
        {
            512: ("llvm.x86.avx512.pmaddw.d.512", "avx512bw"),
            256: ("llvm.x86.avx2.pmadd.wd", "avx2"),
            128: ("llvm.x86.sse2.pmadd.wd", "sse2"),
        },
        _I32,
        (_I16, _I16),
        _multiply_add_s16,
    ),
    *_rows(
        "sdot",
        {128: ("llvm.aarch64.neon.sdot.v4i32.v16i8", "dotprod")},
        _I32,
        (_I32, _I8, _I8),
        _dot_s8,
    ),
    *_rows(
        "bfdot",
        {128: ("llvm.aarch64.neon.bfdot.v4f32.v8bf16", "bf16")},
        _F32,
        (_F32, _BF16, _BF16),
        _dot_bf16_to_odd,
    ),
    *_rows(
        "smmla",
        {128: ("llvm.aarch64.neon.smmla.v4i32.v16i8", "i8mm")},
        _I32,
        (_I32, _I8, _I8),
        _matrix_s8,
    ),
    *_rows(
        "bfmmla",
        {128: ("llvm.aarch64.neon.bfmmla", "bf16")},
        _F32,
        (_F32, _BF16, _BF16),
        _matrix_bf16,
    ),
    *_rows(
        "vcvtne2ps2bf16",
        {512: ("llvm.x86.avx512bf16.cvtne2ps2bf16.512", "avx512bf16")},
        _BF16,
        (_F32, _F32),
        _round_two_to_bf16,
    ),
    *_rows(
        "vpermi2b",
        {512: ("llvm.x86.avx512.vpermi2var.qi.512", "avx512vbmi")},
        _I8,
        (_I8, _I8, _I8),
        _permute_bytes_two,
    ),
)

_BY_NAME_AND_TYPE = {(row.name, row.operands[0]): row for row in INSTRUCTIONS}


def find_instruction(name: str, first_operand: str) -> Instruction:
    """The row of `name` whose first operand has the given LLVM type; KeyError if there is none of that width."""
    return _BY_NAME_AND_TYPE[name, first_operand]
