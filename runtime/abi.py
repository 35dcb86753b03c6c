"""The calling convention between the runtime and the machine code of an image.

Three kinds of entry, all with the platform's C calling convention:

    void run(Call *call, int64_t thread)
        Every thread of a call executes all steps, its own share of each, with a barrier after each step that another
        depends on and after the last.
    void invoke(Pool *pool, void (*run)(Call *, int64_t), Call *call)
        Publishes the call to the pool's workers, wakes those asleep, runs as thread 0 and returns when all are done.
        With call.threads == 1 it is a plain call of `run` and the pool is not touched.
    void worker(Pool *pool, int64_t thread)
        The life of one worker: spins briefly on `generation`, then sleeps in futex(2) on it; executes each published
        call; returns once `stop` is set. `thread` is 1 for the first worker, as `invoke`'s caller is thread 0.

The structures are declared once, here; code generation takes field offsets from the ctypes descriptors, such as
`Call.arena.offset`.
"""

from __future__ import annotations

import ctypes

CACHE_LINE = 64

INVOKE = "invoke"
WORKER = "worker"


def run_entry(segment: str) -> str:
    """The name under which an image lists the `run` function of a segment."""
    return f"run:{segment}"


class Call(ctypes.Structure):
    """One execution of a segment. All pointers stay valid until `invoke` returns.

    inputs, outputs: arrays of pointers to exact-size, dense buffers in the segment's order, aligned to an element.
    arena, constants: 64-byte aligned, each followed by 64 readable bytes.
    scratch: `threads` areas of `scratch_stride` bytes; thread t owns the one at scratch + t * scratch_stride.
    trace: null, or uint64_t[steps][threads][2] that receives the time stamp counter at each step's begin and end.
    barrier: a zero-initialised `Barrier` that only calls of this program use.
    table: int64_t[] with the sizes and scalars of the call (see `artifact.Segment`); may be null where there are none.
    """

    _fields_ = (
        ("inputs", ctypes.c_void_p),
        ("outputs", ctypes.c_void_p),
        ("arena", ctypes.c_void_p),
        ("constants", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
        ("scratch_stride", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("trace", ctypes.c_void_p),
        ("barrier", ctypes.c_void_p),
        ("table", ctypes.c_void_p),
    )


class Barrier(ctypes.Structure):
    """A central barrier: the last of `threads` arrivals resets `arrived` and advances `phase`, on which others spin.

    Two cache lines, because arriving threads write the one while waiting threads read the other.
    """

    _fields_ = (
        ("arrived", ctypes.c_int32),
        ("_arrived_line", ctypes.c_char * (CACHE_LINE - 4)),
        ("phase", ctypes.c_int32),
        ("_phase_line", ctypes.c_char * (CACHE_LINE - 4)),
    )


class Pool(ctypes.Structure):
    """The state that the workers of a program share. Zero-initialised, 64-byte aligned.

    generation: futex word; `invoke` increments it after it has written `function` and `call`.
    sleeping: number of workers inside futex(2), so that a call whose workers all spin needs no system call.
    stop: workers return when they see it. Set by the runtime, which then increments and wakes `generation`.
    """

    _fields_ = (
        ("generation", ctypes.c_int32),
        ("_generation_line", ctypes.c_char * (CACHE_LINE - 4)),
        ("sleeping", ctypes.c_int32),
        ("stop", ctypes.c_int32),
        ("function", ctypes.c_void_p),
        ("call", ctypes.c_void_p),
        ("_state_line", ctypes.c_char * (CACHE_LINE - 24)),
    )


def ptx_entry(kernel: str) -> str:
    """The `.entry` of a step's kernel in the PTX of a CUDA device.

    Its parameters are 64 bits each: the addresses of the step's buffers, its scalars and sizes, the address of the
    scratch memory of all threads, and the bytes of it that each thread has. Any grid in x alone is right, as kernels
    divide their work by the threads there are.
    """
    return f"launch_{kernel}"
