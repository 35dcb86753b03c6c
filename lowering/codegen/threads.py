"""The threads of a program: how a call reaches the parked workers, and how they wait for each other.

`invoke`, `worker` and the barrier, as `runtime.abi` specifies them. Waiting spins first, since steps and inferences
follow each other within microseconds; then it gives the processor away, by futex(2) between calls and by
sched_yield(2) inside of one, where the wait is bounded by the work of the others.
"""

from __future__ import annotations

from ctypes import Structure

from ...runtime.abi import INVOKE, WORKER, Barrier, Call, Pool
from ..target import Target
from .arithmetic import i64
from .emit import OUTLINED, Function
from .system import pause, system_call, system_module, ticks, ticks_per
from .types import I32, I64, PTR, Value

BARRIER, TIME_STAMP = "barrier", "time_stamp"

_WAIT_PRIVATE, _WAKE_PRIVATE, _EVERYONE = 128, 129, 0x7FFFFFFF
"""futex(2): operations on a word that only this process uses."""

_BARRIER_SPINS = 4096
"""Looks at the phase, each with a pause, before a thread yields: some 0.1 ms, more than steps differ by."""

_WORKER_SPINS = 10_000
"""What part of a second a worker spins for after a call: 0.1 ms, longer than a caller needs between two inferences."""


def emit_threads(target: Target) -> str:
    """LLVM functions `invoke`, `worker`, `barrier` and `time_stamp`.

    Raises UnsupportedError where `system` knows no Linux.
    """
    functions = (_barrier, _invoke, _worker, _time_stamp)
    return "\n".join([system_module(target), *(function(target) for function in functions)])


def field(f: Function, structure: Value, layout: type[Structure], name: str) -> Value:
    """The address of a field of a structure of the runtime."""
    return f.gep(structure, getattr(layout, name).offset)


def _atomic_load(f: Function, pointer: Value, ordering: str) -> Value:
    return f.emit(I32, f"load atomic i32, ptr {pointer.text} {ordering}, align 4")


def _atomic_store(f: Function, value: Value, pointer: Value, ordering: str) -> None:
    f.line(f"store atomic i32 {value.text}, ptr {pointer.text} {ordering}, align 4")


def _atomic_add(f: Function, pointer: Value, amount: int, ordering: str) -> Value:
    """Returns what was there before."""
    return f.emit(I32, f"atomicrmw add ptr {pointer.text}, i32 {amount} {ordering}")


def _barrier(target: Target) -> str:
    """barrier(barrier, threads): returns once all have called it; what each did before, all see afterwards."""
    f = Function(BARRIER, [(PTR, "barrier"), (I32, "threads")], linkage="internal", attributes=OUTLINED)
    barrier, threads = f.arguments
    arrived, phase = field(f, barrier, Barrier, "arrived"), field(f, barrier, Barrier, "phase")
    # Read before arriving: afterwards the last one may have moved it on already.
    current = _atomic_load(f, phase, "monotonic")
    before = _atomic_add(f, arrived, 1, "acq_rel")
    last, wait = f.label("last"), f.label("wait")
    f.branch_if(f.icmp("eq", f.add(before, f.const(I32, 1)), threads), last, wait)
    f.place(last)
    _atomic_store(f, f.const(I32, 0), arrived, "monotonic")
    _atomic_store(f, f.add(current, f.const(I32, 1)), phase, "release")
    f.ret()

    f.place(wait)
    spin, rest, yield_, done = f.label("spin"), f.label("rest"), f.label("yield"), f.label("done")
    f.branch(spin)
    f.place(spin)
    spins = f.phi(I32, {wait: f.const(I32, 0), rest: None, yield_: f.const(I32, _BARRIER_SPINS)})
    following = f.add(spins.value, f.const(I32, 1))
    look = f.label("look")
    f.branch_if(f.icmp("ne", _atomic_load(f, phase, "acquire"), current), done, look)
    f.place(look)
    f.branch_if(f.icmp("ult", following, f.const(I32, _BARRIER_SPINS)), rest, yield_)
    f.place(rest)
    spins.set(rest, following)
    pause(f, target)
    f.branch(spin)
    f.place(yield_)
    system_call(f, target, "sched_yield")
    f.branch(spin)
    f.place(done)
    return f.text()


def _invoke(target: Target) -> str:
    f = Function(INVOKE, [(PTR, "pool"), (PTR, "function"), (PTR, "call")], linkage="hidden")
    pool, function, call = f.arguments
    threads = f.load(I64, field(f, call, Call, "threads"))
    with f.if_(f.icmp("ne", threads, i64(1))):
        f.store(function, field(f, pool, Pool, "function"))
        f.store(call, field(f, pool, Pool, "call"))
        generation = field(f, pool, Pool, "generation")
        # Sequentially consistent with a worker's count of itself as sleeping: either it sees the new generation, or
        # this sees that it sleeps.
        _atomic_add(f, generation, 1, "seq_cst")
        sleeping = _atomic_load(f, field(f, pool, Pool, "sleeping"), "seq_cst")
        with f.if_(f.icmp("ne", sleeping, f.const(I32, 0))):
            system_call(f, target, "futex", (generation, i64(_WAKE_PRIVATE), i64(_EVERYONE), i64(0)))
    f.line(f"call void {function.text}(ptr {call.text}, i64 0)")
    return f.text()


def _worker(target: Target) -> str:
    f = Function(WORKER, [(PTR, "pool"), (I64, "thread")], linkage="hidden")
    pool, thread = f.arguments
    generation, sleeping = field(f, pool, Pool, "generation"), field(f, pool, Pool, "sleeping")
    idle, spin, rest, look, sleep, wake, run, done = (
        f.label(hint) for hint in ("idle", "spin", "rest", "look", "sleep", "wake", "run", "done")
    )
    zero = f.const(I32, 0)
    patience = ticks_per(f, target, _WORKER_SPINS)
    f.branch(idle)
    f.place(idle)
    seen = f.phi(I32, {"entry": zero, sleep: None, run: None})
    began = ticks(f, target)
    f.branch(spin)

    f.place(spin)
    now = _atomic_load(f, generation, "acquire")
    f.branch_if(f.icmp("ne", now, seen.value), wake, look)
    f.place(look)
    f.branch_if(f.icmp("ult", f.sub(ticks(f, target), began), patience), rest, sleep)
    f.place(rest)
    pause(f, target)
    f.branch(spin)

    f.place(sleep)
    seen.set(sleep, seen.value)
    _atomic_add(f, sleeping, 1, "seq_cst")
    expected = f.cast("zext", seen.value, I64)
    system_call(f, target, "futex", (generation, i64(_WAIT_PRIVATE), expected, i64(0)))
    _atomic_add(f, sleeping, -1, "seq_cst")
    f.branch(idle)

    f.place(wake)
    stop = _atomic_load(f, field(f, pool, Pool, "stop"), "acquire")
    f.branch_if(f.icmp("eq", stop, zero), run, done)
    f.place(run)
    seen.set(run, now)
    function = f.load(PTR, field(f, pool, Pool, "function"))
    call = f.load(PTR, field(f, pool, Pool, "call"))
    f.line(f"call void {function.text}(ptr {call.text}, i64 {thread.text})")
    f.branch(idle)
    f.place(done)
    return f.text()


def _time_stamp(target: Target) -> str:
    f = Function(TIME_STAMP, [], result=I64)
    f.ret(ticks(f, target))
    return f.text()
