"""Equal scalar arithmetic of the host is done once."""

from __future__ import annotations

from collections.abc import Hashable

from xdsl.dialects import func
from xdsl.dialects.tensor import DimOp
from xdsl.ir import Block, Operation

from .ir import CONTROL_FLOW, erase


def share_scalars(function: func.FuncOp) -> None:
    """Let equal operations of arith and math, and questions for sizes, be one, in loops and branches too."""
    _share(function.body.block, {})


def _share(block: Block, around: dict[Hashable, Operation]) -> None:
    """`around` are the operations of the blocks around, by what they compute."""
    known = dict(around)
    for op in list(block.ops):
        if op.dialect_name() in ("arith", "math") or isinstance(op, DimOp):
            first = known.setdefault(_key(op), op)
            if first is not op:
                for old, new in zip(op.results, first.results, strict=True):
                    old.replace_all_uses_with(new)
                erase(op)
        elif isinstance(op, CONTROL_FLOW):
            for region in op.regions:
                for inner in region.blocks:
                    _share(inner, known)


def _key(op: Operation) -> Hashable:
    properties = tuple(sorted(op.properties.items(), key=lambda item: item[0]))
    return op.name, tuple(op.operands), properties, tuple(result.type for result in op.results)
