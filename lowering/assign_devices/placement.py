"""Where each dispatch runs so that their costs and those of transfers are the least in sum.

With labels for devices this is the minimisation of a sum of unary costs (a dispatch on a device) and of one term for
each value and device: its transfer, paid once if the value is made elsewhere and anyone there reads it. A minimum cut
finds the best set of dispatches to move to one device, all at once (Boykov, Veksler, Zabih: Fast approximate energy
minimization via graph cuts, 2001: expansion moves). With two devices one such move from "everything on the other" is
the exact minimum; with more, moves are repeated, from several beginnings, until none is an improvement.

The sum is the time of a program whose devices take turns. That devices can work at the same time is not part of it:
splitting is what makes use of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from .minimum_cut import FOREVER, SINK, SOURCE, Graph

_PICOSECONDS = 1e12
"""Costs become whole numbers, so that the same costs give the same placement on every machine."""

_NEVER = 1 << 50
"""The cost of a dispatch on a device that it must not run on: some 18 minutes."""


@dataclass(frozen=True)
class Value:
    """A value that dispatch `producer` makes and dispatches `consumers` read.

    transfer: seconds to bring it from one device to another, [from][to].
    """

    producer: int
    consumers: tuple[int, ...]
    transfer: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Problem:
    """costs: seconds of each dispatch on each device, infinite where it must not run. values: what flows between."""

    devices: int
    costs: Sequence[Sequence[float]]
    values: Sequence[Value]


def place(problem: Problem) -> list[int]:
    """The device of each dispatch. The same problem has the same answer, always."""
    if problem.devices == 1:
        return [0] * len(problem.costs)
    cheapest = [min(range(problem.devices), key=costs.__getitem__) for costs in problem.costs]
    beginnings = [
        [device if isfinite(costs[device]) else best for costs, best in zip(problem.costs, cheapest, strict=True)]
        for device in range(problem.devices)
    ]
    beginnings.append(cheapest)
    found = [_descend(problem, labels) for labels in beginnings]
    return min(found, key=lambda labels: cost(problem, labels))  # of equals the first


def cost(problem: Problem, labels: Sequence[int]) -> int:
    """Picoseconds of all dispatches and transfers when dispatch i is on device `labels[i]`."""
    total = sum(_whole(costs[label]) for costs, label in zip(problem.costs, labels, strict=True))
    for value in problem.values:
        made = labels[value.producer]
        for read in {labels[consumer] for consumer in value.consumers} - {made}:
            total += _whole(value.transfer[made][read])
    return total


def _descend(problem: Problem, labels: list[int]) -> list[int]:
    best = cost(problem, labels)
    improved = True
    while improved:
        improved = False
        for device in range(problem.devices):
            moved = _expand(problem, labels, device)
            if (now := cost(problem, moved)) < best:
                labels, best, improved = moved, now, True
    return labels


def _expand(problem: Problem, labels: Sequence[int], device: int) -> list[int]:
    """Move the set of dispatches to `device` that helps most: those on the side of the sink."""
    graph = Graph()
    nodes = [graph.node() for _ in labels]
    for node, costs, label in zip(nodes, problem.costs, labels, strict=True):
        graph.edge(SOURCE, node, _whole(costs[device]))
        graph.edge(node, SINK, FOREVER if label == device else _whole(costs[label]))
    for value in problem.values:
        _add_transfers(graph, nodes, value, labels, device)
    kept = graph.source_side()
    return [label if node in kept else device for node, label in zip(nodes, labels, strict=True)]


def _add_transfers(graph: Graph, nodes: Sequence[int], value: Value, labels: Sequence[int], device: int) -> None:
    """The cost of the transfers of `value`, in terms of who moves to `device` (the sink) and who stays."""
    producer, made = nodes[value.producer], labels[value.producer]
    readers: dict[int, list[int]] = {}
    for consumer in value.consumers:
        readers.setdefault(labels[consumer], []).append(nodes[consumer])
    for label, staying in readers.items():
        if label == device:
            continue
        # To `label`, if anyone stays there while the producer is elsewhere: it was, or it moves.
        anyone = graph.node()
        for consumer in staying:
            graph.edge(consumer, anyone, FOREVER)
        if made != label:
            graph.edge(anyone, SINK, min(_whole(value.transfer[source][label]) for source in {made, device}))
        else:
            graph.edge(anyone, producer, _whole(value.transfer[device][label]))
    if made != device:
        # To `device`, if the producer stays where it is and anyone is at `device`, or moves there.
        anyone = graph.node()
        for consumer in value.consumers:
            graph.edge(anyone, nodes[consumer], FOREVER)
        graph.edge(producer, anyone, _whole(value.transfer[made][device]))


def _whole(seconds: float) -> int:
    return round(min(seconds * _PICOSECONDS, _NEVER))
