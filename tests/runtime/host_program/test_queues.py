"""Several devices work at the same time, in order each, and fail by name."""

from __future__ import annotations

import _thread
import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tosaic.runtime.artifact import TensorType
from tosaic.runtime.errors import DeviceError, DeviceLostError
from tosaic.runtime.host_program.instructions import NONE, Block, Concat, Execute, For, HostProgram, Number, Transfer
from tosaic.runtime.host_program.interpreter import Interpreter
from tosaic.runtime.host_program.queues import Queue

from .fakes import Compute, segment, station

VECTOR = TensorType("float32", (2,))
ONES = np.ones(2, np.float32)


@pytest.fixture
def queues() -> Iterator[tuple[Queue, Queue]]:
    pair = Queue("a"), Queue("b")
    yield pair
    for queue in pair:
        queue.close()


def two_devices(queues: tuple[Queue, Queue], first: Compute, second: Compute) -> Interpreter:
    """x -> first(x) on a and second(x) on b, then first of the latter on a; all three behind each other."""
    one = segment([VECTOR], [VECTOR])
    stations = [
        station((one, compute), name=name, queue=queue)[0]
        for name, compute, queue in zip("ab", (first, second), queues, strict=True)
    ]
    instructions = (
        Execute(0, 0, (0,), (), (), NONE, (1,)),
        Execute(1, 0, (0,), (), (), NONE, (2,)),
        Transfer(2, 0, 3),
        Execute(0, 0, (3,), (), (), NONE, (4,)),
        Concat((1, 2, 4), 0, (6,), (), 5, ""),
    )
    return Interpreter(HostProgram("main", 6, (Block((0,), instructions, (5,)),)), stations, np.zeros(0, np.uint8))


def test_devices_work_at_the_same_time_and_wait_for_what_they_need(queues: tuple[Queue, Queue]) -> None:
    both = threading.Barrier(2, timeout=10)
    calls: list[int] = []

    def double(inputs: Any, _: Any) -> Any:
        if not len(calls) % 2:
            both.wait()  # passes only if the other device is at work too
        calls.append(1)
        return [2 * inputs[0]]

    def triple(inputs: Any, _: Any) -> Any:
        both.wait()
        return [3 * inputs[0]]

    program = two_devices(queues, double, triple)
    for scale in (1, 5):
        np.testing.assert_array_equal(program.run([scale * ONES])[0], scale * np.array([2, 2, 3, 3, 6, 6], np.float32))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DeviceError("burnt"), DeviceError, "device b: burnt"),
        (DeviceLostError("gone"), DeviceLostError, "device b: gone"),
        (MemoryError(), DeviceLostError, "device b: out of memory"),
    ],
)
def test_a_failing_device_is_named_and_the_program_runs_again(
    queues: tuple[Queue, Queue], error: Exception, kind: type[DeviceError], message: str
) -> None:
    fails = [True]

    def compute(inputs: Any, _: Any) -> Any:
        if fails[0]:
            raise error
        return [inputs[0]]

    program = two_devices(queues, lambda inputs, _: [inputs[0]], compute)
    with pytest.raises(kind, match=message) as caught:
        program.run([ONES])
    assert not isinstance(caught.value, DeviceLostError) or caught.value.device == "b"
    fails[0] = False
    np.testing.assert_array_equal(program.run([ONES])[0], np.ones(6))


def test_a_loop_may_run_on_two_devices(queues: tuple[Queue, Queue]) -> None:
    one = segment([VECTOR], [VECTOR])
    stations = [
        station((one, lambda inputs, _: [inputs[0] + 1]), name=n, queue=q)[0] for n, q in zip("ab", queues, strict=True)
    ]
    body = Block((5, 6), (Execute(0, 0, (6,), (), (), NONE, (7,)), Execute(1, 0, (7,), (), (), NONE, (8,))), (8,))
    main = Block(
        (0,),
        (Number("index", 0, 1), Number("index", 10, 2), Number("index", 1, 3), For(1, 2, 3, (0,), 1, (4,), "")),
        (4,),
    )
    program = Interpreter(HostProgram("main", 9, (main, body)), stations, np.zeros(0, np.uint8))
    np.testing.assert_array_equal(program.run([ONES])[0], [21, 21])


def test_a_queue_works_in_order_and_ends() -> None:
    queue, done = Queue("x"), []
    events = [queue.submit(lambda i=i: done.append(i)) for i in range(100)]
    queue.close()
    assert done == list(range(100))
    for event in events:
        event.wait()
    with pytest.raises(DeviceError, match="closed"):
        queue.submit(lambda: None)
    queue.close()


def test_an_error_reaches_what_waits_for_it() -> None:
    first, second, done = Queue("x"), Queue("y"), []

    def fail() -> None:
        raise DeviceError("no")

    event = second.submit(lambda: done.append(1), [first.submit(fail)])
    with pytest.raises(DeviceError, match="no"):
        event.wait()
    assert done == []
    first.close()
    second.close()


def test_a_queue_keeps_nothing_of_what_it_did() -> None:
    class Big: ...

    big = Big()
    alive, queue = weakref.ref(big), Queue("x")
    queue.submit(lambda big=big: None).wait()
    del big
    queue.submit(lambda: None).wait()
    gc.collect()
    assert alive() is None
    queue.close()


def test_a_forked_child_has_a_thread_of_its_own() -> None:
    queue = Queue("x")
    queue.submit(lambda: None).wait()
    child = os.fork()
    if child == 0:
        done: list[int] = []
        queue.submit(lambda: done.append(1)).wait()
        os._exit(0 if done == [1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    queue.close()


def test_a_run_can_be_interrupted_and_the_program_runs_again(queues: tuple[Queue, Queue]) -> None:
    """Ctrl-C while a device works: what it was given ends before the call does."""
    begun, ended = threading.Event(), []

    def slow(inputs: Any, _: Any) -> Any:
        begun.set()
        time.sleep(0.3)
        ended.append(1)
        return [inputs[0]]

    def interrupt() -> None:
        begun.wait()
        _thread.interrupt_main()

    program = two_devices(queues, lambda inputs, _: [inputs[0]], slow)
    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        program.run([ONES])
    helper.join()
    assert ended == [1]
    np.testing.assert_array_equal(program.run([2 * ONES])[0], np.full(6, 2))
