"""Data nodes and the custom operator (TOSA 1.0)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Attribute
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, result_def, traits_def, var_operand_def, var_result_def
from xdsl.traits import ConstantLike, Pure

from ..elements import ElementsAttr
from .base import Array, TosaOp


@irdl_op_definition
class ConstOp(TosaOp):
    """A constant tensor; `ConstOp(array)` or `ConstOp(elements)`."""

    name = "tosa.const"
    traits = traits_def(ConstantLike(), Pure())

    values = prop_def(ElementsAttr)
    output = result_def(TensorType)

    @property
    def array(self) -> Array:
        return self.values.array

    def infer(self) -> Sequence[Attribute]:
        return [self.values.type]

    def meaning(self, *operands: Array) -> Array:
        return self.values.array


@irdl_op_definition
class IdentityOp(TosaOp):
    name = "tosa.identity"
    traits = traits_def(Pure())

    input1 = operand_def(TensorType)
    output = result_def(TensorType)

    def infer(self) -> Sequence[Attribute]:
        return [self.input1.type]

    def meaning(self, *operands: Array) -> Array:
        return operands[0]


@irdl_op_definition
class CustomOp(TosaOp):
    """An operator outside of TOSA, told by `domain_name` and `operator_name`; needs explicit result types."""

    name = "tosa.custom"

    input_list = var_operand_def(TensorType)
    operator_name = prop_def(StringAttr)
    domain_name = prop_def(StringAttr)
    implementation_attrs = prop_def(StringAttr)
    output_list = var_result_def(TensorType)

    def __init__(
        self,
        input_list: Sequence[Any],
        operator_name: str,
        domain_name: str,
        implementation_attrs: str,
        result_types: Sequence[Attribute],
        **named: Any,
    ) -> None:
        arguments = (input_list, operator_name, domain_name, implementation_attrs)
        super().__init__(*arguments, result_types=[list(result_types)], **named)

    def infer(self) -> Sequence[Attribute]:
        return [result.type for result in self.results]
