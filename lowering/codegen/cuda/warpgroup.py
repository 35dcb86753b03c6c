"""wgmma: what four warps of an H100 multiply together, both sides straight from shared memory (PTX ISA 8.5, chapter
9.7.15).

An instruction multiplies 64 rows by 8 to 256 columns over 32 bytes of k. Thread (w, g, t) of the warpgroup - warp w,
lane / 4, lane mod 4 - holds of every 8 columns the sums (16 w + g, 2t), (16 w + g, 2t + 1), and those 8 rows below.

A side is described by where it starts and how its 8 rows of 16 bytes, the core matrices, follow each other. The left
side lies in rows of 128 bytes whose 16-byte parts the copy engine permuted within 8 rows (part p of row r at p xor r):
8 rows are 1024 bytes. The right side lies in tiles of [columns, 16 bytes], where 8 columns are 128 bytes without gaps,
so that core matrices are read without a conflict of banks and without a permutation that a layout would have to have.

Of f32 the instruction reads the upper 19 bits, tf32 rounded towards zero: nothing that could round to nearest touches
a side on its way. That loses up to 2**-10 of an element, twice what `mma` does, and is what cuBLAS does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..emit import Function
from ..types import BF16, F16, F32, I8, I32, I64, Value, bits_of
from .assembly import emit_ptx, shared_address

ROWS = 64
THREADS = 128
STEP_BYTES = 128
"""Of k that a stage holds of each row and column: the width that the copy engine permutes."""

PART_BYTES = 16
"""Of k of each row that lie together in a core matrix."""

_DEPTH_BYTES = 32
_LINES = 8
_PERMUTED = 1 << 62
"""Of a descriptor: rows of 128 bytes are permuted."""


@dataclass(frozen=True)
class Wgmma:
    """The instructions for `element` x `element` added to `sums`."""

    element: str
    sums: str
    types: str
    scales: str

    @property
    def part(self) -> int:
        """Elements in PART_BYTES."""
        return PART_BYTES * 8 // bits_of(self.element)

    @property
    def depth(self) -> int:
        """Elements in STEP_BYTES."""
        return STEP_BYTES * 8 // bits_of(self.element)

    def left(self, f: Function, address: Value) -> Value:
        """The descriptor of permuted rows of STEP_BYTES at `address`, a multiple of 1024."""
        return _describe(f, address, 16, _LINES * STEP_BYTES, _PERMUTED)

    def right(self, f: Function, address: Value, columns: int) -> Value:
        """The descriptor of parts [STEP_BYTES / PART_BYTES, columns, PART_BYTES] at `address`."""
        return _describe(f, address, columns * PART_BYTES, _LINES * PART_BYTES, 0)

    def accumulate(self, f: Function, left: Value, right: Value, columns: int, sums: Sequence[Value]) -> list[Value]:
        """The sums of a thread after STEP_BYTES of k.

        One piece of PTX, that nothing may touch the sums between the instructions and the wait: ptxas would let each
        instruction wait for the one before.
        """
        count = len(sums)
        registers = "{" + ", ".join(f"${number}" for number in range(count)) + "}"
        shape = f"m{ROWS}n{columns}k{_DEPTH_BYTES * 8 // bits_of(self.element)}"
        lines = ["{ .reg .pred p; .reg .b64 a, b; setp.eq.u32 p, 0, 0;", "wgmma.fence.sync.aligned;"]
        for step in range(STEP_BYTES // _DEPTH_BYTES):
            along_left = step * _DEPTH_BYTES // PART_BYTES
            along_right = step * (_DEPTH_BYTES // PART_BYTES) * columns
            lines += [
                f"add.s64 a, ${2 * count}, {along_left}; add.s64 b, ${2 * count + 1}, {along_right};",
                f"wgmma.mma_async.sync.aligned.{shape}.{self.types} {registers}, a, b, p{self.scales};",
            ]
        lines += ["wgmma.commit_group.sync.aligned;", "wgmma.wait_group.sync.aligned 0; }"]
        letter = "f" if self.sums == F32 else "r"
        constraints = ",".join([*[f"={letter}"] * count, *map(str, range(count)), "l", "l"])
        structure = "{ " + ", ".join([self.sums] * count) + " }"
        result = emit_ptx(f, " ".join(lines), constraints, [*sums, left, right], structure)
        return [f.emit(self.sums, f"extractvalue {structure} {result.text}, {number}") for number in range(count)]


def _describe(f: Function, address: Value, leading: int, stride: int, mode: int) -> Value:
    """Bits 0 to 13: the address / 16; 16 to 29: bytes / 16 from a core matrix to the next along k; 32 to 45: to that of
    the next 8 rows; 62 and 63: the permutation."""
    place = f.cast("zext", f.op("lshr", shared_address(f, address), f.const(I32, 4)), I64)
    return f.or_(place, f.const(I64, leading // 16 << 16 | stride // 16 << 32 | mode))


_WGMMAS = (
    Wgmma(F16, F32, "f32.f16.f16", ", 1, 1, 0, 0"),
    Wgmma(BF16, F32, "f32.bf16.bf16", ", 1, 1, 0, 0"),
    Wgmma(F32, F32, "f32.tf32.tf32", ", 1, 1"),
    Wgmma(I8, I32, "s32.s8.s8", ""),
)


def select_wgmma(left: str, right: str, sums: str, *, rounds_f32: bool = False) -> Wgmma | None:
    """The instructions that multiply these exactly, or with `rounds_f32` f32 as tf32; None where there are none."""
    return next(
        (
            each
            for each in _WGMMAS
            if (left, right, sums) == (each.element, each.element, each.sums) and (each.element != F32 or rounds_f32)
        ),
        None,
    )


def limit_registers(f: Function, count: int, *, more: bool) -> None:
    """Gives registers of this warpgroup's threads back, or takes `more`, that each has `count`."""
    emit_ptx(f, f"setmaxnreg.{'inc' if more else 'dec'}.sync.aligned.u32 {count};", "", [])
