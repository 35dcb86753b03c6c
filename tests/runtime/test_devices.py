"""Programs on several devices of this machine."""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from tosaic.runtime import Artifact, load
from tosaic.runtime.artifact import DeviceSlot, Signature, TensorInfo, Variant
from tosaic.runtime.errors import ArgumentError, DeviceError, DeviceLostError
from tosaic.runtime.host_program.instructions import NONE, Block, Concat, Execute, HostProgram, Transfer
from tosaic.runtime.measure import profile

from . import native


def two_devices(**changes: object) -> Artifact:
    """x -> x + 1 on "a", x + 2 by "b" after it, both behind each other. `changes` are those of the image of "b"."""
    signature = Signature("main", (TensorInfo("x", "int8", (8,)),), (TensorInfo("y", "int8", (16,)),))
    instructions = (
        Execute(0, 1, (0,), (), (), NONE, (1,)),
        Transfer(1, 1, 2),
        Execute(1, 1, (2,), (), (), NONE, (3,)),
        Concat((1, 3), 0, (16,), (), 4, "%y"),
    )
    program = HostProgram("main", 5, (Block((0,), instructions, (4,)),))
    image = native.image()
    variant = Variant((image, replace(image, **changes)), (program,))
    slots = (DeviceSlot("a", "cpu", 1), DeviceSlot("b", "cpu", 2))
    return Artifact((signature,), slots, (variant,), native.weights().tobytes())


X = np.arange(8, dtype=np.int8)
Y = np.concatenate([X + 1, X + 2])


def queues() -> int:
    return sum(thread.name.startswith("tosaic-queue") for thread in threading.enumerate())


def test_two_devices_of_one_kind_share_the_work() -> None:
    with load(two_devices()) as program:
        for _ in range(50):
            np.testing.assert_array_equal(program.run([X])[0], Y)
        assert [(name, executable.threads) for name, executable in program.devices] == [("a", 1), ("b", 2)]
        assert program.threads == 3


def test_several_threads_may_call_at_once() -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = X + np.int8(seed)
        for _ in range(30):
            if not np.array_equal(program.run([x])[0], Y + np.int8(seed)):
                wrong.append(seed)

    with load(two_devices()) as program:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_threads_end_with_their_program() -> None:
    before = queues()
    program = load(two_devices())
    program.run([X])
    assert queues() == before + 2
    program.close()
    assert queues() == before
    with pytest.raises(DeviceError, match="the program is closed"):
        program.run([X])
    program = load(two_devices())
    program.run([X])
    del program
    gc.collect()
    deadline = time.monotonic() + 5
    while queues() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert queues() == before


def test_closing_while_others_call_ends_their_calls_with_an_error() -> None:
    program = load(two_devices())
    started, ended = threading.Event(), []

    def work() -> None:
        try:
            while True:
                program.run([X])
                started.set()
        except DeviceError as error:
            ended.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    program.close()
    thread.join(20)
    assert len(ended) == 1 and ended[0].endswith("the program is closed")


def test_a_forked_child_runs_the_program_too() -> None:
    with load(two_devices()) as program:
        program.run([X])
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(program.run([X])[0], Y) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        np.testing.assert_array_equal(program.run([X])[0], Y)


def test_a_device_that_lacks_something_is_told_before_any_is_loaded() -> None:
    with pytest.raises(DeviceError, match="future needs avx4096"):
        load(two_devices(target="future", features=("x86_64", "avx4096")))


def test_a_device_without_memory_is_named() -> None:
    main, shift = native.segments()
    huge = (main, replace(shift, arena_bytes=1 << 47))
    before = queues()
    with pytest.raises(DeviceLostError, match="device b: cannot allocate") as caught:
        load(two_devices(segments=huge))
    assert caught.value.device == "b"
    gc.collect()
    assert queues() == before


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("cpu", "the program was compiled for cpu,cpu; cpu cannot run it"),
        ("cpu,reference", "the program was compiled for cpu,cpu; cpu,reference cannot run it"),
    ],
)
def test_other_devices_than_it_was_compiled_for_are_refused(devices: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load(two_devices(), devices=devices)


def test_threads_may_be_chosen_when_loading() -> None:
    with load(two_devices(), devices="cpu:2,cpu:1") as program:
        assert [executable.threads for _, executable in program.devices] == [2, 1]
    with load(two_devices(), threads=1) as program:
        assert [executable.threads for _, executable in program.devices] == [1, 1]


def test_a_profile_tells_the_steps_of_all_devices_on_one_clock() -> None:
    with load(two_devices()) as program:
        measured = profile(program.main.executor, [X], runs=3)
    assert [(row.device, row.step.kernel) for row in measured.steps] == [("a", "shift"), ("b", "shift")]
    assert measured.seconds() >= 0
