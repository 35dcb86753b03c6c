"""Comparisons (TOSA 1.0)."""

from __future__ import annotations

from xdsl.irdl import irdl_op_definition, traits_def
from xdsl.traits import Commutative

from .base import Array
from .elementwise import ComparisonOp


@irdl_op_definition
class EqualOp(ComparisonOp):
    name = "tosa.equal"
    traits = traits_def(Commutative())

    def compute(self, *operands: Array) -> Array:
        return operands[0] == operands[1]


@irdl_op_definition
class GreaterOp(ComparisonOp):
    name = "tosa.greater"

    def compute(self, *operands: Array) -> Array:
        return operands[0] > operands[1]


@irdl_op_definition
class GreaterEqualOp(ComparisonOp):
    name = "tosa.greater_equal"

    def compute(self, *operands: Array) -> Array:
        return operands[0] >= operands[1]
