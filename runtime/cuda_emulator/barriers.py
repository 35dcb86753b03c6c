"""The state of mbarriers: phases, and what their ends hand on (see `mbarrier`)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .memory import Array
from .order import BARRIERS, Order


@dataclass
class _Barrier:
    """`known` is what arrivals of the phase that is running handed on, `published` the same of the last that ended."""

    number: int
    arrivals: int
    missing: int
    owner: int
    made: int
    is_published: bool = False
    parity: int = 0
    bytes: int = 0
    known: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    published: Array = field(default_factory=lambda: np.zeros(0, np.int64))


class Barriers:
    """The mbarriers of the blocks of a program, by block and address."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._barriers: dict[tuple[int, int], _Barrier] = {}

    def forget(self) -> None:
        self._barriers.clear()

    def initialise(self, block: int, warp: int, address: int, arrivals: int) -> None:
        number = sum(key[0] == block for key in self._barriers)
        if number == BARRIERS:
            raise ValueError(f"the emulator knows {BARRIERS} mbarriers of a block")
        nothing = np.zeros(self._order.warps + BARRIERS, np.int64)
        made = _Barrier(number, arrivals, arrivals, warp, self._order.now, known=nothing, published=nothing.copy())
        self._barriers[block, address] = made

    def publish(self, block: int, warp: int) -> None:
        """fence.mbarrier_init: the copy engine may know the barriers that `warp` made."""
        for (of, _), barrier in self._barriers.items():
            barrier.is_published |= of == block and barrier.owner == warp

    def arrive(self, block: int, warp: int, address: int, size: int = 0) -> None:
        """One arrival, and `size` more bytes to come."""
        barrier = self._find(block, warp, address)
        if not barrier.missing:
            raise ValueError("more threads arrive than the mbarrier was made for")
        barrier.known = np.maximum(barrier.known, self._order.release(block, warp))
        barrier.missing -= 1
        barrier.bytes += size
        self._end_phase(barrier)

    def engine(self, block: int, warp: int, address: int) -> int:
        """The agent that brings bytes to a barrier."""
        barrier = self._find(block, warp, address)
        if not barrier.is_published:
            raise ValueError("fence.mbarrier_init is missing: the copy engine need not see the mbarrier")
        return self._order.engine(barrier.number)

    def complete(self, block: int, address: int, size: int) -> None:
        """The copy engine has brought `size` bytes."""
        barrier = self._barriers[block, address]
        barrier.bytes -= size
        if barrier.bytes < 0:
            raise ValueError("more bytes come than the phase of the mbarrier expects")
        barrier.known[self._order.engine(barrier.number)] = self._order.now
        self._order.now += 1
        self._end_phase(barrier)

    def passes(self, block: int, warp: int, address: int, parity: int) -> bool:
        """Whether the phase of `parity` has ended; then `warp` has seen what it handed on."""
        barrier = self._find(block, warp, address)
        if barrier.parity == parity:
            return False
        self._order.acquire(block, warp, barrier.published)
        return True

    def _find(self, block: int, warp: int, address: int) -> _Barrier:
        barrier = self._barriers.get((block, address))
        if barrier is None:
            raise ValueError("no mbarrier was initialised there")
        made = np.array([barrier.made])
        if warp != barrier.owner and not self._order.sees(block, np.array([warp]), barrier.owner, made).all():
            raise ValueError("a race: another thread initialised the mbarrier since the last barrier")
        return barrier

    def _end_phase(self, barrier: _Barrier) -> None:
        if barrier.missing or barrier.bytes:
            return
        barrier.parity ^= 1
        barrier.missing = barrier.arrivals
        barrier.published = np.maximum(barrier.published, barrier.known)
        barrier.known = barrier.known.copy()
