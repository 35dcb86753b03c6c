"""What a program must fulfil before the first phase, beyond what its operations verify one by one.

MLIR has it in its dominance check and in verifiers that xDSL's operations lack.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.tensor import DimOp, ExtractSliceOp, InsertSliceOp
from xdsl.ir import Block, SSAValue

from ..runtime.errors import ArgumentError
from ..tosa.source import described
from .ir import CONTROL_FLOW, functions, operands_with_captures, shape_of
from .sizes import constant_of


def check_program(module: ModuleOp) -> None:
    """Raise ArgumentError, naming the operation and its line, for what no phase can make sense of."""
    for function in functions(module):
        _check_order(function.body.block, set())
        for op in function.walk():
            if isinstance(op, DimOp):
                _check_dimension(op)
            elif isinstance(op, ExtractSliceOp):
                _check_slice(op, op.source)
            elif isinstance(op, InsertSliceOp):
                _check_slice(op, op.dest)


def _check_order(block: Block, around: set[SSAValue]) -> None:
    """`around` are the values of the blocks around that are defined already."""
    defined = {*around, *block.args}
    for op in block.ops:
        if any(value not in defined for value in operands_with_captures(op)):
            raise ArgumentError(f"{described(op)} uses a value before it is defined")
        if isinstance(op, CONTROL_FLOW):
            for region in op.regions:
                for inner in region.blocks:
                    _check_order(inner, defined)
        defined.update(op.results)


def _check_dimension(op: DimOp) -> None:
    dimension, rank = constant_of(op.index), len(shape_of(op.source))
    if dimension is not None and not 0 <= dimension < rank:
        raise ArgumentError(f"{described(op)}: a tensor of {rank} dimensions has no dimension {dimension}")


def _check_slice(op: ExtractSliceOp | InsertSliceOp, whole: SSAValue) -> None:
    rank = len(shape_of(whole))
    for name in ("static_offsets", "static_sizes", "static_strides"):
        count = len(getattr(op, name))
        if count != rank:
            raise ArgumentError(f"{described(op)}: {count} {name.removeprefix('static_')} for {rank} dimensions")
