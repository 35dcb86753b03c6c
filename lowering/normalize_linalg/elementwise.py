"""Arithmetic on whole tensors becomes a generic with that arithmetic on elements in its body."""

from __future__ import annotations

from typing import cast

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Operation, SSAValue

from ...tosa.dialect.types import element_of
from ..dialects.arith import LiftedOp
from ..tosa_to_linalg.body import Body
from .editor import Editor


def is_tensor_arithmetic(op: Operation) -> bool:
    """Whether `op` is of arith or math and works on tensors."""
    return op.dialect_name() in ("arith", "math") and any(isinstance(type, TensorType) for type in op.result_types)


def lower_tensor_arithmetic(op: Operation, edit: Editor) -> None:
    """Replace `op`; scalar operands (a condition) are captured by the body."""
    tensors = [value for value in op.operands if isinstance(value.type, TensorType)]
    (result,) = op.results
    element = element_of(result)

    def body(b: Body, *elements: SSAValue) -> SSAValue:
        remaining = iter(elements)
        operands = [next(remaining) if isinstance(value.type, TensorType) else value for value in op.operands]
        if isinstance(op, LiftedOp):
            return b.append(op.scalar(operands, element))
        return b.append(type(op).create(operands=operands, result_types=[element], properties=op.properties))

    value = edit.elementwise(tensors, edit.empty_like(tensors[0], element), body)
    if isinstance(op, LiftedOp):
        cast(Operation, value.owner).attributes = op.discardable_attributes()
    edit.replace(value)
