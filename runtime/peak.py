"""The most multiply-adds per second that one core of this machine can do, measured.

A loop of independent multiply-adds on registers, in machine code that is encoded here because the runtime has no
assembler: Intel SDM volume 2A, sections 2.3 (VEX) and 2.7 (EVEX).
"""

from __future__ import annotations

import ctypes
import functools
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from .cpu_features import host_features
from .devices.memory import map_code

_ITERATIONS = 200_000
_REPEATS = 30

_MAP_0F, _MAP_0F38 = 1, 2
_PREFIX_66, _PREFIX_F3 = 1, 2


@dataclass(frozen=True)
class _Instruction:
    """An instruction on three vector registers; `operations` counts multiplications and additions per 32 bits."""

    opcode: int
    opcode_map: int = _MAP_0F38
    prefix: int = _PREFIX_66
    operations: int = 0


_XOR = _Instruction(0xEF, _MAP_0F)
_VFMADD231PS = _Instruction(0xB8, operations=2)
_VPDPBUSD = _Instruction(0x50, operations=8)
_VDPBF16PS = _Instruction(0x52, prefix=_PREFIX_F3, operations=4)

_CANDIDATES = (
    ("float32", _VFMADD231PS, "avx512f", 512),
    ("float32", _VFMADD231PS, "fma", 256),
    ("int8", _VPDPBUSD, "avx512vnni", 512),
    ("int8", _VPDPBUSD, "avxvnni", 256),
    ("bfloat16", _VDPBF16PS, "avx512bf16", 512),
)
"""dtype, instruction, the feature it needs and its width in bits; the first that the CPU has is measured."""


@functools.cache
def measure_peaks() -> dict[str, float]:
    """Operations per second of one core by dtype ("float32", "int8", "bfloat16"), where the CPU has an instruction."""
    peaks: dict[str, float] = {}
    for dtype, instruction, feature, bits in _CANDIDATES:
        if dtype not in peaks and feature in host_features():
            peaks[dtype] = _measure(instruction, bits)
    return peaks


def _measure(instruction: _Instruction, bits: int) -> float:
    encode, registers = (_encode_evex, 32) if bits == 512 else (_encode_vex, 16)
    first, second = registers - 2, registers - 1
    accumulators = registers - 4  # More than latency (4) times throughput (2) needs.
    clear = b"".join(encode(_XOR, r, r, r) for r in range(registers))
    body = b"".join(encode(instruction, r, first, second) for r in range(accumulators))
    decrement, vzeroupper, ret = b"\x48\xff\xcf", b"\xc5\xf8\x77", b"\xc3"
    jump = b"\x0f\x85" + struct.pack("<i", -(len(body) + len(decrement) + 6))
    memory = map_code(clear + body + decrement + jump + vzeroupper + ret)
    try:
        loop = ctypes.CFUNCTYPE(None, ctypes.c_int64)(memory.address)
        fastest = min(_time(loop) for _ in range(_REPEATS))
    finally:
        memory.close()
    return _ITERATIONS * accumulators * (bits // 32) * instruction.operations / fastest


def _time(loop: Callable[[int], None]) -> float:
    begin = time.perf_counter()
    loop(_ITERATIONS)
    return time.perf_counter() - begin


def _encode_vex(instruction: _Instruction, target: int, first: int, second: int) -> bytes:
    """A 256-bit instruction on ymm registers; register bits 3 are stored inverted."""
    high = (~target >> 3 & 1) << 7 | 1 << 6 | (~second >> 3 & 1) << 5 | instruction.opcode_map
    low = (~first & 15) << 3 | 1 << 2 | instruction.prefix
    return bytes([0xC4, high, low, instruction.opcode, 0xC0 | (target & 7) << 3 | second & 7])


def _encode_evex(instruction: _Instruction, target: int, first: int, second: int) -> bytes:
    """A 512-bit instruction on zmm registers; register bits 3 and 4 are stored inverted."""
    target_bits = (~target >> 3 & 1) << 7 | (~target >> 4 & 1) << 4
    second_bits = (~second >> 4 & 1) << 6 | (~second >> 3 & 1) << 5
    middle = (~first & 15) << 3 | 1 << 2 | instruction.prefix
    last = 0b10 << 5 | (~first >> 4 & 1) << 3
    modrm = 0xC0 | (target & 7) << 3 | second & 7
    return bytes([0x62, target_bits | second_bits | instruction.opcode_map, middle, last, instruction.opcode, modrm])
