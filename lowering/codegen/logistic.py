"""The logistic function 1 / (1 + e**-x) of sixteen f32 in one AVX-512 register, without a division.

Told from its parts in a body, it needs neither an exponential that is right everywhere nor a quotient rounded once: the
argument is limited to where 2**n is a normal number, so that n goes into the exponent by an integer addition, and
Newton's step doubles the 14 bits of `vrcp14ps`. The error, held by the tests, is 2.0 units in the last place; results
below the smallest normal number are zero.

A Zen 4 begins one multiply-add on 512 bits a cycle and one division in ten: this takes about 15 cycles, the parts 25.
"""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import SSAValue

from ..target import Target
from .emit import Function
from .math_functions import polynomial, reduce_exponent
from .types import F32, I32, Value, vector_type
from .wide_functions import EXP_TERMS

_TYPE, _INTEGERS = vector_type(F32, 16), vector_type(I32, 16)

_ONE_FROM = 87.0
"""From far below here on the result rounds to 1."""
_ZERO_BELOW = -87.33654
"""Below here the result is less than 2**-126."""


def argument_of_logistic(operation: arith.DivfOp) -> SSAValue | None:
    """x where `operation` is the last of 1 / (1 + exp(-x)) and nothing else reads the parts."""
    total = operation.rhs.owner
    if not _is_one(operation.lhs) or not isinstance(total, arith.AddfOp) or not total.result.has_one_use():
        return None
    others = [operand for operand in total.operands if not _is_one(operand)]
    power = others[0].owner if len(others) == 1 else None
    if not isinstance(power, math.ExpOp) or not power.result.has_one_use():
        return None
    negated = power.operand.owner
    return negated.operand if isinstance(negated, arith.NegfOp) else None


def has_logistic(target: Target, type: str) -> bool:
    """Whether there is code for values of `type`."""
    return target.avx512 and type == _TYPE


def logistic(f: Function, x: Value) -> Value:
    """NaN stays NaN: it is the operand that the minimum keeps, and is not below anything."""
    limit, one = f.const(_TYPE, _ONE_FROM), f.const(_TYPE, 1.0)
    limited = f.select(f.fcmp("ogt", x, limit), limit, x)
    _, r, shifted = reduce_exponent(f, f.fneg(limited))
    exponent = f.shl(f.bitcast(shifted, _INTEGERS), f.const(_INTEGERS, 23))
    power = f.bitcast(f.add(f.bitcast(polynomial(f, r, EXP_TERMS), _INTEGERS), exponent), _TYPE)
    denominator = f.fadd(power, one)
    operands = [denominator, f.zero(_TYPE), f.const("i16", -1)]
    estimate = f.call(_TYPE, "llvm.x86.avx512.rcp14.ps.512", operands)
    rest = f.fma(f.fneg(denominator), estimate, one)
    result = f.fma(estimate, rest, estimate)
    return f.select(f.fcmp("olt", x, f.const(_TYPE, _ZERO_BELOW)), f.zero(_TYPE), result)


def _is_one(value: SSAValue) -> bool:
    constant = value.owner
    return (
        isinstance(constant, arith.ConstantOp)
        and isinstance(constant.value, FloatAttr)
        and constant.value.value.data == 1.0
    )
