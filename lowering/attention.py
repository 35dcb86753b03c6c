"""What makes a region an attention: the generics that form-dispatches puts there, known by their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.ir import Operation


@dataclass(frozen=True)
class Stages:
    """The generics of an attention, in order; there need not be a `chain`."""

    scores: GenericOp
    chain: GenericOp | None
    greatest: GenericOp
    weights: GenericOp
    total: GenericOp
    mixed: GenericOp
    result: GenericOp

    @staticmethod
    def of(operations: Iterable[Operation]) -> Stages | None:
        """Those of a region whose `operations`, initial values and constants left out, are an attention."""
        generics = [op for op in operations if isinstance(op, GenericOp)]
        if len(generics) not in (6, 7):
            return None
        reduces = [is_reducing(op) for op in generics]
        chain = generics[1:-5]
        if reduces != [True, *[False] * len(chain), True, False, True, True, False]:
            return None
        return Stages(generics[0], chain[0] if chain else None, *generics[-5:])


def is_reducing(op: GenericOp) -> bool:
    return any(kind.data == IteratorType.REDUCTION for kind in op.iterator_types)


def is_product(op: Operation) -> bool:
    """Whether `op` is a generic that sums products of two operands, which it may widen."""
    if not isinstance(op, GenericOp) or not is_reducing(op) or len(op.inputs) != 2:
        return False
    kinds = [type(inner) for inner in op.body.block.ops if not isinstance(inner, arith.ExtFOp)]
    return kinds == [arith.MulfOp, arith.AddfOp, YieldOp]
