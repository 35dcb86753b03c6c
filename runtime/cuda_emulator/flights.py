"""What warpgroups have under way: sums on their way to registers, shared memory that they read (see `warpgroup`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .memory import Array
from .order import WARP, Order

LANES = 4 * WARP


@dataclass
class Flight:
    """Sums [lanes, registers] of a warpgroup on their way to registers, of the groups up to `group`."""

    registers: tuple[str, ...]
    sums: Array
    kind: str
    group: int


@dataclass
class _Reads:
    """Bytes [begin, end) of shared memory that a warpgroup multiplies, or did by `time`."""

    begin: int
    end: int
    first_warp: int
    time: int | None = None


class Warpgroups:
    """What the warpgroups of a program have under way, by the first lane of each."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.is_fenced: set[int] = set()
        self.group: dict[int, int] = {}
        self.flights: dict[int, list[Flight]] = {}
        self._reads: dict[int, list[_Reads]] = {}

    def forget(self) -> None:
        self.is_fenced.clear()
        self.group.clear()
        self.flights.clear()
        self._reads.clear()

    def reads(self, block: int, begin: int, end: int, first_warp: int) -> None:
        """The warpgroup has begun to multiply these bytes."""
        known = self._reads.setdefault(block, [])
        for each in known:
            if (each.begin, each.end, each.first_warp) == (begin, end, first_warp):
                each.time = None
                return
        known.append(_Reads(begin, end, first_warp))

    def has_read(self, block: int, first_warp: int) -> None:
        """The warpgroup has waited for all of its products."""
        for each in self._reads.get(block, []):
            if each.first_warp == first_warp and each.time is None:
                each.time = self._order.now

    def check_overwrite(self, block: int, warp: int, begin: int, end: int) -> None:
        """Raises ValueError if `warp` need not know that everything in [begin, end) was multiplied."""
        for each in self._reads.get(block, []):
            if each.begin >= end or each.end <= begin:
                continue
            if each.time is None:
                raise ValueError("wgmma still reads what is overwritten")
            warps, times = each.first_warp + np.arange(4), np.full(4, each.time)
            if not self._order.sees(block, np.full(4, warp), warps, times).all():
                raise ValueError("a race: wgmma read it, and the warpgroup was not waited for")

    def check_registers(self, names: frozenset[str], lanes: Array) -> None:
        """Raises ValueError if one of them is to get sums that a lane has not waited for."""
        for first, flights in self.flights.items():
            if not ((lanes >= first) & (lanes < first + LANES)).any():
                continue
            if any(not names.isdisjoint(each.registers) for each in flights):
                raise ValueError("uses sums of wgmma before wgmma.wait_group")
