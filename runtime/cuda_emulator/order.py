"""Who has synchronised with whom in a block: clocks of its warps, by which races are told from what is in order.

Every access has a stamp, the time at which it was made; time goes on with every synchronisation. A warp knows of each
agent - the warps of its block, and for each mbarrier the copy engine that reports to it - up to which stamp what it did
is visible: it learns that from barriers (vector clocks; Lamport, "Time, clocks, and the ordering of events", 1978).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

WARP = 32
BARRIERS = 32
"""Most mbarriers of a block."""


class Order:
    """Clocks of `blocks` blocks of `threads`: int64[blocks, warps, warps + BARRIERS]."""

    def __init__(self, blocks: int, threads: int) -> None:
        self.threads = threads
        self.warps = -(-threads // WARP)
        self._clocks = np.zeros((blocks, self.warps, self.warps + BARRIERS), np.int64)
        self.now = 1

    def forget(self) -> None:
        self._clocks[:] = 0
        self.now = 1

    def warp_of(self, lanes: Array) -> Array:
        """Of lanes their warps in the block."""
        return lanes % self.threads // WARP

    def engine(self, barrier: int) -> int:
        """The agent of the copies that report to the barrier of that number in its block."""
        return self.warps + barrier

    def sees(self, blocks: Array | int, warps: Array, agents: Array | int, stamps: Array) -> Array:
        """Whether what `agents` did at `stamps` is visible to `warps`."""
        return self._clocks[blocks, warps, agents] >= stamps

    def sees_all(self, blocks: Array, warps: Array, stamps: Array) -> Array:
        """Whether what any warp did at `stamps` is visible to `warps`."""
        return self._clocks[blocks, warps, : self.warps].min(axis=-1) >= stamps

    def meet(self, blocks: Array) -> None:
        """All warps of `blocks` have waited for each other."""
        clocks = self._clocks[blocks]
        clocks[:] = clocks.max(axis=1, keepdims=True)
        clocks[:, :, : self.warps] = self.now
        self._clocks[blocks] = clocks
        self.now += 1

    def meet_warps(self, blocks: Array, warps: Array) -> None:
        """The lanes of each of these warps have waited for each other."""
        self._clocks[blocks, warps, warps] = self.now
        self.now += 1

    def release(self, block: int, warp: int) -> Array:
        """What whoever waits for this warp now is to `acquire`."""
        known = self._clocks[block, warp].copy()
        known[warp] = self.now
        self.now += 1
        return known

    def acquire(self, block: int, warp: int, known: Array) -> None:
        np.maximum(self._clocks[block, warp], known, out=self._clocks[block, warp])
