"""Placing buffers with known lifetimes in one arena, as small as a greedy best fit makes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...runtime.artifact import ALIGNMENT


@dataclass
class Lifetime:
    """A buffer of `size` bytes that exists from step `begin` to step `end`, both included."""

    size: int
    begin: int
    end: int

    def overlaps(self, other: Lifetime) -> bool:
        return self.begin <= other.end and other.begin <= self.end


def place(buffers: Sequence[Lifetime]) -> tuple[list[int], int]:
    """The aligned offset of each buffer, and the size of the arena. Buffers that live at the same time are disjoint.

    Big ones first, each into the smallest gap that holds it between those placed before that it meets in time: the
    greedy-by-size strategy of "Efficient Memory Management for Deep Neural Net Inference" (Pisarchyk and Lee, 2020).
    """
    offsets = [0] * len(buffers)
    placed: list[int] = []
    arena_bytes = 0
    for index in sorted(range(len(buffers)), key=lambda index: (-buffers[index].size, buffers[index].begin)):
        buffer = buffers[index]
        met = sorted(
            (offsets[other], offsets[other] + buffers[other].size)
            for other in placed
            if buffers[other].overlaps(buffer)
        )
        offsets[index] = _best_gap(met, buffer.size)
        placed.append(index)
        arena_bytes = max(arena_bytes, _aligned(offsets[index] + buffer.size))
    return offsets, arena_bytes


def _best_gap(occupied: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the smallest gap of at least `size` bytes between `occupied` ranges, or the end of them all."""
    best, best_gap, end = None, 0, 0
    for begin, until in occupied:
        gap = begin - end
        if gap >= size and (best is None or gap < best_gap):
            best, best_gap = end, gap
        end = max(end, _aligned(until))
    return end if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
