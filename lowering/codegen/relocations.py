"""How references within an image are written into its instructions, per architecture: those relative to the code alone.

Formats: x86-64 psABI, section 4.4 "Relocation"; ELF for the Arm 64-bit Architecture (AArch64), section 5.7; RISC-V ELF
psABI, "Relocations".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

Apply = Callable[[bytearray, int, int], None]
"""apply(code, position, value): `value` is the address of the symbol plus the addend, from the start of the code."""

_PAGE = 4096
"""Code starts at a page, of at least this size: page numbers within it are known."""

X86_64, AARCH64, RISCV = 62, 183, 243
"""ELF machine numbers."""


def _word(code: bytearray, position: int) -> int:
    return struct.unpack_from("<I", code, position)[0]


def _put(code: bytearray, position: int, mask: int, bits: int) -> None:
    """Replaces the bits of the word at `position` that are set in `mask`."""
    struct.pack_into("<I", code, position, (_word(code, position) & ~mask) | (bits & mask))


def _relative_32(code: bytearray, position: int, value: int) -> None:
    struct.pack_into("<i", code, position, value - position)


def _relative_64(code: bytearray, position: int, value: int) -> None:
    struct.pack_into("<q", code, position, value - position)


def _signed(distance: int, bits: int) -> int:
    if not -(1 << bits - 1) <= distance < 1 << bits - 1:
        raise OverflowError(f"a distance of {distance} bytes does not fit in {bits} bits")
    return distance


def _page(code: bytearray, position: int, value: int) -> None:
    """ADRP: the distance in pages, its two lowest bits apart."""
    pages = _signed(value // _PAGE - position // _PAGE, 21)
    _put(code, position, 0x60FFFFE0, (pages & 3) << 29 | (pages >> 2) << 5)


def _in_page(scale: int) -> Apply:
    """The lowest twelve bits of the address, in units of 1 << scale."""

    def apply(code: bytearray, position: int, value: int) -> None:
        _put(code, position, 0x003FFC00, (value % _PAGE >> scale) << 10)

    return apply


def _branch_26(code: bytearray, position: int, value: int) -> None:
    _put(code, position, 0x03FFFFFF, _signed(value - position, 28) >> 2)


def _short_branch(bits: int) -> Apply:
    def apply(code: bytearray, position: int, value: int) -> None:
        _put(code, position, ((1 << bits) - 1) << 5, _signed(value - position, bits + 2) >> 2 << 5)

    return apply


def _upper_20(code: bytearray, position: int, value: int) -> None:
    """AUIPC: the distance without what its partner adds, which is signed."""
    _put(code, position, 0xFFFFF000, _signed(value - position, 32) + 0x800)


def _call(code: bytearray, position: int, value: int) -> None:
    """AUIPC and JALR."""
    _upper_20(code, position, value)
    _put(code, position + 4, 0xFFF00000, (value - position) << 20)


def _lower_12(code: bytearray, position: int, value: int) -> None:
    """The rest of a distance, in an instruction that loads or adds; `value` is the distance."""
    _put(code, position, 0xFFF00000, value << 20)


def _lower_12_store(code: bytearray, position: int, value: int) -> None:
    _put(code, position, 0xFE000F80, (value >> 5 & 0x7F) << 25 | (value & 0x1F) << 7)


def _jump_20(code: bytearray, position: int, value: int) -> None:
    """JAL."""
    d = _signed(value - position, 21)
    _put(code, position, 0xFFFFF000, (d >> 20 & 1) << 31 | (d >> 1 & 0x3FF) << 21 | (d >> 11 & 1) << 20 | d & 0xFF000)


def _branch_12(code: bytearray, position: int, value: int) -> None:
    d = _signed(value - position, 13)
    bits = (d >> 12 & 1) << 31 | (d >> 5 & 0x3F) << 25 | (d >> 1 & 0xF) << 8 | (d >> 11 & 1) << 7
    _put(code, position, 0xFE000F80, bits)


def _add_32(sign: int) -> Apply:
    """One half of a difference of two symbols."""

    def apply(code: bytearray, position: int, value: int) -> None:
        struct.pack_into("<I", code, position, (_word(code, position) + sign * value) & 0xFFFFFFFF)

    return apply


RELOCATIONS: Mapping[int, Mapping[int, Apply]] = {
    # R_X86_64_PC32; R_X86_64_PLT32: a call through the PLT of a function in the same image is a direct call.
    X86_64: {2: _relative_32, 4: _relative_32},
    AARCH64: {
        260: _relative_64,  # R_AARCH64_PREL64
        261: _relative_32,  # R_AARCH64_PREL32
        275: _page,  # R_AARCH64_ADR_PREL_PG_HI21
        277: _in_page(0),  # R_AARCH64_ADD_ABS_LO12_NC
        278: _in_page(0),  # R_AARCH64_LDST8_ABS_LO12_NC
        279: _short_branch(14),  # R_AARCH64_TSTBR14
        280: _short_branch(19),  # R_AARCH64_CONDBR19
        282: _branch_26,  # R_AARCH64_JUMP26
        283: _branch_26,  # R_AARCH64_CALL26
        284: _in_page(1),  # R_AARCH64_LDST16_ABS_LO12_NC
        285: _in_page(2),  # R_AARCH64_LDST32_ABS_LO12_NC
        286: _in_page(3),  # R_AARCH64_LDST64_ABS_LO12_NC
        299: _in_page(4),  # R_AARCH64_LDST128_ABS_LO12_NC
    },
    RISCV: {
        16: _branch_12,  # R_RISCV_BRANCH
        17: _jump_20,  # R_RISCV_JAL
        18: _call,  # R_RISCV_CALL
        19: _call,  # R_RISCV_CALL_PLT
        23: _upper_20,  # R_RISCV_PCREL_HI20
        24: _lower_12,  # R_RISCV_PCREL_LO12_I
        25: _lower_12_store,  # R_RISCV_PCREL_LO12_S
        35: _add_32(1),  # R_RISCV_ADD32
        39: _add_32(-1),  # R_RISCV_SUB32
        57: _relative_32,  # R_RISCV_32_PCREL
    },
}

PAIRED = {RISCV: (24, 25)}
"""Relocations whose symbol is not what is meant but the place of the instruction that has the upper part of it."""
