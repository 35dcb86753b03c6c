"""The limits of dispatches: arithmetic, or the level of memory that their bytes come from."""

from __future__ import annotations

import pytest
from tosaic.runtime.artifact import BufferReference, Step

from benchmarks.bandwidth import Level
from benchmarks.roofline import Machine, dispatch_limit, footprint, reuse_distances

MACHINE = Machine(
    "a processor",
    {"float32": 100.0, "int8": 400.0},
    (Level("L1", 100, 10.0), Level("L2", 1000, 5.0), Level("memory", float("inf"), 1.0)),
)


def arena(offset: int, size: int) -> BufferReference:
    return BufferReference("arena", 0, offset, size)


def constant(offset: int, size: int) -> BufferReference:
    return BufferReference("constants", 0, offset, size)


def step(*buffers: BufferReference, flops: int = 0, dtype: str = "float32") -> Step:
    return Step("k", buffers, flops, sum(each.size for each in buffers), "matmul", dtype)


def test_arithmetic_bounds_what_has_more_of_it() -> None:
    limit = dispatch_limit(step(arena(0, 50), flops=1000), [50], MACHINE)
    assert (limit.seconds, limit.bound) == (10.0, "arithmetic")
    assert dispatch_limit(step(arena(0, 4), flops=1000, dtype="int8"), [4], MACHINE).seconds == 2.5


def test_bytes_take_what_their_level_takes() -> None:
    limit = dispatch_limit(step(arena(0, 50), constant(0, 400)), [60, 5000], MACHINE)
    assert limit.seconds == pytest.approx(50 / 10 + 400 / 1)
    assert limit.bound == "memory"


def test_a_look_up_moves_only_a_part_of_its_table() -> None:
    look_up = Step("k", (constant(0, 900), arena(0, 100)), 0, 100, "gather")
    assert dispatch_limit(look_up, [1000, 100], MACHINE).seconds == pytest.approx(90 / 5 + 10 / 10)


def test_distances_count_what_was_touched_since() -> None:
    steps = [
        step(constant(0, 10), arena(0, 20)),
        step(arena(0, 20), arena(20, 5)),
        step(constant(10, 40), arena(20, 5)),
    ]
    assert footprint(steps) == 50 + 25
    distances = reuse_distances(steps)
    assert distances[1] == [20 + 10, 5 + 40 + 10 + 20]  # read just written; written one round ago
    assert distances[2] == [75, 5 + 20]  # weights come round after everything else


def test_overlapping_buffers_are_one_place() -> None:
    steps = [step(arena(0, 20)), step(arena(10, 20))]
    assert footprint(steps) == 30
    assert reuse_distances(steps)[1] == [20]
