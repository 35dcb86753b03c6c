"""Element-wise clusters: operations that will be computed together wherever they end up.

Walking backwards, an element-wise operation joins the cluster of its consumers when every use of it is an in-place
read by that one cluster. A cluster leaves through its last operation only, so no path goes out of it and comes back.
"""

from __future__ import annotations

from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Block, Operation, SSAValue, Use

from ..ir import operands_with_captures
from .elementwise import identity_operands, is_elementwise, iteration_shape

Cluster = list[GenericOp]
"""In program order."""

CONSTANTS = ("tosa.const", "arith.constant")


def constant_values(block: Block) -> set[SSAValue]:
    """The values of `block` that depend on constants only."""
    constant: set[SSAValue] = set()
    for op in block.ops:
        if op.name in CONSTANTS or (op.results and all(value in constant for value in operands_with_captures(op))):
            constant.update(op.results)
    return constant


def form_clusters(block: Block, constant: set[SSAValue]) -> dict[Operation, Cluster]:
    """The cluster of every element-wise operation of `block`. What is constant and what is not never mix."""
    cluster_of: dict[Operation, Cluster] = {}
    clusters: list[Cluster] = []
    for op in reversed(block.ops):
        if not isinstance(op, GenericOp) or not is_elementwise(op):
            continue
        consumers = [cluster_of.get(use.operation) for result in op.res for use in result.uses if _reads_in_place(use)]
        cluster = consumers[0] if consumers else None
        if (
            cluster is None
            or any(consumer is not cluster for consumer in consumers)
            or len(consumers) != sum(result.uses.get_length() for result in op.res)
            or iteration_shape(cluster[0]) != iteration_shape(op)
            or (cluster[0].res[0] in constant) != (op.res[0] in constant)
        ):
            cluster = []
            clusters.append(cluster)
        cluster.append(op)
        cluster_of[op] = cluster
    for cluster in clusters:
        cluster.reverse()
    return cluster_of


def _reads_in_place(use: Use) -> bool:
    op = use.operation
    return isinstance(op, GenericOp) and use.index in identity_operands(op)
