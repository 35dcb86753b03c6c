"""What a program must not hold, refused by name and line before anything is rewritten."""

from __future__ import annotations

from xdsl.dialects import func, scf
from xdsl.dialects.builtin import (
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
    IntegerType,
    ModuleOp,
    Signedness,
    TensorType,
)
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Attribute, Operation

from ...runtime.errors import UnsupportedError
from ...tosa.source import described
from ..dialects.linalg import StructuredOp

_CONTROL_FLOW = (scf.IfOp, scf.ForOp, scf.WhileOp, scf.YieldOp, scf.ConditionOp)
_FLOATS = (Float64Type, Float32Type, Float16Type, BFloat16Type)


def check_program(module: ModuleOp) -> None:
    """Raise UnsupportedError that lists all operations with types or control flow that no phase knows."""
    reasons: list[str] = []
    for function in module.body.block.ops:
        if not isinstance(function, func.FuncOp):
            continue
        if len(function.body.blocks) > 1:
            reasons.append(
                f"{described(function)}: branches between blocks; what is known are scf.if, scf.for, scf.while"
            )
            continue
        for op in function.walk():
            values = list(op.results) + [
                argument for region in op.regions for block in region.blocks for argument in block.args
            ]
            wrong = next((value.type for value in values if not _is_known(value.type)), None)
            if wrong is not None:
                reasons.append(f"{described(op)}: values of type {wrong} cannot be computed with")
            elif op.dialect_name() == "scf" and (unknown := _unknown_control_flow(op)):
                reasons.append(f"{described(op)}: {unknown}")
    if reasons:
        raise UnsupportedError("the program cannot be compiled:", reasons)


def _unknown_control_flow(op: Operation) -> str | None:
    """Why the control flow `op` cannot be compiled."""
    if not isinstance(op, _CONTROL_FLOW):
        return "of control flow there is scf.if, scf.for and scf.while"
    around = op.parent_op()
    while around is not None and not isinstance(around, func.FuncOp | GenericOp | StructuredOp):
        around = around.parent_op()
    if isinstance(op, scf.ForOp | scf.WhileOp) and not isinstance(around, func.FuncOp):
        return "what is computed for each element may branch, by scf.if, and not loop"
    return None


def _is_known(type: Attribute) -> bool:
    """Ranked tensors, and scalars, of floats, signless integers of up to 64 bits, and index."""
    if isinstance(type, TensorType):
        type = type.get_element_type()
    if isinstance(type, IntegerType):
        return type.signedness.data is Signedness.SIGNLESS and 1 <= type.width.data <= 64
    return isinstance(type, (*_FLOATS, IndexType))
