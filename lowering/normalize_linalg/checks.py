"""What a program must not hold, refused by name and line before anything is rewritten."""

from __future__ import annotations

from xdsl.dialects import func
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
from xdsl.ir import Attribute

from ...runtime.errors import UnsupportedError
from ...tosa.source import described

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
    if reasons:
        raise UnsupportedError("the program cannot be compiled:", reasons)


def _is_known(type: Attribute) -> bool:
    """Ranked tensors, and scalars, of floats, signless integers of up to 64 bits, and index."""
    if isinstance(type, TensorType):
        type = type.get_element_type()
    if isinstance(type, IntegerType):
        return type.signedness.data is Signedness.SIGNLESS and 1 <= type.width.data <= 64
    return isinstance(type, (*_FLOATS, IndexType))
