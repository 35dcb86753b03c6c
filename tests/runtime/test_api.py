"""Programs run through the public interface: right numbers, exact complaints, threads, forks, and what closing does."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import Artifact, Program, load
from tosaic.runtime.arrays import aligned_empty
from tosaic.runtime.errors import ArgumentError, DeviceError

from . import native


@pytest.fixture(params=[1, 2])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with load(native.artifact(), threads=request.param) as program:
        yield program


def some_inputs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.standard_normal((1, native.SIZE), np.float32), random.standard_normal(16, np.float32)


def test_a_list_gives_a_list_and_a_dict_a_dict(program: Program) -> None:
    x, bias = some_inputs()
    y, ends = native.expected(x, bias)
    listed = program.run([x, bias])
    named = program.run({"bias": bias, "x": x})
    np.testing.assert_array_equal(listed[0], y)
    assert listed[1] == ends and listed[1].shape == ()
    assert list(named) == ["y", "sum"]
    np.testing.assert_array_equal(named["y"], y)


def test_signatures_are_called_by_name(program: Program) -> None:
    assert list(program.signatures) == ["main", "shift"]
    x = np.array([-128, -1, 0, 1, 2, 3, 4, 127], np.int8)
    np.testing.assert_array_equal(program.signatures["shift"](x=x)["x"], x + np.int8(1))


def test_results_of_one_call_are_not_touched_by_the_next(program: Program) -> None:
    first_inputs, second_inputs = some_inputs(1), some_inputs(2)
    first = program.run(list(first_inputs))
    program.run(list(second_inputs))
    np.testing.assert_array_equal(first[0], native.expected(*first_inputs)[0])
    assert first[1] == native.expected(*first_inputs)[1]


@pytest.mark.parametrize("layout", ["unaligned", "aligned", "strided", "reversed", "fortran", "read-only"])
def test_inputs_may_lie_in_memory_as_they_like(program: Program, layout: str) -> None:
    x, bias = some_inputs()
    given, _ = aligned_empty(x.shape, x.dtype)
    if layout == "unaligned":
        given = np.frombuffer(b"...." + x.tobytes(), np.float32, offset=4).reshape(x.shape)
    elif layout == "strided":
        given = np.zeros((1, 2 * native.SIZE), np.float32)[:, ::2]
    elif layout == "reversed":
        given = np.empty_like(x)[:, ::-1]
    elif layout == "fortran":
        given = np.asfortranarray(given)
    if layout != "unaligned":
        given[...] = x
    if layout == "read-only":
        given.flags.writeable = False
    np.testing.assert_array_equal(program.run([given, bias])[0], native.expected(x, bias)[0])


def test_lists_and_scalars_become_arrays_only_if_their_dtype_is_right(program: Program) -> None:
    with pytest.raises(ArgumentError, match=r"input 'x' is int64\[8\]; expected int8\[8\]"):
        program.signatures["shift"](x=[1, 2, 3, 4, 5, 6, 7, 8])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["x"], r"1 inputs given; signature 'main' takes x: float32\[1x4096\], bias: float32\[16\]"),
        ({"x": "x"}, r"missing input 'bias'; signature 'main' takes x: "),
        ({"x": "x", "bias": "b", "mask": "b"}, r"unknown input 'mask'"),
        ({"y": "x", "bias": "b"}, r"unknown input 'y', missing input 'x'"),
        (["b", "b"], r"input 'x' is float32\[16\]; expected float32\[1x4096\]"),
        (["double", "b"], r"input 'x' is float64\[1x4096\]; expected"),
        (["big-endian", "b"], r"input 'x' is >f4\[1x4096\]; expected"),
        (["flat", "b"], r"input 'x' is float32\[4096\]; expected"),
    ],
)
def test_wrong_inputs_are_named_with_what_was_expected(
    program: Program, inputs: list[str] | dict[str, str], message: str
) -> None:
    x, bias = some_inputs()
    values = {"x": x, "b": bias, "double": x.astype(np.float64), "big-endian": x.astype(">f4"), "flat": x[0]}
    given = [values[v] for v in inputs] if isinstance(inputs, list) else {k: values[v] for k, v in inputs.items()}
    with pytest.raises(ArgumentError, match=message):
        program.run(given)


def test_several_threads_may_call_at_once(program: Program) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        x, bias = some_inputs(seed)
        y, ends = native.expected(x, bias)
        small = np.full(8, seed, np.int8)
        for _ in range(30):
            got = program.run([x, bias])
            shifted = program.signatures["shift"](x=small)["x"]
            if not (np.array_equal(got[0], y) and got[1] == ends and np.array_equal(shifted, small + 1)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_closing_while_others_call_ends_their_calls_with_an_error() -> None:
    program = load(native.artifact(), threads=2)
    x, bias = some_inputs()
    started, ended = threading.Event(), []

    def work() -> None:
        try:
            while True:
                program.run([x, bias])
                started.set()
        except DeviceError as error:
            ended.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    program.close()
    thread.join()
    assert ended == ["the program is closed"]


def test_a_closed_program_refuses_and_closes_again() -> None:
    with load(native.artifact(), threads=2) as program:
        pass
    with pytest.raises(DeviceError, match="closed"):
        program.run(list(some_inputs()))
    program.close()


def test_workers_end_with_their_program() -> None:
    def workers() -> int:
        return sum(thread.name.startswith("tosaic-worker") for thread in threading.enumerate())

    before = workers()
    program = load(native.artifact(), threads=3)
    assert workers() == before + 2
    del program
    gc.collect()
    assert workers() == before


def test_a_forked_child_runs_the_program_too() -> None:
    x, bias = some_inputs()
    with load(native.artifact(), threads=2) as program:
        program.run([x, bias])
        child = os.fork()
        if child == 0:
            right = np.array_equal(program.run([x, bias])[0], native.expected(x, bias)[0])
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        np.testing.assert_array_equal(program.run([x, bias])[0], native.expected(x, bias)[0])


def test_a_trace_times_every_step_on_every_thread(program: Program) -> None:
    x, bias = some_inputs()
    outputs, (trace,) = program.main.executor.trace([x, bias])
    ticks = trace.seconds
    np.testing.assert_array_equal(outputs[0], native.expected(x, bias)[0])
    assert ticks.shape == (3, program.threads, 2)
    assert (ticks[:, :, 0] <= ticks[:, :, 1]).all() and ticks.min() > 0
    assert (ticks[:-1, :, 1].max(axis=1) <= ticks[1:, :, 0].max(axis=1)).all(), "a step began before the last had ended"


def test_files_and_artifacts_run_alike(tmp_path: Path) -> None:
    path = tmp_path / "native.module"
    native.artifact().save(path)
    x, bias = some_inputs()
    for source in (path, str(path), Artifact.load(path)):
        with load(source, threads=1) as program:
            np.testing.assert_array_equal(program.run([x, bias])[0], native.expected(x, bias)[0])


def test_threads_come_from_the_argument_the_device_the_artifact_or_the_machine() -> None:
    def threads(artifact: Artifact, **options: object) -> int:
        with load(artifact, **options) as program:  # type: ignore[arg-type]
            return program.threads

    assert threads(native.artifact(threads=3)) == 3
    assert threads(native.artifact(threads=3), devices="cpu:2") == 2
    assert threads(native.artifact(threads=3), devices="cpu:2", threads=1) == 1
    assert threads(native.artifact()) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": "gpu"}, "unknown device 'gpu'; known devices: cpu"),
        ({"devices": "cpu:0"}, "0 threads: expected 1 to 1024"),
        ({"devices": "cpu:many"}, "'many' is no number of threads"),
        ({"devices": "cpu,cpu"}, "the program was compiled for cpu; cpu,cpu cannot run it"),
        ({"threads": 0}, "0 threads: expected 1 to 1024"),
    ],
)
def test_wrong_devices_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load(native.artifact(), **options)  # type: ignore[arg-type]
