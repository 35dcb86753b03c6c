"""Branches inside the bodies of generics become selections: a dispatch has no control flow.

Both sides are computed and one is taken. What must not be done on the side that is not taken is made harmless: a
divisor becomes one, an index into a tensor zero.
"""

from __future__ import annotations

from xdsl.dialects import arith, func, scf
from xdsl.dialects.builtin import IndexType, IntegerAttr, IntegerType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import ExtractOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from ...runtime.errors import UnsupportedError
from ..ir import erase, host_blocks

_DIVISIONS = frozenset(
    f"arith.{name}" for name in ("divsi", "divui", "remsi", "remui", "ceildivsi", "ceildivui", "floordivsi")
)


def flatten_bodies(function: func.FuncOp) -> None:
    """Replace every `scf.if` in the generics of `function`; raises UnsupportedError for loops there."""
    for block in host_blocks(function):
        for op in block.ops:
            if isinstance(op, GenericOp):
                _flatten(op.body.block)


def _flatten(block: Block) -> None:
    for op in list(block.ops):
        if isinstance(op, scf.IfOp):
            _select(op)
        elif op.regions:
            reason = f"{op.name} in the body of a linalg.generic: of control flow only scf.if can be there"
            raise UnsupportedError("the program cannot be compiled", [reason])


def _select(op: scf.IfOp) -> None:
    yielded: list[list[SSAValue]] = []
    for region, taken in ((op.true_region, True), (op.false_region, False)):
        if not region.blocks:
            continue
        block = region.block
        _flatten(block)
        for inner in list(block.ops):
            if isinstance(inner, scf.YieldOp):
                yielded.append(list(inner.operands))
                continue
            inner.detach()
            Rewriter.insert_op(inner, InsertPoint.before(op))
            _guard(inner, op.cond, taken)
    for index, result in enumerate(op.results):
        select = arith.SelectOp(op.cond, *(values[index] for values in yielded))
        Rewriter.insert_op(select, InsertPoint.before(op))
        result.replace_all_uses_with(select.result)
    erase(op)


def _guard(op: Operation, condition: SSAValue, taken: bool) -> None:
    """Make `op` harmless where its side of the branch is not taken."""
    if op.name in _DIVISIONS:
        divisor = op.operands[1].type
        assert isinstance(divisor, IntegerType | IndexType)
        positions, harmless = [1], IntegerAttr(1, divisor)
    elif isinstance(op, ExtractOp):
        positions, harmless = list(range(1, len(op.operands))), IntegerAttr(0, IndexType())
    else:
        return
    constant = arith.ConstantOp(harmless)
    Rewriter.insert_op(constant, InsertPoint.before(op))
    for position in positions:
        value = op.operands[position]
        sides = (value, constant.result) if taken else (constant.result, value)
        select = arith.SelectOp(condition, *sides)
        Rewriter.insert_op(select, InsertPoint.before(op))
        op.operands[position] = select.result
