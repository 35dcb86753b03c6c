"""The math dialect: xDSL's, with what it lacks of upstream's: classifications of floats, and erfc."""

from __future__ import annotations

from abc import ABC
from typing import Any, cast

from xdsl.dialects import math
from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.builtin import AnyFloat, TensorType, container_of, i1
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import IRDLOperation, irdl_op_definition, operand_def, prop_def, result_def, traits_def
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.traits import Pure, SameOperandsAndResultType

_NO_FLAGS = FastMathFlagsAttr("none")


class ClassificationOp(IRDLOperation, ABC):
    """Whether a float is of some kind: `%x : f32` gives an i1, a tensor of floats one of i1."""

    operand = operand_def(container_of(AnyFloat))
    result = result_def(container_of(i1))
    fastmath = prop_def(FastMathFlagsAttr, default_value=_NO_FLAGS)

    traits = traits_def(Pure())

    def __init__(self, operand: SSAValue) -> None:
        super().__init__(operands=[operand], result_types=[_truth(operand.type)])

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        operand = parser.parse_unresolved_operand()
        flags = None
        if parser.parse_optional_keyword("fastmath"):
            flags = FastMathFlagsAttr(cast(Any, FastMathFlagsAttr.parse_parameter(parser)))
        attributes = parser.parse_optional_attr_dict()
        parser.parse_punctuation(":")
        op = cls(parser.resolve_operand(operand, parser.parse_type()))
        op.attributes |= attributes
        if flags is not None:
            op.fastmath = flags
        return op

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_ssa_value(self.operand)
        if self.fastmath != _NO_FLAGS:
            printer.print_string(" fastmath")
            self.fastmath.print_parameter(printer)
        printer.print_op_attributes(self.attributes)
        printer.print_string(" : ")
        printer.print_attribute(self.operand.type)


def _truth(type: Attribute) -> Attribute:
    return TensorType(i1, type.get_shape()) if isinstance(type, TensorType) else i1


@irdl_op_definition
class IsNaNOp(ClassificationOp):
    """Not a number."""

    name = "math.isnan"


@irdl_op_definition
class IsInfOp(ClassificationOp):
    """Infinite, of either sign."""

    name = "math.isinf"


@irdl_op_definition
class IsFiniteOp(ClassificationOp):
    """Neither infinite nor not a number."""

    name = "math.isfinite"


@irdl_op_definition
class IsNormalOp(ClassificationOp):
    """Neither zero, subnormal, infinite nor not a number."""

    name = "math.isnormal"


@irdl_op_definition
class ErfcOp(math.FloatingPointLikeUnaryMathOperation):
    """1 - erf(x), exact where that cancels."""

    name = "math.erfc"

    traits = traits_def(Pure(), SameOperandsAndResultType())


Math = Dialect(
    "math", [*math.Math.operations, IsNaNOp, IsInfOp, IsFiniteOp, IsNormalOp, ErfcOp], list(math.Math.attributes)
)
