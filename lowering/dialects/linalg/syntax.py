"""Spellings of `linalg.generic` and `linalg.fill` that xDSL 0.74 does not read; what is made are xDSL's operations."""

from __future__ import annotations

from typing import Any

from xdsl.dialects import linalg
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, DictionaryAttr, IndexType, StringAttr, TensorType
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import IRDLOperation, irdl_op_definition, var_operand_def, var_result_def
from xdsl.parser import Parser

from ....tosa.dialect.types import element_of, shape_of
from .base import PARALLEL
from .structured import parse_operands, parse_types


class _Syntax(IRDLOperation):
    """A name that is read but never stands in a module: `parse` and `create` make another operation."""

    arguments = var_operand_def()
    res = var_result_def()


@irdl_op_definition
class GenericSyntax(_Syntax):
    """`linalg.generic`, its maps and iterators between braces or as an alias of these (`#trait`)."""

    name = "linalg.generic"

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        begin = parser.pos
        given = parser.parse_attribute()
        end = parser.pos
        trait = dict(given.data) if isinstance(given, DictionaryAttr) else {}
        maps, kinds = trait.pop("indexing_maps", None), trait.pop("iterator_types", None)
        if not isinstance(maps, ArrayAttr) or not all(isinstance(map, AffineMapAttr) for map in maps):
            parser.raise_error("linalg.generic needs indexing_maps, a list of affine maps", begin, end)
        if not isinstance(kinds, ArrayAttr):
            parser.raise_error("linalg.generic needs iterator_types, a list", begin, end)
        iterators = [_iterator(parser, kind, begin, end) for kind in kinds]
        inputs, outputs = parse_operands(parser, "ins"), parse_operands(parser, "outs")
        attributes = {key: value for key, value in trait.items() if key not in ("doc", "library_call")}
        if parser.parse_optional_keyword("attrs"):
            parser.parse_punctuation("=")
            attributes |= parser.parse_optional_attr_dict()
        body = parser.parse_region()
        types = parse_types(parser)
        op = linalg.ops.GenericOp(inputs, outputs, body, maps, iterators, types)
        op.attributes |= attributes
        return op

    @classmethod
    def create(cls, **parts: Any) -> Any:
        return linalg.ops.GenericOp.create(**parts)


def _iterator(parser: Parser, kind: Attribute, begin: int, end: int) -> IteratorTypeAttr:
    if isinstance(kind, StringAttr) and kind.data in list(IteratorType):
        kind = IteratorTypeAttr(IteratorType(kind.data))
    if not isinstance(kind, IteratorTypeAttr) or kind.data is IteratorType.WINDOW:
        parser.raise_error("iterator_types must be 'parallel' or 'reduction'", begin, end)
    return kind


@irdl_op_definition
class FillSyntax(_Syntax):
    """`linalg.fill`; one that fills with an index, which xDSL's class refuses, or casts becomes a generic."""

    name = "linalg.fill"

    @classmethod
    def parse(cls, parser: Parser) -> Any:
        begin = parser.pos
        attributes = parser.parse_optional_attr_dict()
        inputs, outputs = parse_operands(parser, "ins"), parse_operands(parser, "outs")
        types = parse_types(parser)
        if len(inputs) != 1 or len(outputs) != 1:
            parser.raise_error("linalg.fill takes one value and one output", begin, parser.pos)
        op = _fill(inputs[0], outputs[0], types)
        op.attributes |= attributes
        return op

    @classmethod
    def create(cls, **parts: Any) -> Any:
        value, output = parts["operands"]
        return _fill(value, output, parts["result_types"])


def _fill(value: SSAValue, output: SSAValue, types: Any) -> Operation:
    if not isinstance(value.type, IndexType) or not isinstance(output.type, TensorType):
        return linalg.ops.FillOp([value], [output], types)
    rank = len(shape_of(output))
    block = Block(arg_types=[value.type, element_of(output)])
    block.add_op(linalg.ops.YieldOp(block.args[0]))
    maps = [AffineMapAttr(AffineMap(rank, 0, ())), AffineMapAttr(AffineMap.identity(rank))]
    return linalg.ops.GenericOp([value], [output], Region(block), maps, [PARALLEL] * rank, types)
