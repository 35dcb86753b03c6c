"""Each dispatch of a model beside its limit: what the arithmetic takes at the peak of the registers, or what its bytes
take at the bandwidth of the level of memory they come from, whichever is longer.

A buffer comes from the smallest cache that holds all that was touched since it was touched last; inferences follow
each other, so that the weights' last time is one inference ago. It is an optimistic limit: requantisation, exponentials
and other arithmetic beside multiply-adds counts as if it came for nothing, stores as if they were loads, and every
dispatch as if it overlapped its memory traffic with its arithmetic completely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tosaic.runtime import load
from tosaic.runtime.artifact import BufferReference, Step
from tosaic.runtime.cpu_features import host_name
from tosaic.runtime.measure import profile
from tosaic.runtime.peak import measure_peaks

from .bandwidth import Level, measure_levels
from .worker import load_arrays

_RUNS_SECONDS = 1.0
"""About how long a model is profiled."""


@dataclass(frozen=True)
class Machine:
    """The processor's name, operations per second of one core by dtype, and the levels of its memory."""

    processor: str
    peaks: dict[str, float]
    levels: tuple[Level, ...]

    @staticmethod
    def measured() -> Machine:
        return Machine(host_name(), measure_peaks(), tuple(measure_levels()))

    def record(self) -> dict[str, Any]:
        """As JSON has it, which lacks infinity."""
        levels = [{**asdict(level), "capacity": min(level.capacity, 2.0**63)} for level in self.levels]
        return {"processor": self.processor, "peaks": self.peaks, "levels": levels}


@dataclass(frozen=True)
class Limit:
    """Seconds that a dispatch takes at least, and what bounds it: "arithmetic" or the name of a level."""

    seconds: float
    bound: str


def dispatch_limit(step: Step, distances: Sequence[int], machine: Machine) -> Limit:
    """The limit of a step whose buffers were touched last so many bytes ago, on one thread."""
    peak = machine.peaks.get(step.dtype) or machine.peaks["float32"]
    arithmetic = step.flops / peak
    sizes = [max(reference.size, 0) for reference in step.buffers]
    # A look-up reads a part of its table: what the step says it moves is shared out by the sizes of its buffers.
    part = min(1.0, step.bytes / max(sum(sizes), 1))
    seconds: dict[str, float] = {}
    for size, distance in zip(sizes, distances, strict=True):
        level = next(level for level in machine.levels if distance <= level.capacity)
        seconds[level.name] = seconds.get(level.name, 0.0) + part * size / level.rate
    traffic = sum(seconds.values())
    if arithmetic >= traffic:
        return Limit(arithmetic, "arithmetic")
    return Limit(traffic, max(seconds, key=lambda name: seconds[name]))


def reuse_distances(steps: Sequence[Step]) -> list[list[int]]:
    """For each buffer of each step, the bytes touched since (some of) it was touched last, its own among them.

    The steps are run again and again. What is touched repeatedly in between counts each time, but never is more touched
    than there is.
    """
    most = footprint(steps)
    return [
        [min(_distance(steps, position, reference), most) for reference in step.buffers]
        for position, step in enumerate(steps)
    ]


def footprint(steps: Sequence[Step]) -> int:
    """The bytes that the steps touch, each counted once."""
    total = 0
    end: tuple[tuple[str, int], int] | None = None
    references = {reference for step in steps for reference in step.buffers if reference.size > 0}
    for reference in sorted(references, key=lambda each: (each.space, each.index, each.offset)):
        place, begin = (reference.space, reference.index), reference.offset
        if end is not None and end[0] == place:
            begin = max(begin, end[1])
        last = max(begin, reference.offset + reference.size)
        total += last - begin
        end = place, last
    return total


def _distance(steps: Sequence[Step], position: int, reference: BufferReference) -> int:
    touched = max(reference.size, 0)
    for back in range(1, len(steps) + 1):
        step = steps[(position - back) % len(steps)]
        touched += sum(max(other.size, 0) for other in step.buffers if not _overlap(other, reference))
        if any(_overlap(other, reference) for other in step.buffers):
            break
    return touched


def _overlap(first: BufferReference, second: BufferReference) -> bool:
    same = (first.space, first.index) == (second.space, second.index)
    return same and first.offset < second.offset + second.size and second.offset < first.offset + first.size


def measure_dispatches(artifact: Path, inputs: Path, machine: Machine) -> list[dict[str, Any]]:
    """For each dispatch on one thread its "seconds", "limit" (seconds), "bound" and "description"."""
    arrays = load_arrays(inputs)
    with load(artifact, threads=1) as program:
        executor = program.main.executor
        steps = profile(executor, arrays, 2)
        runs = max(3, min(100, round(_RUNS_SECONDS / max(steps.seconds(), 1e-6))))
        steps = profile(executor, arrays, runs).steps
        distances = reuse_distances([row.step for row in steps])
        limits = [dispatch_limit(row.step, each, machine) for row, each in zip(steps, distances, strict=True)]
    return [
        {
            "seconds": row.duration(),
            "limit": limit.seconds,
            "bound": limit.bound,
            "description": row.step.description,
        }
        for row, limit in zip(steps, limits, strict=True)
    ]
