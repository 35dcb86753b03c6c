"""Many samples at once: their results come in order, whoever computed them, and errors where their results would."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from tosaic.runtime import load
from tosaic.runtime.errors import ArgumentError, DeviceError
from tosaic.runtime.throughput import share_out

from . import native


def samples(count: int) -> Iterator[dict[str, np.ndarray]]:
    for seed in range(count):
        random = np.random.default_rng(seed)
        x, bias = random.standard_normal((1, native.SIZE), np.float32), random.standard_normal(16, np.float32)
        yield {"x": x, "bias": bias}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_results_come_in_the_order_of_the_samples(threads: int, count: int) -> None:
    with load(native.artifact(), threads=threads) as program:
        for _ in range(2):
            results = list(program.map(samples(count)))
            assert len(results) == count
            for sample, outputs in zip(samples(count), results, strict=True):
                np.testing.assert_array_equal(outputs["y"], native.expected(**sample)[0])


def test_lists_give_lists_and_functions_have_names() -> None:
    x = np.arange(8, dtype=np.int8)
    with load(native.artifact(), threads=2) as program:
        for (shifted,), number in zip(program.map(([x + n] for n in range(5)), "shift"), itertools.count()):
            np.testing.assert_array_equal(shifted, x + np.int8(n_plus(number)))
        with pytest.raises(ArgumentError, match="unknown signature 'other'"):
            program.map([], "other")


def n_plus(number: int) -> int:
    """What "shift" makes of a sample that `number` was added to."""
    return number + 1


def test_an_error_comes_in_place_of_its_result() -> None:
    good, *_ = samples(1)
    with load(native.artifact(), threads=2) as program:
        results = program.map([good, good, {"x": good["x"]}, good])
        assert len([next(results), next(results)]) == 2
        with pytest.raises(ArgumentError, match="missing input 'bias'"):
            next(results)


@pytest.mark.parametrize("count", [0, 3])
def test_a_closed_program_refuses(count: int) -> None:
    program = load(native.artifact(), threads=2)
    if count:
        list(program.map(samples(count)))
    program.close()
    with pytest.raises(DeviceError, match="closed"):
        list(program.map(samples(1)))


def test_no_more_samples_are_taken_than_threads_need() -> None:
    taken = itertools.count()
    results = share_out((next(taken) for _ in range(100)), [abs, abs])
    assert next(results) == 0
    assert next(taken) <= 5


def test_as_many_at_once_as_there_are_functions() -> None:
    together = threading.Barrier(2, timeout=30)

    def work(sample: int) -> int:
        together.wait()  # passes only if two are here
        return sample

    assert list(share_out(range(6), [work, work])) == list(range(6))


def test_leaving_early_ends_the_threads() -> None:
    before = threading.active_count()
    results = share_out(range(100), [abs, abs, abs])
    next(results)
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert threading.active_count() == before
