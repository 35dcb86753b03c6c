"""Asynchronous copies to shared memory that were issued and have not been waited for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .memory import Array
from .ptx import Instruction


@dataclass(frozen=True)
class Copy:
    """Bytes [lanes, size] on their way to shared memory, and the group of each lane that they belong to."""

    instruction: Instruction
    lanes: Array
    addresses: Array
    content: Array
    groups: Array


class PendingCopies:
    """What was issued and has not been waited for."""

    def __init__(self, lanes: int) -> None:
        self._groups = np.zeros(lanes, np.int64)
        self._copies: list[Copy] = []

    def forget(self) -> None:
        self._groups[:] = 0
        self._copies.clear()

    def issue(self, instruction: Instruction, lanes: Array, addresses: Array, content: Array) -> None:
        self._copies.append(Copy(instruction, lanes, addresses, content, self._groups[lanes]))

    def commit(self, lanes: Array) -> None:
        self._groups[lanes] += 1

    def arrived(self, lanes: Array, kept: int, program_lanes: int) -> list[Copy]:
        """The copies of `lanes` in all but their last `kept` groups, which are no longer pending."""
        waits = np.zeros(program_lanes, np.bool_)
        waits[lanes] = True
        done, rest = [], []
        for copy in self._copies:
            now = waits[copy.lanes] & (copy.groups < self._groups[copy.lanes] - kept)
            for chosen, into in ((now, done), (~now, rest)):
                if chosen.any():
                    parts = (copy.lanes[chosen], copy.addresses[chosen], copy.content[chosen], copy.groups[chosen])
                    into.append(Copy(copy.instruction, *parts))
        self._copies = rest
        return done
