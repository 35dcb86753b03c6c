"""Entry points under real threads: every step sees the steps before it, no call is lost, none hangs."""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.codegen.entry import barriers_before, emit_entries
from tosaic.lowering.codegen.kernel import Kernel
from tosaic.lowering.target import resolve_target
from tosaic.runtime.abi import INVOKE, WORKER, Barrier, Call, Pool, run_entry
from tosaic.runtime.artifact import BufferReference, Segment, Step, TensorType

from .harness import Array, Code, Guarded

SIZE = 256
NBYTES = 4 * SIZE


def kernel(name: str, mirrored: bool) -> Kernel:
    """out[i] = in[i] + 1, or from the other end, so that every thread reads what another wrote."""
    parameters = [("ptr", "a"), ("ptr", "b"), ("ptr", "scratch"), ("i64", "thread"), ("i64", "threads")]
    f = Function(name, parameters, linkage="hidden")
    a, b, scratch, thread, threads = f.arguments
    f.store(thread, scratch)  # each thread has its own
    with f.loop(thread, SIZE, threads) as loop:
        index = f.sub(f.const("i64", SIZE - 1), loop.index) if mirrored else loop.index
        value = f.load("i32", f.element_pointer(a, "i32", index))
        f.store(f.add(value, f.const("i32", 1)), f.element_pointer(b, "i32", loop.index))
    return Kernel(f.text(), 64, 1, 1)


KERNELS = {"forwards": kernel("forwards", False), "backwards": kernel("backwards", True)}


def buffer(space: str, offset: int = 0) -> BufferReference:
    return BufferReference(space, 0, offset, NBYTES)  # pyright: ignore[reportArgumentType]


def chain(name: str, length: int) -> Segment:
    """`length` steps of + 1 from the input to the output through two alternating places in the arena."""
    places = [buffer("input"), *(buffer("arena", NBYTES * (i % 2)) for i in range(length - 1)), buffer("output")]
    steps = tuple(
        Step(("backwards", "forwards")[i % 2], (a, b), SIZE, 2 * NBYTES, "")
        for i, (a, b) in enumerate(itertools.pairwise(places))
    )
    types = (TensorType("int32", (SIZE,)),)
    return Segment(name, types, types, 0, steps, 2 * NBYTES, 64)


LENGTH = 7
SEGMENTS = (chain("main", LENGTH), chain('a "strange" näme', 1))


@pytest.fixture(scope="module")
def code() -> tuple[Code, dict[str, str]]:
    target = resolve_target("x86-64-v2")
    entry, entries = emit_entries(SEGMENTS, KERNELS, target)
    return Code(entry, *(kernel.text for kernel in KERNELS.values()), target=target), entries


class Program:
    """The image's entries with a pool of native threads, as the runtime has them."""

    def __init__(self, code: Code, entries: dict[str, str], threads: int) -> None:
        self.code, self.entries, self.threads = code, entries, threads
        self.pool = Guarded(np.zeros(ctypes.sizeof(Pool), np.uint8))
        self.barrier = Guarded(np.zeros(ctypes.sizeof(Barrier), np.uint8))
        self.scratch = Guarded(np.zeros(64 * threads, np.uint8))
        self.arena = Guarded(np.zeros(2 * NBYTES, np.uint8))
        self.invoke = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(code.address(entries[INVOKE]))

    def run(self, signature: str, x: Array, trace: Array | None = None) -> Array:
        source, result = Guarded(x), Guarded(np.zeros_like(x))
        inputs, outputs = (ctypes.c_void_p * 1)(source.address), (ctypes.c_void_p * 1)(result.address)
        call = Call(
            inputs=ctypes.addressof(inputs),
            outputs=ctypes.addressof(outputs),
            arena=self.arena.address,
            constants=None,
            scratch=self.scratch.address,
            scratch_stride=64,
            threads=self.threads,
            trace=None if trace is None else trace.ctypes.data,
            barrier=self.barrier.address,
        )
        self.invoke(self.pool.address, self.code.address(self.entries[run_entry(signature)]), ctypes.addressof(call))
        return result.array.copy()


@contextmanager
def program(code: tuple[Code, dict[str, str]], threads: int) -> Iterator[Program]:
    program = Program(*code, threads)
    worker = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code[0].address(code[1][WORKER]))
    workers = [threading.Thread(target=worker, args=(program.pool.address, i)) for i in range(1, threads)]
    for thread in workers:
        thread.start()
    yield program
    pool = Pool.from_address(program.pool.address)
    pool.stop = 1
    pool.generation += 1
    ctypes.CDLL(None).syscall(ctypes.c_long(202), ctypes.c_void_p(program.pool.address), 129, 0x7FFFFFFF)
    for thread in workers:
        thread.join(10)
        assert not thread.is_alive(), "a worker did not stop"


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.timeout(60)
def test_thousands_of_calls_give_the_right_result(code: tuple[Code, dict[str, str]], threads: int) -> None:
    rng = np.random.default_rng(threads)
    x = rng.integers(-1000, 1000, SIZE, dtype=np.int32)
    expected = x + LENGTH  # reversed an even number of times
    # More threads than processors take turns, which is slow but must be right.
    calls = {1: 3000, 2: 3000, 4: 200}[threads]
    with program(code, threads) as loaded:
        for _ in range(calls):
            np.testing.assert_array_equal(loaded.run("main", x), expected)


@pytest.mark.timeout(60)
def test_a_call_wakes_workers_that_sleep(code: tuple[Code, dict[str, str]]) -> None:
    x = np.arange(SIZE, dtype=np.int32)
    with program(code, 3) as loaded:
        pool = Pool.from_address(loaded.pool.address)
        for _ in range(5):
            deadline = time.monotonic() + 10
            while pool.sleeping < 2 and time.monotonic() < deadline:
                time.sleep(0.001)
            assert pool.sleeping == 2, "idle workers must sleep"
            np.testing.assert_array_equal(loaded.run('a "strange" näme', x), x[::-1] + 1)


def test_trace_holds_ordered_times_of_every_step_and_thread(code: tuple[Code, dict[str, str]]) -> None:
    trace = np.zeros((LENGTH, 2, 2), np.uint64)
    with program(code, 2) as loaded:
        loaded.run("main", np.zeros(SIZE, np.int32), trace)
    assert (trace > 0).all()
    assert (trace[:, :, 1] >= trace[:, :, 0]).all()
    # A step begins on any thread only after the step before ended on all: the barrier held.
    assert (trace[1:, :, 0].min(1) >= trace[:-1, :, 1].max(1)).all()


def test_without_threads_the_pool_is_not_touched(code: tuple[Code, dict[str, str]]) -> None:
    loaded = Program(*code, 1)
    loaded.run("main", np.zeros(SIZE, np.int32))
    assert not loaded.pool.array.any()
    assert not loaded.barrier.array.any()


RESULTS = {"forwards": 1, "backwards": 1}


def steps(*pairs: tuple[BufferReference, BufferReference]) -> list[Step]:
    return [Step("forwards", pair, 0, 0, "") for pair in pairs]


def test_independent_steps_need_no_barrier() -> None:
    x, y = buffer("input"), buffer("output")
    a, b, c = (buffer("arena", NBYTES * i) for i in range(3))
    assert barriers_before(steps((x, a), (x, b), (x, c)), RESULTS) == set()
    assert barriers_before(steps((x, a), (x, b), (a, c), (b, y)), RESULTS) == {2}, "one barrier serves both reads"
    assert barriers_before(steps((x, a), (a, b), (x, a)), RESULTS) == {1, 2}, "overwrites what is being read"
    assert barriers_before(steps((x, a), (x, buffer("arena", NBYTES // 2))), RESULTS) == {1}, "writes overlap"
    assert barriers_before(steps((a, y), (b, y)), RESULTS) == {1}, "outputs are written in order"
