"""Programs come and go: what they took is given back, and however many there are, none disturbs another."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import load
from tosaic.runtime.errors import DeviceError

from . import native

_ALLOCATOR_MAPPINGS = 8
"""That malloc may have added meanwhile; a program has more, so that 100 of them show."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "native.module"
    native.artifact().save(path)
    return path


def inputs(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"x": random.standard_normal((1, native.SIZE), np.float32), "bias": random.standard_normal(16, np.float32)}


def held() -> tuple[int, int, int]:
    """Threads, file descriptors and mappings of this process."""
    counts = [len(os.listdir(f"/proc/self/{part}")) for part in ("task", "fd")]
    return counts[0], counts[1], len(Path("/proc/self/maps").read_text().splitlines())


def returned_to(before: tuple[int, int, int]) -> bool:
    """Whether no more is held than before. The system may take a moment to end a thread that Python has joined."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        threads, descriptors, mappings = held()
        if threads <= before[0] and descriptors <= before[1] and mappings <= before[2] + _ALLOCATOR_MAPPINGS:
            return True
        time.sleep(0.01)
    return False


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("close", [True, False], ids=["closed", "collected"])
def test_many_programs_leave_nothing_behind(path: Path, close: bool) -> None:
    def cycle(count: int) -> None:
        for number in range(count):
            program = load(path, threads=3)
            np.testing.assert_array_equal(program.run(inputs(number))["y"], native.expected(**inputs(number))[0])
            if close:
                program.close()
            del program
        gc.collect()

    cycle(20)
    before, memory = held(), resident_bytes()
    cycle(100)
    assert returned_to(before)
    assert resident_bytes() < memory + (4 << 20)


def test_programs_at_once_do_not_disturb_each_other(path: Path) -> None:
    """Four programs of three threads each, called from a thread of their own; one artifact in memory, three files."""
    failures = []

    def work(number: int) -> None:
        with load(native.artifact() if number == 0 else path, threads=3) as program:
            for seed in range(number, number + 50):
                result = program.run(inputs(seed))["y"]
                if not np.array_equal(result, native.expected(**inputs(seed))[0]):
                    failures.append((number, seed))

    callers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert failures == []


def test_a_function_outlives_neither_its_program_nor_its_results(path: Path) -> None:
    with load(path) as program:
        function = program.function()
        outputs = function.run(inputs(1))
    with pytest.raises(DeviceError, match="the program is closed"):
        function.run(inputs(1))
    np.testing.assert_array_equal(outputs["y"], native.expected(**inputs(1))[0])
    with pytest.raises(ZeroDivisionError), load(path) as program:
        raise ZeroDivisionError
    with pytest.raises(DeviceError, match="the program is closed"):
        program.run(inputs(1))


def test_a_file_may_be_replaced_while_its_program_runs(path: Path) -> None:
    """Saving renames a new file over the old one, whose mapping lives on."""
    with load(path) as program:
        native.artifact().save(path)
        np.testing.assert_array_equal(program.run(inputs(2))["y"], native.expected(**inputs(2))[0])


def test_too_few_threads_of_the_system_are_a_device_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that did start are stopped: the memory they wait in is about to go."""
    before = held()
    start = threading.Thread.start

    def start_or_fail(thread: threading.Thread) -> None:
        if thread.name == "tosaic-worker-4":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    with pytest.raises(DeviceError, match="cannot start 7 threads beside this one: can't start new thread"):
        load(path, threads=8)
    assert returned_to(before)
