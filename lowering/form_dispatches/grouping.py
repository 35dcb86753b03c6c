"""Deciding which operations share a dispatch.

1. Element-wise operations form clusters (see `clusters`).
2. Groups, walking forwards. A root (anything that is not element-wise, a view, an initial value or a pad in front of a
   window operation) opens a group. A cluster joins the group of the LATEST of its operands if it reads that group's
   values in place and has the same iteration space; else it opens a group of its own. Joining only the latest keeps
   the groups in a valid order: everything else the cluster needs was finished before. (A residual add thus fuses into
   the later of its two producers, and a value with several uses leaves its group as an additional result.)
3. A reduction takes in the element-wise group that computes its operand when nothing else reads it. What only widens
   integers for it does not join the group of its operand first.

What depends on constants only is never mixed with what does not: const-eval computes it away.
What the host does stands between: in front of all groups where it needs none of them, else behind the latest that it
needs, so that a cluster that needs it in turn does not join a group before. Operations that wish for different devices
never share a group.
Two iteration spaces are the same only if their sizes are certainly equal, see `extents`.
Every decision looks at an operation's operands or uses once: the cost is linear in the size of the function.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import CollapseShapeOp, EmptyOp, ExpandShapeOp, PadOp
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue, Use
from xdsl.ir.affine import AffineDimExpr
from xdsl.traits import IsTerminator

from ..dialects.device import TransferOp
from ..dialects.linalg import DepthwiseConv2DNhwcHwcmOp
from ..ir import operands_with_captures, padding_value
from .clusters import (
    AFFINITY,
    CONSTANTS,
    CONTRACTIONS,
    WINDOWS,
    Cluster,
    constant_values,
    form_clusters,
    runs_on_host,
)
from .elementwise import identity_operands
from .extents import Extents
from .merge import splat_constant
from .widening import is_widening

VIEWS = (CollapseShapeOp, ExpandShapeOp)
INITS = (EmptyOp, FillOp)


@dataclass(eq=False)
class Group:
    """Operations that become one dispatch. `elementwise` follows `root`, or precedes a reduction as `producers`."""

    index: int
    constant: bool
    root: Operation | None = None
    host: Operation | None = None
    """Instead of a root: what the host does at this place. Such a group has nothing else."""
    early: bool = False
    """Whether the host can do it before anything else."""
    collapse: CollapseShapeOp | None = None
    """The reshape between a depthwise convolution and its consumers, which stays inside."""
    producers: list[GenericOp] = field(default_factory=list)
    elementwise: list[GenericOp] = field(default_factory=list)

    @property
    def value(self) -> SSAValue | None:
        """The result of the root that element-wise consumers read."""
        if self.collapse is not None:
            return self.collapse.result
        return self.root.results[0] if self.root is not None else None

    @property
    def operations(self) -> Iterator[Operation]:
        yield from self.producers
        if self.root is not None:
            yield self.root
        if self.collapse is not None:
            yield self.collapse
        yield from self.elementwise

    @property
    def takes_consumers(self) -> bool:
        if self.host is not None:
            return False
        if self.root is None or isinstance(self.root, WINDOWS + CONTRACTIONS):
            return True
        return is_reduction(self.root)

    @property
    def iteration_space(self) -> SSAValue:
        """A tensor with the extents of the loops that consumers join."""
        value = self.value
        return value if value is not None else self.elementwise[0].res[0]

    @property
    def affinity(self) -> Attribute | None:
        """The device that an operation of the group wishes for."""
        return next((op.attributes[AFFINITY] for op in self.operations if AFFINITY in op.attributes), None)


def is_reduction(op: Operation) -> bool:
    """A generic that reduces: one result, computed over loops that are not all parallel."""
    return (
        isinstance(op, GenericOp)
        and len(op.res) == 1
        and any(iterator.data == IteratorType.REDUCTION for iterator in op.iterator_types)
    )


def form_groups(block: Block, extents: Extents) -> list[Group]:
    """The groups of a host block, in an order in which they can run."""
    return _Grouping(block, extents).groups


class _Grouping:
    def __init__(self, block: Block, extents: Extents) -> None:
        self.block = block
        self.extents = extents
        self.constant_values = constant_values(block)
        self.cluster_of = form_clusters(block, self.constant_values, extents)
        self.group_of: dict[SSAValue, Group] = {}
        self.opened = 0
        self.live: list[Group] = []
        for op in block.ops:
            self._place(op)
        # What is constant comes first: groups may have taken in consumers that read constants computed later.
        self.groups = sorted(self.live, key=lambda group: (not group.constant, not group.early, group.index))

    def _is_constant(self, op: Operation) -> bool:
        return op.results[0] in self.constant_values

    def _place(self, op: Operation) -> None:
        """Rule 2."""
        if op.name in CONSTANTS or isinstance(op, INITS) or op.has_trait(IsTerminator):
            return
        if runs_on_host(op):
            self._open_host(op)
        elif isinstance(op, VIEWS):
            self._place_view(op)
        elif isinstance(op, PadOp) and pads_window(op) and all(_is_window_image(use) for use in op.result.uses):
            pass  # goes into the group of each window operation that reads it
        elif op in self.cluster_of:
            cluster = self.cluster_of[op]
            if cluster[-1] is op:
                self._place_cluster(cluster)
        else:
            group = self._open(op)
            group.root = op
            if is_reduction(op):
                self._take_producers(group, cast(GenericOp, op))

    def _place_view(self, op: CollapseShapeOp | ExpandShapeOp) -> None:
        """A depthwise convolution's collapse stays inside its group; other views lie between groups."""
        group = self.group_of.get(op.src)
        if group is None or not isinstance(op, CollapseShapeOp) or not op.src.has_one_use():
            return
        if isinstance(group.root, DepthwiseConv2DNhwcHwcmOp) and group.collapse is None and not group.elementwise:
            group.collapse = op
            self.group_of[op.result] = group

    def _place_cluster(self, cluster: Cluster) -> None:
        constant = self._is_constant(cluster[0])
        inside: set[SSAValue] = {result for op in cluster for result in op.res}
        latest: Group | None = None
        for op in cluster:
            for value in self._read(op):
                group = None if value in inside else self._computed_by(value)
                if group is not None and not group.early and (latest is None or group.index > latest.index):
                    latest = group
        if latest is None or constant or _widens_for_reduction(cluster) or not self._fuses(cluster, inside, latest):
            latest = self._open(cluster[0])
        latest.elementwise += cluster
        for value in inside:
            self.group_of[value] = latest

    def _read(self, op: Operation) -> Iterator[SSAValue]:
        """The values that `op` needs, those among them that make its initial values and the views it reads."""
        for value in operands_with_captures(op):
            yield value
            producer = value.op if isinstance(value, OpResult) else None
            if isinstance(producer, INITS + VIEWS) and producer.operands and producer.parent is self.block:
                yield from self._read(producer)

    def _computed_by(self, value: SSAValue) -> Group | None:
        """The group whose result `value` is or views; None for constants and arguments of the function."""
        if value in self.constant_values:
            return None
        while value not in self.group_of and isinstance(value, OpResult) and isinstance(value.op, VIEWS):
            value = value.op.src
        return self.group_of.get(value)

    def _fuses(self, cluster: Cluster, inside: set[SSAValue], group: Group) -> bool:
        """Whether the cluster iterates as the group does and reads its values in place, not through views."""
        if not group.takes_consumers or not self._same_space(group.iteration_space, cluster[0].res[0]):
            return False
        if not _agree(group.affinity, cluster[0].attributes.get(AFFINITY)):
            return False
        for op in cluster:
            in_place = identity_operands(op)
            for index, value in enumerate(operands_with_captures(op)):
                if group.root is not None and self._is_elsewhere(value, group):
                    return False  # the root need not wait for another device
                if value in inside or self._computed_by(value) is not group:
                    continue
                if index not in in_place or value not in self.group_of:
                    return False
        return True

    def _is_elsewhere(self, value: SSAValue, group: Group) -> bool:
        """Whether `value` comes from another device than that which `group` wishes for."""
        producer = self._computed_by(value)
        return isinstance(value.owner, TransferOp) or not (
            producer is None or _agree(producer.affinity, group.affinity)
        )

    def _same_space(self, first: SSAValue, second: SSAValue) -> bool:
        return self.extents.shape(first) == self.extents.shape(second)

    def _open_host(self, op: Operation) -> None:
        """What needs no group comes before all of them: its results keep nothing from fusing."""
        group = Group(self.opened, constant=False, host=op)
        group.early = all(producer is None or producer.early for producer in map(self._computed_by, self._read(op)))
        self.opened += 1
        self.live.append(group)
        self.group_of.update(dict.fromkeys(op.results, group))

    def _open(self, op: Operation) -> Group:
        group = Group(self.opened, self._is_constant(op))
        self.opened += 1
        self.live.append(group)
        self.group_of.update(dict.fromkeys(op.results, group))
        return group

    def _take_producers(self, group: Group, reduction: GenericOp) -> None:
        """Rule 3."""
        for index, value in enumerate(reduction.inputs):
            producer = self.group_of.get(value)
            map = reduction.indexing_maps.data[index].data
            absorbed = (
                producer is not None
                and producer.root is None
                and producer.host is None
                and not producer.constant
                and _agree(producer.affinity, reduction.attributes.get(AFFINITY))
                and all(isinstance(expr, AffineDimExpr) for expr in map.results)
                and _only_read_by(producer, reduction, index)
                and self._reads_every_loop(producer)
            )
            if absorbed and producer is not None:
                self.live.remove(producer)
                group.producers += producer.elementwise
                for op in producer.elementwise:
                    self.group_of.update(dict.fromkeys(op.res, group))

    def _reads_every_loop(self, producer: Group) -> bool:
        """Whether an operand from outside that is not merged away spans the iteration space: it tells the extents."""
        inside = {result for op in producer.elementwise for result in op.res}
        return any(
            op.inputs[index] not in inside
            and op.inputs[index] not in self.constant_values
            and op.body.block.args[index].uses
            and splat_constant(op.inputs[index]) is None
            for op in producer.elementwise
            for index in identity_operands(op)
        )


def _widens_for_reduction(cluster: Cluster) -> bool:
    """Whether the cluster is an integer extension that one reduction alone reads."""
    consumer = cluster[0].res[0].get_user_of_unique_use() if len(cluster) == 1 else None
    return consumer is not None and is_reduction(consumer) and is_widening(cluster[0])


def _agree(first: Attribute | None, second: Attribute | None) -> bool:
    """Whether two wishes for devices can be fulfilled together."""
    return first is None or second is None or first == second


def _only_read_by(producer: Group, reduction: GenericOp, index: int) -> bool:
    """Whether the producer's last value goes to operand `index` of `reduction` and nothing else leaves the group."""
    members: set[Operation] = set(producer.elementwise)
    for op in producer.elementwise:
        for result in op.res:
            for use in result.uses:
                if use.operation not in members and (use.operation is not reduction or use.index != index):
                    return False
    return True


def pads_window(op: PadOp) -> bool:
    """Whether `op` does what the padding of a convolution or pooling does: a constant around height and width."""
    low, high = op.static_low.get_values(), op.static_high.get_values()
    known = not op.low and not op.high
    return known and len(low) == 4 and not any((low[0], low[3], high[0], high[3])) and padding_value(op) is not None


def _is_window_image(use: Use) -> bool:
    return isinstance(use.operation, WINDOWS) and use.index == 0
