"""The limits of dispatches: arithmetic, or the level of memory that their bytes come from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tosaic.runtime.artifact import BufferReference, Step

from benchmarks import calls
from benchmarks.bandwidth import Level, measure_levels
from benchmarks.compilers import deploy
from benchmarks.inputs import example_inputs
from benchmarks.roofline import Machine, dispatch_limit, footprint, measure_dispatches, reuse_distances
from benchmarks.worker import save_arrays

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


def test_the_machine_has_caches_and_memory() -> None:
    levels = measure_levels()
    capacities = [level.capacity for level in levels]
    assert capacities == sorted(capacities) and capacities[-1] == math.inf
    assert all(level.rate > 1e8 for level in levels)


def test_every_dispatch_has_a_time_and_a_limit(tmp_path: Path) -> None:
    model, artifact, inputs = (tmp_path / name for name in ("dense.tflite", "dense.module", "inputs.npz"))
    model.write_bytes(calls.tflite_model(calls.layers()))
    save_arrays(inputs, example_inputs(model))
    deploy(model, artifact)
    dispatches = measure_dispatches(artifact, inputs, MACHINE)
    assert dispatches
    assert all(each["seconds"] > 0 and each["limit"] > 0 for each in dispatches)
    assert {each["bound"] for each in dispatches} <= {"arithmetic", "L1", "L2", "memory"}
