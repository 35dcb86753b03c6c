"""mma.sync: what tensor cores multiply, as data, and how lanes hold it (PTX ISA 8.5, chapter 9.7.14.5).

A warp multiplies 16 rows by 8 columns over `words` 32-bit words of k of each. Lane (g, t) = (lane / 4, lane mod 4)
holds words t and t + 4 of rows g and g + 8 of the left side, the same words of column g of the right side, and the sums
(g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). It is the same for every type: two halves, four bytes or one tf32
are a word.

Sums do not depend on the order of k. So lanes need not hold the words that the manual names, as long as both sides
agree: lane t takes words 4t to 4t + 3 of 64 bytes of k, one vector of 16 bytes, and gives them to the instructions pair
by pair. Rows and columns of 64 bytes then are loaded as they lie, a warp 512 consecutive bytes with each instruction:
what `ldmatrix` is for, without its swizzles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...target import Target
from ...targets.nvptx import capability
from ..emit import Function
from ..types import BF16, F16, F32, I8, I32, Value, bits_of

ROWS, COLUMNS = 16, 8
"""Of the sums that a warp's instructions make together."""

VECTOR_WORDS = 4
"""Words of k of a row or column that a lane loads at once."""

RUN_BYTES = 64
"""Of k of a row or column, which four lanes load together."""


@dataclass(frozen=True)
class Mma:
    """The instructions for `element` x `element` added to `sums`. One takes `words` words of k (4 or 8) and `rows`
    rows (8 or 16); its registers hold `register`."""

    element: str
    sums: str
    intrinsic: str
    register: str
    words: int
    rows: int = ROWS

    @property
    def depth(self) -> int:
        """Elements of k in RUN_BYTES."""
        return RUN_BYTES * 8 // bits_of(self.element)

    def accumulate(
        self, f: Function, upper: Sequence[Value], lower: Sequence[Value], right: Sequence[Value], sums: Sequence[Value]
    ) -> list[Value]:
        """The four sums of a lane after RUN_BYTES of k; `upper` and `lower` are its words of rows g and g + 8."""
        pairs = self.words // 4
        for first in range(0, VECTOR_WORDS, pairs):
            steps = range(first, first + pairs)
            columns = [right[step] for step in steps]
            if self.rows == ROWS:
                rows = [side[step] for step in steps for side in (upper, lower)]
                sums = self.multiply(f, rows, columns, sums)
            else:
                halves = ((upper, sums[:2]), (lower, sums[2:]))
                sums = [
                    value
                    for side, part in halves
                    for value in self.multiply(f, [side[step] for step in steps], columns, part)
                ]
        return list(sums)

    def words_of(self, f: Function, vector: Value) -> list[Value]:
        """A loaded vector of VECTOR_WORDS words as the instruction's registers."""
        return [self.register_of(f, f.extract(vector, number)) for number in range(VECTOR_WORDS)]

    def register_of(self, f: Function, word: Value) -> Value:
        """A word (i32) of an operand as a register of the instruction."""
        if self.element == F32:  # rounded to tf32: the hardware would cut off
            word = f.call(I32, "llvm.nvvm.f2tf32.rna", [f.bitcast(word, F32)])
        return f.bitcast(word, self.register)

    def multiply(
        self, f: Function, left: Sequence[Value], right: Sequence[Value], sums: Sequence[Value]
    ) -> list[Value]:
        """The sums of a lane after one instruction, whose fragments these registers are."""
        structure = "{ " + ", ".join([self.sums] * len(sums)) + " }"
        result = f.call(structure, self.intrinsic, [*left, *right, *sums])
        return [f.emit(self.sums, f"extractvalue {structure} {result.text}, {number}") for number in range(len(sums))]


_HALVES = "<2 x half>"

_TURING = (
    Mma(F16, F32, "llvm.nvvm.mma.m16n8k8.row.col.f32.f32", _HALVES, 4),
    Mma(I8, I32, "llvm.nvvm.mma.m8n8k16.row.col.s8", I32, 4, rows=8),
)
_AMPERE = (
    Mma(F16, F32, "llvm.nvvm.mma.m16n8k16.row.col.f32.f32", _HALVES, 8),
    Mma(BF16, F32, "llvm.nvvm.mma.m16n8k16.row.col.bf16", I32, 8),
    Mma(I8, I32, "llvm.nvvm.mma.m16n8k32.row.col.s8", I32, 8),
    Mma(F32, F32, "llvm.nvvm.mma.m16n8k8.row.col.tf32", I32, 8),
)


def select_mma(target: Target, left: str, right: str, sums: str, *, rounds_f32: bool = False) -> Mma | None:
    """The instructions that multiply these exactly, or with `rounds_f32` f32 as tf32; None where there are none."""
    table = _AMPERE if capability(target) >= 80 else _TURING
    return next(
        (
            mma
            for mma in table
            if (left, right, sums) == (mma.element, mma.element, mma.sums) and (mma.element != F32 or rounds_f32)
        ),
        None,
    )
