"""Structured control flow: cond_if, while_loop and their yield (TOSA 1.0, extension EXT-CONTROLFLOW)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType, i1
from xdsl.ir import Attribute, Region, SSAValue, TypeAttribute
from xdsl.irdl import irdl_op_definition, operand_def, region_def, traits_def, var_operand_def, var_result_def
from xdsl.parser import Parser, UnresolvedOperand
from xdsl.traits import IsTerminator

from .base import TosaOp
from .types import compatible, element_of, shape_of


@irdl_op_definition
class YieldOp(TosaOp):
    """Ends a region of control flow; its operands are the results of the region."""

    name = "tosa.yield"
    traits = traits_def(IsTerminator())

    inputs = var_operand_def()

    def infer(self) -> Sequence[Attribute]:
        return []

    @classmethod
    def parse(cls, parser: Parser) -> YieldOp:
        """`%a, %b : type, type`"""
        position = parser.pos
        operands = parser.parse_optional_undelimited_comma_separated_list(
            parser.parse_optional_unresolved_operand, parser.parse_unresolved_operand
        )
        if not operands:
            return cls.create()
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.NONE, parser.parse_type)
        return cls.create(operands=parser.resolve_operands(operands, types, position))


class ControlFlowOp(TosaOp):
    """Takes explicit result types and its regions as `regions`."""

    def __init__(
        self, *arguments: Any, result_types: Sequence[Attribute], regions: Sequence[Region], **named: Any
    ) -> None:
        super().__init__(*arguments, result_types=[list(result_types)], regions=regions, **named)

    def infer(self) -> Sequence[Attribute]:
        return [result.type for result in self.results]

    def check_types(self, what: str, expected: Sequence[Attribute], actual: Sequence[Attribute]) -> None:
        if len(expected) != len(actual) or not all(map(compatible, expected, actual)):
            self.fail(f"{what} are {', '.join(map(str, actual))}, expected {', '.join(map(str, expected))}")

    def check_condition(self, value: SSAValue, what: str) -> None:
        if element_of(value) != i1 or math.prod(shape_of(value)) not in (1, DYNAMIC_INDEX):
            self.fail(f"{what} must be a tensor of one i1, got {value.type}")

    def yielded(self, region: Region) -> Sequence[SSAValue]:
        terminator = region.block.last_op
        if not isinstance(terminator, YieldOp):
            self.fail("each region must end with tosa.yield")
        return terminator.inputs


def _parse_assignments(parser: Parser) -> tuple[list[Parser.UnresolvedArgument], list[UnresolvedOperand]]:
    """`(%argument = %operand, ...)`, or nothing."""

    def parse_assignment() -> tuple[Parser.UnresolvedArgument, UnresolvedOperand]:
        argument = parser.parse_argument(expect_type=False)
        parser.parse_punctuation("=")
        return argument, parser.parse_unresolved_operand()

    pairs = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parse_assignment) or []
    return [argument for argument, _ in pairs], [operand for _, operand in pairs]


def _parse_result_types(parser: Parser) -> list[TypeAttribute]:
    """`-> type` or `-> (type, ...)`, or nothing."""
    if not parser.parse_optional_punctuation("->"):
        return []
    types = parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
    return [parser.parse_type()] if types is None else types


@irdl_op_definition
class CondIfOp(ControlFlowOp):
    """Runs `then_graph` if `condition` holds, else `else_graph`; both yield the results.

    The regions take `input_list` as block arguments, or have none and use the values around them.
    """

    name = "tosa.cond_if"

    condition = operand_def(TensorType)
    input_list = var_operand_def()
    output_list = var_result_def()
    then_graph = region_def("single_block")
    else_graph = region_def("single_block")

    @classmethod
    def parse(cls, parser: Parser) -> CondIfOp:
        """`%c : tensor<i1> -> types {...} else {...}`, or `%c (%a = %x) : tensor<i1> (types) -> types {...} ...`"""
        position = parser.pos
        condition = parser.parse_unresolved_operand()
        _, inputs = _parse_assignments(parser)
        parser.parse_punctuation(":")
        types = [parser.parse_type()]
        types += parser.parse_optional_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type) or []
        result_types = _parse_result_types(parser)
        operands = parser.resolve_operands([condition, *inputs], types, position)
        then_graph = parser.parse_region()
        parser.parse_keyword("else")
        return cls.create(operands=operands, result_types=result_types, regions=[then_graph, parser.parse_region()])

    def verify_(self) -> None:
        self.check_condition(self.condition, "condition")
        results = [result.type for result in self.results]
        for region, name in ((self.then_graph, "then_graph"), (self.else_graph, "else_graph")):
            if region.block.args:
                inputs = [value.type for value in self.input_list]
                self.check_types(f"arguments of {name}", inputs, [argument.type for argument in region.block.args])
            self.check_types(f"values yielded by {name}", results, [value.type for value in self.yielded(region)])


@irdl_op_definition
class WhileLoopOp(ControlFlowOp):
    """Repeats `body_graph` on its own results while `cond_graph` yields true; the operands are the first arguments."""

    name = "tosa.while_loop"

    input_list = var_operand_def()
    output_list = var_result_def()
    cond_graph = region_def("single_block")
    body_graph = region_def("single_block")

    @classmethod
    def parse(cls, parser: Parser) -> WhileLoopOp:
        """`(%a = %x) : (types) -> types {...} do {^bb0(...): ...}`; the first region takes the named arguments."""
        position = parser.pos
        arguments, inputs = _parse_assignments(parser)
        parser.parse_punctuation(":")
        types = parser.parse_comma_separated_list(parser.Delimiter.PAREN, parser.parse_type)
        result_types = _parse_result_types(parser)
        operands = parser.resolve_operands(inputs, types, position)
        resolved = [argument.resolve(type) for argument, type in zip(arguments, types, strict=True)]
        cond_graph = parser.parse_region(resolved)
        parser.parse_keyword("do")
        return cls.create(operands=operands, result_types=result_types, regions=[cond_graph, parser.parse_region()])

    def verify_(self) -> None:
        inputs = [value.type for value in self.input_list]
        for region, name in ((self.cond_graph, "cond_graph"), (self.body_graph, "body_graph")):
            self.check_types(f"arguments of {name}", inputs, [argument.type for argument in region.block.args])
        self.check_types(
            "values yielded by body_graph", inputs, [value.type for value in self.yielded(self.body_graph)]
        )
        self.check_types("results", inputs, [result.type for result in self.results])
        condition = self.yielded(self.cond_graph)
        if len(condition) != 1:
            self.fail(f"cond_graph must yield one value, got {len(condition)}")
        self.check_condition(condition[0], "value yielded by cond_graph")
