"""The CPU this process runs on: machine code mapped from the artifact, called once per inference."""

from __future__ import annotations

import atexit
import ctypes
import itertools
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .. import abi
from ..arrays import aligned_empty
from ..artifact import ALIGNMENT, SLACK, Artifact, Image, Plan, Signature
from ..cpu_features import host_features, host_name
from ..device import DeviceSpec
from ..errors import DeviceError
from .memory import Memory, map_code
from .workers import Workers

_INVOKE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)

_executables: weakref.WeakSet[CpuExecutable] = weakref.WeakSet()


def open_device(spec: DeviceSpec) -> CpuDevice:
    """The host's CPU, with `spec.threads` threads per program or one for each processor this process may use."""
    return CpuDevice(spec.threads or len(os.sched_getaffinity(0)))


def choose_image(images: Sequence[Image], features: frozenset[str]) -> Image:
    """The first, best image that needs nothing but `features`. Raises DeviceError naming what each lacks."""
    for image in images:
        if features.issuperset(image.features):
            return image
    lacking = "; ".join(f"{i.target} needs {', '.join(sorted(set(i.features) - features))}" for i in images)
    raise DeviceError(f"this CPU ({host_name()}) cannot run the artifact: {lacking or 'it holds no machine code'}")


class CpuDevice:
    """The host's CPU. Every program it loads has `threads` - 1 workers of its own; the caller is the first thread."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def load(self, artifact: Artifact) -> CpuExecutable:
        """Map the best image. Raises DeviceError if the CPU lacks what all images need, or memory is short."""
        return CpuExecutable(artifact, choose_image(artifact.images, host_features()), self.threads)


class CpuExecutable:
    """One image with its memory and its workers. Calls share both: hold `lock` around each."""

    def __init__(self, artifact: Artifact, image: Image, threads: int) -> None:
        self.target = image.target
        self.plan = image.plan
        self.threads = threads
        self.lock = threading.Lock()
        self._workers: Workers | None = None
        self._entries = image.entries
        self._constants = _resident(artifact.constants)
        self._code = map_code(image.code)

        scratch = max(plan.scratch_bytes for plan in image.plans)
        arena = max(plan.arena_bytes for plan in image.plans)
        sizes = (ctypes.sizeof(abi.Pool), ctypes.sizeof(abi.Barrier), scratch * threads, arena + SLACK)
        starts = [0, *itertools.accumulate(_round_up(size) for size in sizes)]
        self._memory = Memory(starts[-1])
        self._synchronisation = slice(0, starts[2])
        self.pool, self._barrier, self._scratch, self._arena = (self._memory.address + s for s in starts[:-1])

        self._start()
        _executables.add(self)

    def _start(self) -> None:
        self._workers = Workers(self.entry(abi.WORKER), self.pool, self.threads - 1)
        self.invoke: Callable[[int, int, int], None] = _INVOKE(self.entry(abi.INVOKE))

    def entry(self, name: str) -> int:
        """The address of one of the image's entries."""
        return self._code.address + self._entries[name]

    def bind(self, signature: Signature) -> CpuSignature:
        return CpuSignature(self, signature)

    def call(self, plan: Plan) -> abi.Call:
        """A call that runs `plan`, with everything set but the inputs and outputs."""
        return abi.Call(
            arena=self._arena,
            constants=self._constants.ctypes.data,
            scratch=self._scratch,
            scratch_stride=plan.scratch_bytes,
            threads=self.threads,
            barrier=self._barrier,
        )

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
        if hasattr(self, "_memory"):
            self.close()


class CpuSignature:
    """One signature of a loaded image; see `device.BoundSignature`."""

    def __init__(self, executable: CpuExecutable, signature: Signature) -> None:
        self.signature = signature
        self.plan = executable.plan(signature.name)
        self.staging_inputs = tuple(aligned_empty(t.shape, t.numpy_dtype)[0] for t in signature.inputs)
        self.staging_outputs = tuple(aligned_empty(t.shape, t.numpy_dtype)[0] for t in signature.outputs)
        self._executable = executable
        self._run = executable.entry(abi.run_entry(signature.name))
        self._inputs = (ctypes.c_void_p * len(signature.inputs))()
        self._outputs = (ctypes.c_void_p * len(signature.outputs))()
        self._call = executable.call(self.plan)
        self._call.inputs = ctypes.addressof(self._inputs)
        self._call.outputs = ctypes.addressof(self._outputs)
        self._call_address = ctypes.addressof(self._call)

    def invoke(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self._inputs[:] = inputs
        self._outputs[:] = outputs
        executable = self._executable
        executable.invoke(executable.pool, self._run, self._call_address)

    def trace(self, inputs: Sequence[int], outputs: Sequence[int]) -> npt.NDArray[np.uint64]:
        ticks = np.zeros((len(self.plan.steps), self._executable.threads, 2), np.uint64)
        self._call.trace = ticks.ctypes.data
        try:
            self.invoke(inputs, outputs)
        finally:
            self._call.trace = None
        return ticks


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


atexit.register(_close_all)
os.register_at_fork(after_in_child=_prepare_forked_child)
