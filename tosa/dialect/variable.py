"""Persistent state: a variable of the module, read and written (TOSA 1.0, extension EXT-VARIABLE)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, StringAttr, TensorType
from xdsl.ir import Attribute, TypeAttribute, TypedAttribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
from xdsl.parser import Parser
from xdsl.traits import SymbolOpInterface

from ..elements import ElementsAttr
from .base import TosaOp


@irdl_op_definition
class VariableOp(TosaOp):
    """Declares the variable `sym_name` with elements of `type`; a variable without `initial_value` starts undefined."""

    name = "tosa.variable"
    traits = traits_def(SymbolOpInterface())

    sym_name = prop_def(StringAttr)
    var_shape = prop_def(ElementsAttr)
    type = prop_def(TypeAttribute)
    initial_value = opt_prop_def(ElementsAttr)

    @property
    def tensor_type(self) -> TensorType:
        extents = self.var_shape.array.tolist()
        return TensorType(self.type, [DYNAMIC_INDEX if extent == -1 else extent for extent in extents])

    def infer(self) -> Sequence[Attribute]:
        if self.initial_value is not None and self.initial_value.type != self.tensor_type:
            self.fail(f"initial_value is {self.initial_value.type} but the variable is {self.tensor_type}")
        return []

    @classmethod
    def parse(cls, parser: Parser) -> VariableOp:
        """`@name = dense<...> : type` or `@name : type`"""
        name = parser.parse_symbol_name()
        properties: dict[str, Attribute] = {"sym_name": name}
        if parser.parse_optional_punctuation("="):
            properties["initial_value"] = value = parser.parse_attribute()
            type = value.get_type() if isinstance(value, TypedAttribute) else None
        else:
            parser.parse_punctuation(":")
            type = parser.parse_type()
        if not isinstance(type, TensorType):
            parser.raise_error("expected a ranked tensor")
        extents = [-1 if extent == DYNAMIC_INDEX else extent for extent in type.get_shape()]
        array = np.array(extents, dtype=np.int64)
        properties["var_shape"] = ElementsAttr.from_array(array, TensorType(IndexType(), array.shape))
        properties["type"] = type.get_element_type()
        return cls.create(properties=properties)


@irdl_op_definition
class VariableReadOp(TosaOp):
    name = "tosa.variable_read"

    variable_name = prop_def(StringAttr, prop_name="name")
    output1 = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        return [result.type for result in self.results]

    @classmethod
    def parse(cls, parser: Parser) -> VariableReadOp:
        """`@name : type`"""
        name = parser.parse_symbol_name()
        parser.parse_punctuation(":")
        return cls.create(result_types=[parser.parse_type()], properties={"name": name})


@irdl_op_definition
class VariableWriteOp(TosaOp):
    name = "tosa.variable_write"

    input1 = operand_def(TensorType)
    variable_name = prop_def(StringAttr, prop_name="name")

    def infer(self) -> Sequence[Attribute]:
        return []

    @classmethod
    def parse(cls, parser: Parser) -> VariableWriteOp:
        """`@name, %value : type`"""
        name = parser.parse_symbol_name()
        parser.parse_punctuation(",")
        value = parser.parse_unresolved_operand()
        parser.parse_punctuation(":")
        operand = parser.resolve_operand(value, parser.parse_type())
        return cls.create(operands=[operand], properties={"name": name})
