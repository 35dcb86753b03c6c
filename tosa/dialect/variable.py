"""Persistent state: a variable of the module, read and written (TOSA 1.0, extension EXT-VARIABLE)."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import DYNAMIC_INDEX, StringAttr, TensorType, TypeAttribute
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, opt_prop_def, prop_def, result_def, traits_def
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
        return TensorType(self.type, [DYNAMIC_INDEX if extent == -1 else extent for extent in self.var_shape.array])

    def infer(self) -> Sequence[Attribute]:
        if self.initial_value is not None and self.initial_value.type != self.tensor_type:
            self.fail(f"initial_value is {self.initial_value.type} but the variable is {self.tensor_type}")
        return []


@irdl_op_definition
class VariableReadOp(TosaOp):
    name = "tosa.variable_read"

    variable_name = prop_def(StringAttr, prop_name="name")
    output1 = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        return [result.type for result in self.results]


@irdl_op_definition
class VariableWriteOp(TosaOp):
    name = "tosa.variable_write"

    input1 = operand_def(TensorType)
    variable_name = prop_def(StringAttr, prop_name="name")

    def infer(self) -> Sequence[Attribute]:
        return []
