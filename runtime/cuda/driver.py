"""What the runtime asks of a GPU and its driver, and nothing else.

Handles are the driver's own objects. Work on a stream is done in order and some time later; whatever it reads and
writes has to stay as it is until `synchronize`. Host memory of copies on a stream comes from `allocate_host`.

Every method raises DeviceError, and DeviceLostError where the GPU is out of memory or lost; an error of earlier work on
a stream may come out of any later call.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ..artifact import TensorMap

Stream: TypeAlias = Any
Event: TypeAlias = Any
Graph: TypeAlias = Any
Module: TypeAlias = Any
Function: TypeAlias = Any

TENSOR_MAP_BYTES = 128
"""Of a CUtensorMap."""


class Arguments:
    """Parameters of a kernel where the driver reads them: 64-bit integers, and tensor maps as bytes.

    pointer: the address of an array of the addresses of the parameters, as cuLaunchKernel wants it.
    """

    def __init__(self, values: Sequence[int | bytes]) -> None:
        self.values = tuple(values)
        packed = [
            value if isinstance(value, bytes) else struct.pack("<q" if value < 0 else "<Q", value) for value in values
        ]
        self._memory = ctypes.create_string_buffer(b"".join(packed), sum(map(len, packed)))
        self._addresses = (ctypes.c_void_p * len(packed))()
        place = ctypes.addressof(self._memory)
        for number, each in enumerate(packed):
            self._addresses[number] = place
            place += len(each)
        self.pointer = ctypes.addressof(self._addresses)


@dataclass(frozen=True)
class Launch:
    """A kernel on its arguments, in a grid of x alone; shared_bytes of dynamic shared memory for each block."""

    function: Function
    blocks: int
    threads: int
    shared_bytes: int
    arguments: Arguments


class Gpu(Protocol):
    """One GPU.

    number: as the driver counts. capability: major, minor; None where code of any runs. multiprocessors: their number.
    driver: its version, a part of the key of what it links; None where keeping that is of no use.
    """

    number: int
    name: str
    capability: tuple[int, int] | None
    multiprocessors: int
    driver: str | None

    def enter(self) -> None:
        """Have the calling thread work on this GPU; all other methods need that."""
        ...

    # -- memory

    def allocate(self, size: int, stream: Stream) -> int:
        """The address of `size` bytes, a multiple of 256, for work on `stream`. Raises DeviceLostError."""
        ...

    def free(self, address: int, stream: Stream) -> None:
        """Give memory back once the work on `stream` so far is done."""
        ...

    def allocate_host(self, size: int) -> int:
        """The address of host memory that the GPU reads and writes on its own, page-aligned."""
        ...

    def free_host(self, address: int) -> None: ...

    def upload(self, target: int, source: int, size: int) -> None:
        """Copy from any host memory now."""
        ...

    def copy_in(self, target: int, source: int, size: int, stream: Stream) -> None:
        """From host memory of `allocate_host`."""
        ...

    def copy_out(self, target: int, source: int, size: int, stream: Stream) -> None:
        """To host memory of `allocate_host`."""
        ...

    def copy_within(self, target: int, source: int, size: int, stream: Stream) -> None: ...

    def copy_from(self, other: Any, target: int, source: int, size: int, stream: Stream) -> None:
        """From another GPU of the same driver, whose work on `source` is done."""
        ...

    # -- order and time

    def stream(self) -> Stream: ...

    def destroy_stream(self, stream: Stream) -> None: ...

    def synchronize(self, stream: Stream) -> None:
        """Wait until all work on `stream` is done."""
        ...

    def event(self) -> Event: ...

    def destroy_event(self, event: Event) -> None: ...

    def record(self, event: Event, stream: Stream) -> None: ...

    def elapsed(self, begin: Event, end: Event) -> float:
        """Seconds between two recorded events whose stream was synchronised."""
        ...

    # -- code

    def link(self, ptx: bytes) -> bytes:
        """The cubin of a PTX module for this GPU."""
        ...

    def load(self, cubin: bytes) -> Module: ...

    def unload(self, module: Module) -> None: ...

    def function(self, module: Module, name: str, shared_bytes: int) -> Function:
        """A kernel, allowed so much dynamic shared memory for each block."""
        ...

    def resident_blocks(self, function: Function, threads: int, shared_bytes: int) -> int:
        """How many blocks of a kernel a multiprocessor runs at once."""
        ...

    def tensor_map(self, map: TensorMap, address: int) -> bytes:
        """TENSOR_MAP_BYTES that describe the tensor at `address` to the tensor memory accelerator."""
        ...

    def launch(self, launch: Launch, stream: Stream) -> None: ...

    # -- graphs

    def begin_capture(self, stream: Stream) -> None:
        """Have work on `stream` recorded from now on, and not done."""
        ...

    def end_capture(self, stream: Stream) -> Graph:
        """What was recorded, ready to be launched."""
        ...

    def launch_graph(self, graph: Graph, stream: Stream) -> None: ...

    def destroy_graph(self, graph: Graph) -> None: ...
