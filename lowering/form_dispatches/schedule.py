"""Putting contractions right in front of the element-wise operations that read them.

A cluster fuses into the operand that is computed last. Whatever else it reads (the sums that correct for zero points,
the padded shortcut of a residual block) should therefore come before the contraction, not between it and the cluster.
"""

from __future__ import annotations

from xdsl.dialects.linalg.ops import FillOp
from xdsl.dialects.tensor import CollapseShapeOp, EmptyOp, ExpandShapeOp
from xdsl.ir import Block, Operation, OpResult, SSAValue

from ..dialects.linalg import BatchMatmulOp, Conv2DNhwcFhwcOp, DepthwiseConv2DNhwcHwcmOp, MatmulOp
from ..ir import erase, operands_with_captures, view_source
from .clusters import Cluster, constant_values, form_clusters
from .extents import Extents

_CONTRACTIONS = (Conv2DNhwcFhwcOp, DepthwiseConv2DNhwcHwcmOp, MatmulOp, BatchMatmulOp)
_FREE = (CollapseShapeOp, ExpandShapeOp, EmptyOp, FillOp)


def schedule(block: Block, extents: Extents) -> None:
    """Reorder `block`: contractions that clusters read, and what costs nothing, wait until they are needed."""
    operations = list(block.ops)
    scheduler = _Scheduler(block, extents)
    for op in operations:
        if not scheduler.waits(op):
            scheduler.place(op)
    for op in reversed(operations):
        if op not in scheduler.placed:
            erase(op)
    for op in scheduler.placed:
        op.detach()
    block.add_ops(scheduler.placed)


class _Scheduler:
    def __init__(self, block: Block, extents: Extents) -> None:
        self.block = block
        self.cluster_of = form_clusters(block, constant_values(block), extents)
        self.placed: dict[Operation, None] = {}

    def waits(self, op: Operation) -> bool:
        """Whether `op` is placed only in front of the first that needs it. A cluster stands where its last op does."""
        if op in self.cluster_of:
            return self.cluster_of[op][-1] is not op
        return isinstance(op, _FREE) or (isinstance(op, _CONTRACTIONS) and self._feeds_cluster(op.results[0]))

    def _feeds_cluster(self, value: SSAValue) -> bool:
        users = [use.operation for use in value.uses]
        return any(
            user in self.cluster_of
            or (isinstance(user, CollapseShapeOp | ExpandShapeOp) and self._feeds_cluster(user.result))
            for user in users
        )

    def place(self, op: Operation) -> None:
        """Put `op`, with its cluster if it has one, behind everything that it reads, contractions last."""
        if op in self.placed:
            return
        members: Cluster | list[Operation] = self.cluster_of.get(op, [op])
        values = [value for member in members for value in operands_with_captures(member)]
        values.sort(key=_is_contracted)
        for value in values:
            producer = value.op if isinstance(value, OpResult) else None
            if producer is not None and producer not in members and producer.parent is self.block:
                self.place(producer)
        self.placed.update(dict.fromkeys(members))


def _is_contracted(value: SSAValue) -> bool:
    source = view_source(value)
    return isinstance(source, OpResult) and isinstance(source.op, _CONTRACTIONS)
