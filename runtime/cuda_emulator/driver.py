"""The driver of emulated GPUs; see `cuda.driver`.

Work on a stream waits until somebody synchronises it, so that a host which reads too early, or overwrites what is still
to be copied, finds it out. Device memory is the GPU's own: an address of the host in a kernel is an access outside of
memory. It is filled with ones when it is taken, NaN in every float, for those who read before they write.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import aligned_empty
from ..artifact import TensorMap
from ..cuda.driver import Launch
from ..errors import DeviceError, DeviceLostError
from .launch import LoadedModule
from .memory import GlobalMemory
from .parser import parse
from .program import Grid
from .tensor_map import encode

MULTIPROCESSORS = 4
_RESIDENT_BLOCKS = 2
"""What the emulated GPU says of itself: little, so that grids that fill it are small."""

MOST_GPUS = 16

_ALIGNMENT = 256

Work = Callable[[], None]


@dataclass(eq=False)
class _Stream:
    """What is to be done, in order. captured: where work goes instead while a graph is recorded."""

    waiting: list[Work] = field(default_factory=list)
    captured: list[Work] | None = None

    def put(self, work: Work) -> None:
        (self.waiting if self.captured is None else self.captured).append(work)


@dataclass(eq=False)
class _Event:
    seconds: float | None = None


@dataclass(eq=False)
class _Function:
    module: LoadedModule
    name: str


class EmulatedGpu:
    """See `cuda.driver.Gpu`.

    memory_limit, used: bytes of device memory. calls: how often each function was called. is_lost: whether every call
    fails from now on.
    """

    def __init__(self, number: int = 0, memory_limit: int = 1 << 40) -> None:
        self.number = number
        self.name = "emulated GPU"
        self.capability: tuple[int, int] | None = None
        self.multiprocessors = MULTIPROCESSORS
        self.driver: str | None = None
        self.memory_limit = memory_limit
        self.is_lost = False
        self.calls: dict[str, int] = {}
        self._memory = GlobalMemory()
        self.used = 0
        self._sizes: dict[int, int] = {}
        self._free: dict[int, list[int]] = {}
        self._host: dict[int, np.ndarray] = {}

    def _enter(self, call: str) -> None:
        """What each call begins with. Raises DeviceLostError once the GPU was lost."""
        self.calls[call] = self.calls.get(call, 0) + 1
        if self.is_lost:
            raise DeviceLostError(f"GPU {self.number} was lost")

    def enter(self) -> None:
        if self.is_lost:
            raise DeviceLostError(f"GPU {self.number} was lost")

    # -- memory

    def allocate(self, size: int, stream: _Stream) -> int:
        self._enter("allocate")
        if self.used + size > self.memory_limit:
            free = f"{self.memory_limit - self.used} of {self.memory_limit} bytes"
            raise DeviceLostError(f"out of memory: {size} bytes asked for, {free} of GPU {self.number} are free")
        array, _ = aligned_empty((size,), np.dtype(np.uint8))
        array[:] = 0xFF
        again = self._free.get(size)
        address = self._memory.add(array, again.pop() if again else None)
        self.used += size
        self._sizes[address] = size
        return address

    def free(self, address: int, stream: _Stream) -> None:
        self._enter("free")
        size = self._sizes.pop(address)
        self.used -= size

        def forget() -> None:
            self._memory.remove(address)
            self._free.setdefault(size, []).append(address)

        stream.put(forget)

    def allocate_host(self, size: int) -> int:
        self._enter("allocate_host")
        array, address = aligned_empty((size,), np.dtype(np.uint8))
        self._host[address] = array
        return address

    def free_host(self, address: int) -> None:
        self._host.pop(address)

    def upload(self, target: int, source: int, size: int) -> None:
        self._enter("upload")
        self._memory.view(target, size)[:] = _host_bytes(source, size)

    def copy_in(self, target: int, source: int, size: int, stream: _Stream) -> None:
        self._enter("copy_in")
        self._check_pinned(source, size)
        stream.put(lambda: np.copyto(self._memory.view(target, size), _host_bytes(source, size)))

    def copy_out(self, target: int, source: int, size: int, stream: _Stream) -> None:
        self._enter("copy_out")
        self._check_pinned(target, size)
        stream.put(lambda: np.copyto(_host_bytes(target, size), self._memory.view(source, size)))

    def copy_within(self, target: int, source: int, size: int, stream: _Stream) -> None:
        self.copy_from(self, target, source, size, stream)

    def copy_from(self, other: Any, target: int, source: int, size: int, stream: _Stream) -> None:
        self._enter("copy_from")
        stream.put(lambda: np.copyto(self._memory.view(target, size), other._memory.view(source, size)))

    def _check_pinned(self, address: int, size: int) -> None:
        if not any(begin <= address and address + size <= begin + array.size for begin, array in self._host.items()):
            raise DeviceError(f"{size} bytes at {address:#x} are no pinned memory")

    # -- order and time

    def stream(self) -> _Stream:
        self._enter("stream")
        return _Stream()

    def destroy_stream(self, stream: _Stream) -> None:
        stream.waiting.clear()

    def synchronize(self, stream: _Stream) -> None:
        self._enter("synchronize")
        waiting, stream.waiting = stream.waiting, []
        for work in waiting:
            work()

    def event(self) -> _Event:
        self._enter("event")
        return _Event()

    def destroy_event(self, event: _Event) -> None: ...

    def record(self, event: _Event, stream: _Stream) -> None:
        self._enter("record")
        stream.put(lambda: setattr(event, "seconds", time.perf_counter()))

    def elapsed(self, begin: _Event, end: _Event) -> float:
        if begin.seconds is None or end.seconds is None:
            raise DeviceError("an event was not recorded yet")
        return end.seconds - begin.seconds

    # -- code

    def link(self, ptx: bytes) -> bytes:
        """The PTX itself, which is executed."""
        self._enter("link")
        return ptx

    def load(self, cubin: bytes) -> LoadedModule:
        self._enter("load")
        try:
            text = cubin.decode()
        except UnicodeDecodeError as error:
            raise DeviceError(f"the code is no text: {error}") from error
        return LoadedModule(parse(text), self._memory)

    def unload(self, module: LoadedModule) -> None: ...

    def function(self, module: LoadedModule, name: str, shared_bytes: int) -> _Function:
        self._enter("function")
        module.kernel(name)
        return _Function(module, name)

    def resident_blocks(self, function: _Function, threads: int, shared_bytes: int) -> int:
        return _RESIDENT_BLOCKS

    def tensor_map(self, map: TensorMap, address: int) -> bytes:
        return encode(map, address)

    def launch(self, launch: Launch, stream: _Stream) -> None:
        self._enter("launch")
        function, grid = launch.function, Grid(launch.blocks, launch.threads, launch.shared_bytes)
        stream.put(lambda: function.module.launch(function.name, grid, launch.arguments.values))

    # -- graphs

    def begin_capture(self, stream: _Stream) -> None:
        self._enter("begin_capture")
        stream.captured = []

    def end_capture(self, stream: _Stream) -> list[Work]:
        self._enter("end_capture")
        captured, stream.captured = stream.captured, None
        if captured is None:
            raise DeviceError("nothing is captured")
        return captured

    def launch_graph(self, graph: list[Work], stream: _Stream) -> None:
        self._enter("launch_graph")
        stream.waiting += graph

    def destroy_graph(self, graph: list[Work]) -> None:
        graph.clear()


def _host_bytes(address: int, size: int) -> np.ndarray:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
