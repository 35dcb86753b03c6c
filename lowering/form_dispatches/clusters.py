"""Element-wise clusters: operations that will be computed together wherever they end up.

Walking backwards, an element-wise operation joins the cluster of its consumers when every use of it is an in-place
read by that one cluster. A cluster leaves through its last operation only, so no path goes out of it and comes back.

An operation that makes a narrower type of the sums of one contraction, as quantised ones end, begins a cluster of its
own: so it fuses into that contraction, whichever other ones its readers also wait for, and no wide sums are stored.
"""

from __future__ import annotations

from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Block, Operation, SSAValue, Use

from ..dialects.linalg import (
    BatchMatmulOp,
    BatchMmt4dOp,
    Conv2DNhwcFhwcOp,
    DepthwiseConv2DNhwcHwcmOp,
    MatmulOp,
    Mmt4dOp,
    PoolingNhwcMaxOp,
    PoolingNhwcSumOp,
)
from ..ir import operands_with_captures
from .elementwise import identity_operands, is_elementwise
from .extents import Extents
from .widening import element_bits

WINDOWS = (Conv2DNhwcFhwcOp, DepthwiseConv2DNhwcHwcmOp, PoolingNhwcMaxOp, PoolingNhwcSumOp)
CONTRACTIONS = (MatmulOp, BatchMatmulOp, Mmt4dOp, BatchMmt4dOp)

Cluster = list[GenericOp]
"""In program order."""

CONSTANTS = ("tosa.const", "arith.constant")

_HOST_DIALECTS = ("arith", "math", "scf", "dispatch", "device")
_HOST_OPERATIONS = ("tensor.dim", "tensor.extract", "tensor.from_elements", "tensor.cast")

AFFINITY = "device.affinity"
"""The attribute that says on which device an operation is to run."""


def runs_on_host(op: Operation) -> bool:
    """Whether `op` is none that dispatches are made of: scalar arithmetic, control flow, a transfer."""
    return op.name not in CONSTANTS and (op.dialect_name() in _HOST_DIALECTS or op.name in _HOST_OPERATIONS)


def constant_values(block: Block) -> set[SSAValue]:
    """The values of `block` that depend on constants only."""
    constant: set[SSAValue] = set()
    for op in block.ops:
        reads_constants = all(value in constant for value in operands_with_captures(op))
        if op.name in CONSTANTS or (op.results and reads_constants and not runs_on_host(op)):
            constant.update(op.results)
    return constant


def form_clusters(block: Block, constant: set[SSAValue], extents: Extents) -> dict[Operation, Cluster]:
    """The cluster of every element-wise operation of `block`.

    What is constant and what is not never mix, nor do wishes for devices.
    """
    cluster_of: dict[Operation, Cluster] = {}
    clusters: list[Cluster] = []
    narrowing = _narrowing(block)
    for op in reversed(block.ops):
        if not isinstance(op, GenericOp) or not is_elementwise(op):
            continue
        consumers = [cluster_of.get(use.operation) for result in op.res for use in result.uses if _reads_in_place(use)]
        cluster = consumers[0] if consumers else None
        if (
            cluster is None
            or any(consumer is not cluster for consumer in consumers)
            or len(consumers) != sum(result.uses.get_length() for result in op.res)
            or extents.shape(cluster[0].res[0]) != extents.shape(op.res[0])
            or (cluster[0].res[0] in constant) != (op.res[0] in constant)
            or cluster[0].attributes.get(AFFINITY) != op.attributes.get(AFFINITY)
            or op in narrowing
        ):
            cluster = []
            clusters.append(cluster)
        cluster.append(op)
        cluster_of[op] = cluster
    for cluster in clusters:
        cluster.reverse()
    return cluster_of


def _narrowing(block: Block) -> set[Operation]:
    """The element-wise operations whose result is of fewer bits than the sums of the one contraction it comes from."""
    found: set[Operation] = set()
    origin: dict[SSAValue, SSAValue | None] = {}  # None: of several
    for op in block.ops:
        if isinstance(op, WINDOWS + CONTRACTIONS):
            origin[op.results[0]] = op.results[0]
        elif isinstance(op, GenericOp) and is_elementwise(op) and len(op.res) == 1:
            origins = {origin[op.inputs[index]] for index in identity_operands(op) if op.inputs[index] in origin}
            if not origins:
                continue
            sums = origins.pop() if len(origins) == 1 else None
            if sums is not None and 0 < element_bits(op.res[0]) < element_bits(sums):
                found.add(op)
                continue
            origin[op.res[0]] = sums
    return found


def _reads_in_place(use: Use) -> bool:
    op = use.operation
    return isinstance(op, GenericOp) and use.index in identity_operands(op)
