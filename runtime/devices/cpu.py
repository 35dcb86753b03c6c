"""The CPU this process runs on: machine code mapped from the artifact, called once per inference."""

from __future__ import annotations

import atexit
import ctypes
import itertools
import mmap
import os
import platform
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .. import abi
from ..arrays import address_of, aligned_empty
from ..artifact import ALIGNMENT, SLACK, Image, Segment, TensorType
from ..cpu_features import host_features, host_name
from ..device import Array, Constants, DeviceSpec
from ..errors import DeviceError
from .clock import Clock
from .memory import Memory, map_code
from .workers import Workers

_INVOKE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)

_executables: weakref.WeakSet[CpuExecutable] = weakref.WeakSet()


def open_device(spec: DeviceSpec) -> CpuDevice:
    """The host's CPU, with `spec.threads` threads per program or one for each processor this process may use."""
    return CpuDevice(spec.threads or len(os.sched_getaffinity(0)))


class CpuDevice:
    """The host's CPU. Every program it loads has `threads` - 1 workers of its own; the caller is the first thread."""

    memory = "host"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def lacks(self, image: Image) -> str | None:
        missing = sorted(set(image.features) - host_features())
        if image.features and image.features[0] in missing:
            return f"{image.target} is code for {image.features[0]}, and this machine is {platform.machine()}"
        return f"{image.target} needs {', '.join(missing)}, which this CPU ({host_name()}) lacks" if missing else None

    def load(self, image: Image, constants: Constants) -> CpuExecutable:
        """Map the image. Raises DeviceError where the system forbids it, DeviceLostError where memory is short."""
        return CpuExecutable(image, constants, self.threads)


class CpuExecutable:
    """One image with its memory and its workers. Calls share both: hold `lock` around each."""

    def __init__(self, image: Image, constants: Constants, threads: int) -> None:
        self.target = image.target
        self.threads = threads
        self.lock = threading.Lock()
        self.clock: Clock | None = None
        self._workers: Workers | None = None
        self._entries = image.entries
        self._constants = _resident(constants)
        self._code = map_code(image.code)
        self._calls: weakref.WeakSet[CpuSegment] = weakref.WeakSet()

        scratch = max((segment.scratch_bytes for segment in image.segments), default=0)
        sizes = (ctypes.sizeof(abi.Pool), ctypes.sizeof(abi.Barrier), scratch * threads)
        starts = [0, *itertools.accumulate(_round_up(size) for size in sizes)]
        self._memory = Memory(starts[-1])
        self._synchronisation = slice(0, starts[2])
        self.pool, self._barrier, self._scratch = (self._memory.address + start for start in starts[:-1])
        self.arena = Memory(max((segment.arena_bytes for segment in image.segments), default=0) + SLACK)

        self._start()
        _executables.add(self)

    def _start(self) -> None:
        self._workers = Workers(self.entry(abi.WORKER), self.pool, self.threads - 1)
        self.invoke: Callable[[int, int, int], None] = _INVOKE(self.entry(abi.INVOKE))

    def entry(self, name: str) -> int:
        """The address of one of the image's entries."""
        return self._code.address + self._entries[name]

    def bind(self, segment: Segment) -> CpuSegment:
        bound = CpuSegment(self, segment)
        self._calls.add(bound)
        return bound

    def call(self, segment: Segment) -> abi.Call:
        """A call that runs `segment`, with everything set but what differs from call to call."""
        return abi.Call(
            arena=self.arena.address,
            constants=self._constants.ctypes.data,
            scratch=self._scratch,
            scratch_stride=segment.scratch_bytes,
            threads=self.threads,
            barrier=self._barrier,
        )

    def grow_arena(self, size: int) -> None:
        """Have `size` bytes of arena from now on. Raises DeviceLostError where there is not that much memory."""
        if self._workers is None:
            _refuse_call(0, 0, 0)
        arena = Memory(_round_up(size) + SLACK)
        self.arena.close()
        self.arena = arena
        for call in self._calls:
            call.move_arena(arena.address)

    def close(self) -> None:
        """Stop the workers and unmap the code, after the call that is under way. Later calls raise DeviceError."""
        with self.lock:
            if self._workers is None:
                return
            self.invoke = _refuse_call
            self._workers.stop()
            self._workers = None
            self._code.close()
            self._memory.close()
            self.arena.close()

    def prepare_forked_child(self) -> None:
        """A child has none of its parent's threads, and perhaps a lock or barrier caught half way."""
        if self._workers is None:
            return
        self.lock = threading.Lock()
        self._memory.mapping[self._synchronisation] = bytes(self._synchronisation.stop)
        self._workers.forget()
        self.invoke = self._start_and_invoke

    def _start_and_invoke(self, pool: int, run: int, call: int) -> None:
        """The first call in a forked child, which pays for the threads only if it runs the program."""
        self._start()
        self.invoke(pool, run, call)

    def __del__(self) -> None:
        if hasattr(self, "arena"):
            self.close()


class CpuSegment:
    """One segment of a loaded image; see `device.DirectSegment`."""

    def __init__(self, executable: CpuExecutable, segment: Segment) -> None:
        self.segment = segment
        self._executable = executable
        self._run = executable.entry(abi.run_entry(segment.name))
        self._inputs = (ctypes.c_void_p * len(segment.inputs))()
        self._outputs = (ctypes.c_void_p * len(segment.outputs))()
        self._call = executable.call(segment)
        self._call.inputs = ctypes.addressof(self._inputs)
        self._call.outputs = ctypes.addressof(self._outputs)
        self._call_address = ctypes.addressof(self._call)

    @cached_property
    def staging_inputs(self) -> tuple[Array, ...]:
        return tuple(map(_staging, self.segment.inputs))

    @cached_property
    def staging_outputs(self) -> tuple[Array, ...]:
        return tuple(map(_staging, self.segment.outputs))

    def move_arena(self, address: int) -> None:
        self._call.arena = address

    def invoke_at(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self._inputs[:] = inputs
        self._outputs[:] = outputs
        executable = self._executable
        executable.invoke(executable.pool, self._run, self._call_address)

    def prepare(self, inputs: Sequence[int], outputs: Sequence[int]) -> Callable[[], None]:
        executable = self._executable
        bound = executable.bind(self.segment)  # a structure of its own, in which the addresses stay
        bound._inputs[:] = inputs
        bound._outputs[:] = outputs
        run, call = bound._run, bound._call_address

        def invoke(bound: CpuSegment = bound) -> None:  # holds the structure as long as it may be called
            executable.invoke(executable.pool, run, call)

        return invoke

    def invoke(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        executable = self._executable
        if arena_bytes > executable.arena.size - SLACK:
            executable.grow_arena(arena_bytes)
        if table is not None:
            self._call.table = address_of(table)
        self.invoke_at(list(map(address_of, inputs)), list(map(address_of, outputs)))

    def trace(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> npt.NDArray[np.float64]:
        executable = self._executable
        ticks = np.zeros((len(self.segment.steps), executable.threads, 2), np.uint64)

        def run() -> int:
            self.invoke(inputs, outputs, table, arena_bytes)
            return int(ticks.max(initial=0))

        self._call.trace = ticks.ctypes.data
        try:
            if executable.clock is None and ticks.size:
                executable.clock = Clock(run)
            run()
        finally:
            self._call.trace = None
        return ticks.astype(np.float64) if executable.clock is None else executable.clock.seconds(ticks)


def _staging(type: TensorType) -> Array:
    """Memory for a tensor of a known size; the others are never copied to it."""
    shape = tuple(size or 0 for size in type.shape)
    return aligned_empty(shape if type.dynamic_dims == 0 else (0,), type.numpy_dtype)[0]


def _refuse_call(pool: int, run: int, call: int) -> None:
    raise DeviceError("the program is closed")


def _resident(constants: bytes | bytearray | memoryview) -> npt.NDArray[np.uint8]:
    """The constants where machine code may read them: in the artifact's mapping, else in an aligned copy with slack."""
    view = np.frombuffer(constants, np.uint8) if len(constants) else np.zeros(0, np.uint8)
    if isinstance(constants, memoryview) and isinstance(constants.obj, mmap.mmap):
        return view
    copy, _ = aligned_empty((view.size + SLACK,), np.dtype(np.uint8))
    copy[: view.size] = view
    copy[view.size :] = 0
    return copy


def _round_up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _close_all() -> None:
    """At exit: a worker must not find its pool unmapped by the interpreter's clean-up."""
    for executable in list(_executables):
        executable.close()


def _prepare_forked_child() -> None:
    for executable in list(_executables):
        executable.prepare_forked_child()


host_features()  # known from now on: every load asks
atexit.register(_close_all)
os.register_at_fork(after_in_child=_prepare_forked_child)
