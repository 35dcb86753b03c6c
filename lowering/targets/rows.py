"""Contractions that CPUs compute on matrices as they lie, without tiles.

Packing the right side reads and writes it once, which M rows of the left side have to earn back: with a few rows a
product takes no longer than reading the right side does, and with a single column the left side is what is read.
Small products are over before a step that packs would be.

A right side that compile time packs costs nothing to pack, and panels are read in one stream without sums across lanes:
1024 x 1024 f32 times one row take 54 us instead of 63 on a core of a Zen 4, times four 77 instead of 103; i8 12 instead
of 16 and 20 instead of 37. Only a few columns take longer (4096 x 10: 5.2 instead of 2.9): each register of sums waits
for itself, while a dot product has several.
"""

from __future__ import annotations

from xdsl.dialects.builtin import AnyFloat, BFloat16Type, Float16Type, IndexType, IntegerType
from xdsl.ir import Attribute

from ..contraction import Contraction
from ..dialects.encoding import UNKNOWN

_FEW_ROWS = 8
_FEW_COLUMNS = 24
_SMALL_WORK = 40_000
"""Multiplications of one batch: about a microsecond's."""


def wants_rows(contraction: Contraction) -> bool:
    """Whether a product is best left in rows, or can only be computed there."""
    if contraction.op_type != "matmul":
        return False
    m, n, k = contraction.m, contraction.n, contraction.k
    is_free = contraction.constant_rhs and n >= _FEW_COLUMNS
    if n == 1 or (m != UNKNOWN and m <= _FEW_ROWS and not is_free):
        return True
    if UNKNOWN not in (m, n, k) and m * n * k <= _SMALL_WORK:
        return True
    return not all(_widens(operand, contraction.result) for operand in (contraction.lhs, contraction.rhs))


def _widens(operand: Attribute, result: Attribute) -> bool:
    """Whether operands are multiplied as they are; linalg rounds others to the result's type first, tiles do not."""
    wide = not isinstance(result, Float16Type | BFloat16Type)
    if isinstance(operand, IntegerType | IndexType):
        return isinstance(result, IntegerType | IndexType) or wide or _bits(operand) <= 8
    if isinstance(result, IntegerType | IndexType):
        return False
    return operand == result or (wide and _bits(operand) <= _bits(result))


def _bits(type: Attribute) -> int:
    if isinstance(type, IndexType):
        return 64
    assert isinstance(type, IntegerType | AnyFloat)
    return type.bitwidth
