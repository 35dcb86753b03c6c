"""`tosa.apply_scale` of small integers shifted left, in 32 bits: how quantised additions bring their inputs together.

Let value = x * 2**k, with multiplier m, shift s and rounding term c = 2**(s - 1), plus or minus 2**30 where it rounds
twice. For k < s and k <= 30 all terms are divisible by 2**k, and with r = s - k and m = high * 2**r + low

    floor((x * 2**k * m + c) / 2**s) = floor((x * m + c / 2**k) / 2**r) = x * high + floor((x * low + c / 2**k) / 2**r)

exactly. If x fits in b bits with its sign, b + r <= 30 and k >= 1, then |x * low| < 2**(b - 1 + r) <= 2**29 and
c / 2**k <= 2**(r - 1) + 2**29 <= 2**28 + 2**29, so that the numerator fits in 32 bits. The rest may wrap: the result is
truncated to 32 bits anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr, IntegerType
from xdsl.ir import OpResult, SSAValue

from ..dialects.scalar import ApplyScaleOp
from .emit import Function
from .types import I32, Value, element_of


@dataclass(frozen=True)
class ShiftedScale:
    """apply_scale(x << left, multiplier, shift), of which all but `x` is known."""

    x: SSAValue
    left: int
    multiplier: int
    shift: int
    double_round: bool

    @staticmethod
    def of(operation: ApplyScaleOp) -> ShiftedScale | None:
        """None where `operation` is something else, or needs more than 32 bits."""
        multiplier, shift = constant_integer(operation.multiplier), constant_integer(operation.shift)
        shifted = operation.value.owner
        if multiplier is None or shift is None or not isinstance(shifted, arith.ShLIOp):
            return None
        left = constant_integer(shifted.rhs)
        if left is None or not 1 <= left <= 30 or left >= shift:
            return None
        bits = _bits(shifted.lhs)
        if bits + left > 32 or bits + shift - left > 30:
            return None
        return ShiftedScale(shifted.lhs, left, multiplier, shift, operation.double_round)

    def emit(self, f: Function, x: Value) -> Value:
        """`x` is an i32, or a vector of them."""
        assert element_of(x.type) == I32
        right = self.shift - self.left
        high, low = self.multiplier >> right, self.multiplier & ((1 << right) - 1)
        rounding = f.const(x.type, 1 << (right - 1))
        if self.double_round and self.shift > 31:
            extra = 1 << (30 - self.left)
            negative = f.and_(f.ashr(x, f.const(x.type, 31)), f.const(x.type, 2 * extra))
            rounding = f.sub(f.add(rounding, f.const(x.type, extra)), negative)
        rest = f.ashr(f.add(f.mul(x, f.const(x.type, low)), rounding), f.const(x.type, right))
        return f.add(f.mul(x, f.const(x.type, high)), rest)


def constant_integer(value: SSAValue) -> int | None:
    """The value of an integer `arith.constant`; None for anything else."""
    owner = value.owner
    if isinstance(owner, arith.ConstantOp) and isinstance(owner.value, IntegerAttr):
        return owner.value.value.data
    return None


def _bits(value: SSAValue) -> int:
    """Bits of a signed type that holds every value that `value` takes."""
    assert isinstance(value.type, IntegerType)
    width = value.type.width.data
    if not isinstance(value, OpResult):
        return width
    known = constant_integer(value)
    if known is not None:
        return max(known, ~known).bit_length() + 1
    if isinstance(value.op, arith.ExtSIOp):
        return _bits(value.op.input)
    if isinstance(value.op, arith.AddiOp | arith.SubiOp):
        return min(width, max(_bits(value.op.lhs), _bits(value.op.rhs)) + 1)
    return width
