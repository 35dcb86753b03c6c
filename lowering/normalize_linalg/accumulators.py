"""Contractions and poolings start from a neutral fill; any other accumulator is combined with their result behind.

That is what kernels do anyway: sums start in registers, and what they are added to is read once, at the end.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.dialects.linalg.ops import FillOp
from xdsl.ir import Attribute, OpResult, SSAValue

from ...tosa.dialect.types import element_of, is_float
from ...tosa.elements import numpy_dtype
from ..dialects.linalg import NamedOp
from ..dialects.linalg.windows import PoolingNhwcMaxOp
from .editor import Editor


def separate_accumulator(op: NamedOp, edit: Editor) -> None:
    """Make `op` start from zero (a maximum from the least value) and combine what it started from behind."""
    maximum = isinstance(op, PoolingNhwcMaxOp)
    element = element_of(op.result)
    neutral = least(element) if maximum else 0
    if filled_with(op.init, neutral):
        return
    accumulator = op.init
    sums = op.clone()
    sums.operands[len(sums.operands) - 1] = edit.fill(neutral, edit.empty_like(accumulator))
    combined = edit.elementwise(
        [accumulator, edit.insert(sums).result],
        edit.empty_like(accumulator),
        lambda b, start, total, _out: b.maximum(start, total) if maximum else b.add(start, total),
    )
    edit.replace(combined)


def filled_with(value: SSAValue, number: float) -> bool:
    """Whether `value` is a fill with `number`; a negative zero is not zero."""
    fill = value.op if isinstance(value, OpResult) else None
    if not isinstance(fill, FillOp):
        return False
    source = fill.inputs[0]
    constant = source.op if isinstance(source, OpResult) else None
    if not isinstance(constant, arith.ConstantOp) or not isinstance(constant.value, IntegerAttr | FloatAttr):
        return False
    have = constant.value.value.data
    return have == number and np.signbit(have) == np.signbit(number)


def least(element: Attribute) -> float:
    """The value that a maximum of elements starts from."""
    if is_float(element):
        return float("-inf")
    return int(np.iinfo(numpy_dtype(element)).min)
