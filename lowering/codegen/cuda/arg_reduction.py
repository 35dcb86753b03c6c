"""Reductions of an element together with its index, such as argmax: what a GPU's threads have of one may be merged."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.linalg.ops import GenericOp, IndexOp
from xdsl.ir import SSAValue

from ..emit import Function
from ..types import Value

_STRICT_INTEGERS = {2, 4, 6, 8}
"""Predicates of arith.cmpi: slt, sgt, ult, ugt."""

_STRICT_FLOATS = {2, 4}
"""Predicates of arith.cmpf: ogt, olt."""

_ORDERED, _UNORDERED = 7, 14


@dataclass(frozen=True)
class ArgReduction:
    """A body that yields `index` and `x` where x is better than the best so far, else what there was.

    Better is an order in which some are equal: strictly greater or less, NaN perhaps beyond all numbers. Of equals the
    first stays.
    """

    loop: int
    """The reduction loop whose index is yielded."""

    @staticmethod
    def of(generic: GenericOp) -> ArgReduction | None:
        block = generic.body.block
        terminator = block.last_op
        assert terminator is not None
        if len(terminator.operands) != 2 or len(generic.inputs) != 1:
            return None
        x, index, best = block.args
        first, second = (operand.owner for operand in terminator.operands)
        if not isinstance(first, arith.SelectOp) or not isinstance(second, arith.SelectOp):
            return None
        cast = first.lhs.owner
        if not isinstance(cast, arith.IndexCastOp) or not isinstance(cast.input.owner, IndexOp):
            return None
        yields = first.rhs == index and second.lhs == x and second.rhs == best and first.cond == second.cond
        return ArgReduction(cast.input.owner.dim.value.data) if yields and _is_better(first.cond, x, best) else None

    def pick(
        self, f: Function, first_better: Value, second_better: Value, a: list[Value], b: list[Value]
    ) -> list[Value]:
        """The (index, element) of two that is better, or of equals the one with the smaller index."""
        earlier = f.icmp("slt", b[0], a[0])
        tie = f.and_(earlier, f.op("xor", first_better, f.const("i1", True)))
        takes = f.or_(second_better, tie)
        return [f.select(takes, second, first) for first, second in zip(a, b, strict=True)]


def _is_better(condition: SSAValue, x: SSAValue, best: SSAValue) -> bool:
    match condition.owner:
        case arith.CmpiOp() as compare:
            return compare.predicate.value.data in _STRICT_INTEGERS and (compare.lhs, compare.rhs) == (x, best)
        case arith.CmpfOp() as compare:
            return compare.predicate.value.data in _STRICT_FLOATS and (compare.lhs, compare.rhs) == (x, best)
        case arith.OrIOp() as either:
            return _is_better(either.lhs, x, best) and _is_first_nan(either.rhs, x, best)
        case _:
            return False


def _is_first_nan(condition: SSAValue, x: SSAValue, best: SSAValue) -> bool:
    """Whether it holds where x is NaN and the best is not."""
    both = condition.owner
    return isinstance(both, arith.AndIOp) and _compares(both.lhs, _UNORDERED, x) and _compares(both.rhs, _ORDERED, best)


def _compares(condition: SSAValue, predicate: int, value: SSAValue) -> bool:
    compare = condition.owner
    return (
        isinstance(compare, arith.CmpfOp)
        and compare.predicate.value.data == predicate
        and compare.lhs == compare.rhs == value
    )
