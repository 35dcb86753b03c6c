"""Minimum cut of a small directed graph, by Dinic's algorithm (E. A. Dinic, 1970)."""

from __future__ import annotations

from collections import deque

FOREVER = 1 << 62
"""The capacity of an edge that is never cut: more than all others together."""

SOURCE, SINK = 0, 1


class Graph:
    """Nodes are numbers: SOURCE, SINK and those that `node` returns. Capacities are integers, so results are exact."""

    def __init__(self) -> None:
        self._edges: list[list[int]] = [[], []]
        self._target: list[int] = []
        self._capacity: list[int] = []

    def node(self) -> int:
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, begin: int, end: int, capacity: int) -> None:
        """What it costs to have `begin` on the side of the source and `end` on that of the sink."""
        if capacity <= 0:
            return
        for node, other, amount in ((begin, end, capacity), (end, begin, 0)):
            self._edges[node].append(len(self._target))
            self._target.append(other)
            self._capacity.append(amount)

    def source_side(self) -> set[int]:
        """The nodes on the side of the source in the minimum cut nearest to it."""
        while True:
            level = self._levels()
            if SINK not in level:
                return set(level)
            remaining = [0] * len(self._edges)
            while self._augment(level, remaining):
                pass

    def _levels(self) -> dict[int, int]:
        level = {SOURCE: 0}
        queue = deque([SOURCE])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                other = self._target[edge]
                if self._capacity[edge] and other not in level:
                    level[other] = level[node] + 1
                    queue.append(other)
        return level

    def _augment(self, level: dict[int, int], next_edge: list[int]) -> bool:
        """Push as much as one path takes; False where none is left. `next_edge` skips what leads nowhere."""
        path: list[int] = []
        node = SOURCE
        while node != SINK:
            edges = self._edges[node]
            while next_edge[node] < len(edges):
                edge = edges[next_edge[node]]
                other = self._target[edge]
                if self._capacity[edge] and level.get(other) == level[node] + 1:
                    break
                next_edge[node] += 1
            if next_edge[node] < len(edges):
                path.append(edges[next_edge[node]])
                node = self._target[path[-1]]
            elif path:
                node = self._target[path.pop() ^ 1]
                next_edge[node] += 1
            else:
                return False
        amount = min(self._capacity[edge] for edge in path)
        for edge in path:
            self._capacity[edge] -= amount
            self._capacity[edge ^ 1] += amount
        return True
