"""How many threads of a GPU make one result of a reduction together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log2

from ...targets.block_tile import SMS
from ..extent import Extent
from .block import WARP

ACCUMULATORS = 4
"""Loads that a thread has under way at a time, each with a sum of its own."""

_LATENCY = 600
"""Cycles of a load from global memory."""

_COMBINING = 40
"""Cycles of halving what a team has: a barrier, or a shuffle or two."""

_RESIDENT = 1024
"""Threads of an SM that hide each other's latencies; more wait for registers."""

_SM_BYTES = 64
"""Bytes that an SM gets from the L2 in a cycle."""

_SECTOR = 32
"""Bytes that memory moves at least."""

_SCHEDULERS = 4
"""Of an SM: warps that issue an instruction in a cycle."""

_STARTING = 60
_INDEXING = 6
"""Instructions of a thread, and of each load beside one for an element's conversion and one for its sum."""

_SMALLEST_BLOCK = 128
_LARGEST_BLOCK = 512
"""Threads that may have 128 registers each: four vectors of sums and of what is under way, with their addresses."""


@dataclass(frozen=True)
class Team:
    """`members` threads for each vector of `lanes` results (by columns) or for each result, whose row they read in
    vectors of `lanes`; blocks have `results` teams. Both are powers of two."""

    members: int
    results: int
    lanes: int

    @property
    def threads(self) -> int:
        return self.members * self.results


def choose_team(results: Extent, terms: Extent, lanes: int, size: int, *, by_rows: bool) -> Team:
    """The team for reductions of `terms` elements of `size` bytes to each of `results`, loaded in vectors of at most
    `lanes`, that takes the fewest cycles.

    Neighbours read neighbouring elements of a row, or, by columns, of at least a sector and at most a line of results.
    """
    if not isinstance(results, int) or not isinstance(terms, int):
        return Team(32, 4, 1) if by_rows else Team(8, 32, 1)
    teams = _teams(results, terms, lanes, size, by_rows)
    return min(teams, key=lambda team: _cycles(team, results, terms, size, by_rows))


def _teams(results: int, terms: int, most_lanes: int, size: int, by_rows: bool) -> Iterator[Team]:
    lanes = most_lanes
    while lanes:
        widths = [1] if by_rows else _widths(-(-results // lanes), max(1, _SECTOR // (size * lanes)))
        # Members of a row read at least a sector of it together, so that warps of many rows waste none.
        least = min(_SECTOR // size, 1 << (max(terms, 1).bit_length() - 1)) // lanes if by_rows else 1
        for across in widths:
            members = max(1, least)
            while members * across <= _LARGEST_BLOCK and members <= max(terms, 1):
                yield Team(members, max(across, _SMALLEST_BLOCK // members), lanes)
                members *= 2
        lanes //= 2


def _widths(vectors: int, least: int) -> list[int]:
    """Powers of two from `least` to a warp, none of them twice as wide as needed."""
    most = min(WARP, 1 << (vectors - 1).bit_length())
    return [1 << power for power in range(WARP.bit_length()) if min(least, most) <= 1 << power <= most]


def _cycles(team: Team, results: int, terms: int, size: int, by_rows: bool) -> float:
    """The longer of waiting, one group of loads after the other, and of bringing and issuing what an SM has to do."""
    teams = results if by_rows else -(-results // team.lanes)
    loads = -(-(terms // team.lanes if by_rows else terms) // team.members)
    blocks = -(-teams // team.results)
    share = max(1.0, blocks / SMS)
    waiting = _LATENCY * (1 + loads / ACCUMULATORS) * max(1.0, share * team.threads / _RESIDENT)
    brought = team.threads * loads * team.lanes * size / _SM_BYTES
    issued = team.threads / WARP * (_STARTING + loads * (_INDEXING + 2 * team.lanes)) / _SCHEDULERS
    return max(waiting, share * brought, share * issued) + _COMBINING * log2(team.members)
