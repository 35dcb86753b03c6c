"""A segment of an image on a GPU: what its steps launch, and calls that are captured graphs once they repeat.

A call is told by the addresses and sizes of its tensors and by its table. One that comes a second time is recorded as a
graph, copies from and to pinned memory included, so that all further ones are a single launch.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..arrays import address_of
from ..artifact import BufferReference, Segment, Step, TensorType
from ..device import Array
from ..remote import Tensor
from .driver import Arguments, Gpu, Graph, Launch, Stream
from .memory import DeviceTensor, Slot

if TYPE_CHECKING:
    from .executable import CudaExecutable

_ALIGNMENT = 16
"""Bytes. Kernels load vectors of it from where a tensor begins."""

_MOST_CALLS = 32
"""That are remembered; tensors that never come back to the same place must not fill the memory."""


@dataclass
class _Call:
    """Work on a stream. uploads, downloads: (target, source, bytes). graph: all of it, once it was captured."""

    uploads: list[tuple[int, int, int]]
    launches: list[Launch]
    downloads: list[tuple[int, int, int]]
    graph: Graph | None = None
    runs: int = 0

    def enqueue(self, gpu: Gpu, stream: Stream) -> None:
        for target, source, size in self.uploads:
            gpu.copy_in(target, source, size, stream)
        for launch in self.launches:
            gpu.launch(launch, stream)
        for target, source, size in self.downloads:
            gpu.copy_out(target, source, size, stream)

    def capture(self, gpu: Gpu, stream: Stream) -> None:
        gpu.begin_capture(stream)
        try:
            self.enqueue(gpu, stream)
        finally:
            self.graph = gpu.end_capture(stream)

    def run(self, gpu: Gpu, stream: Stream) -> None:
        """The first time directly, as it may stay the only one; then as a graph."""
        self.runs += 1
        if self.graph is None and self.runs == 1:
            self.enqueue(gpu, stream)
            return
        if self.graph is None:
            self.capture(gpu, stream)
        gpu.launch_graph(self.graph, stream)


class CudaSegment:
    """One segment; see `device.DirectSegment`. Inputs and outputs may be arrays or tensors of the executable."""

    def __init__(self, executable: CudaExecutable, segment: Segment) -> None:
        self.segment = segment
        self._executable = executable
        self._inputs = [Slot(executable) for _ in segment.inputs]
        self._outputs = [Slot(executable) for _ in segment.outputs]
        self._calls: dict[object, _Call] = {}
        self._prepared: tuple[int, _Call] | None = None

    # -- calls with tensors

    def invoke(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        executable = self._executable
        executable.enter()
        call = self._call(inputs, outputs, table, arena_bytes)
        call.run(executable.gpu, executable.stream)
        for slot, value in zip(self._inputs, inputs, strict=True):
            if isinstance(value, np.ndarray):
                slot.use()
        self._finish(outputs)

    def trace(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], table: Array | None = None, arena_bytes: int = 0
    ) -> npt.NDArray[np.float64]:
        executable = self._executable
        executable.enter()
        gpu, stream = executable.gpu, executable.stream
        call = self._call(inputs, outputs, table, arena_bytes)
        events = [gpu.event() for _ in range(len(call.launches) + 1)]
        try:
            executable.synchronize()
            for target, source, size in call.uploads:
                gpu.copy_in(target, source, size, stream)
            executable.synchronize()
            begin = time.perf_counter()
            gpu.record(events[0], stream)
            for launch, event in zip(call.launches, events[1:], strict=True):
                gpu.launch(launch, stream)
                gpu.record(event, stream)
            for target, source, size in call.downloads:
                gpu.copy_out(target, source, size, stream)
            self._finish(outputs)
            executable.synchronize()
            times = np.array([begin + gpu.elapsed(events[0], event) for event in events])
        finally:
            for event in events:
                gpu.destroy_event(event)
        return np.stack([times[:-1], times[1:]], -1)[:, None]

    def _call(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], table: Array | None, arena_bytes: int
    ) -> _Call:
        """The work of a call, found or made; what the host gives is in pinned memory then."""
        executable = self._executable
        executable.reserve_arena(arena_bytes)
        sources = [self._input(slot, value) for slot, value in zip(self._inputs, inputs, strict=True)]
        results = [self._output(slot, value) for slot, value in zip(self._outputs, outputs, strict=True)]
        key = executable.generation, tuple(sources), tuple(results), None if table is None else table.tobytes()
        call = self._calls.get(key)
        if call is None:
            while len(self._calls) >= _MOST_CALLS:
                self._forget(self._calls.pop(next(iter(self._calls))))
            entries = [] if table is None else table.tolist()
            call = self._calls[key] = self._make(sources, results, entries)
        return call

    def _input(self, slot: Slot, value: Tensor) -> tuple[int, int, int]:
        """(address on the GPU, bytes, address in pinned memory to copy from or 0)."""
        if isinstance(value, DeviceTensor):
            if value.executable is self._executable and value.address() % _ALIGNMENT == 0:
                return value.address(), value.nbytes, 0
            slot.fit(value.nbytes)
            self._executable.copy(slot.address, value)
            return slot.address, value.nbytes, 0
        assert isinstance(value, np.ndarray)
        slot.fit(value.nbytes)
        slot.settle()
        np.copyto(slot.pinned.array(value.shape, value.dtype), value)
        return slot.address, value.nbytes, slot.pinned.address

    def _output(self, slot: Slot, value: Tensor) -> tuple[int, int, int]:
        if isinstance(value, DeviceTensor) and value.address() % _ALIGNMENT == 0:
            return value.address(), value.nbytes, 0
        assert isinstance(value, DeviceTensor | np.ndarray)
        slot.fit(value.nbytes)
        return slot.address, value.nbytes, 0 if isinstance(value, DeviceTensor) else slot.pinned.address

    def _finish(self, outputs: Sequence[Tensor]) -> None:
        """Bring results to where they belong, if that is not where they are; wait for those the host asked for."""
        executable = self._executable
        waited = False
        for slot, value in zip(self._outputs, outputs, strict=True):
            if isinstance(value, np.ndarray):
                if not waited:
                    executable.synchronize()
                    waited = True
                np.copyto(value, slot.pinned.array(value.shape, value.dtype))
            elif isinstance(value, DeviceTensor) and value.address() % _ALIGNMENT:
                executable.gpu.copy_within(value.address(), slot.address, value.nbytes, executable.stream)

    def _make(
        self, sources: Sequence[tuple[int, int, int]], results: Sequence[tuple[int, int, int]], table: Sequence[int]
    ) -> _Call:
        executable = self._executable
        inputs, outputs = ([address for address, _, _ in group] for group in (sources, results))

        def address(buffer: BufferReference) -> int:
            if buffer.space == "constants":
                return executable.constants.address(buffer.offset)
            base = executable.arena if buffer.space == "arena" else None
            if base is None:
                base = (inputs if buffer.space == "input" else outputs)[buffer.index]
            return base + buffer.offset + (table[buffer.slot] if buffer.slot >= 0 else 0)

        launches = [self._launch(step, address, table) for step in self.segment.steps]
        uploads = [(device, host, size) for device, size, host in sources if host and size]
        downloads = [(host, device, size) for device, size, host in results if host and size]
        return _Call(uploads, launches, downloads)

    def _launch(self, step: Step, address: Callable[[BufferReference], int], table: Sequence[int]) -> Launch:
        executable = self._executable
        kernel = executable.kernels[step.kernel]
        values: list[Any] = [*map(address, step.buffers), *(table[entry] for entry in (*step.scalars, *step.dims))]
        values += [executable.scratch, self.segment.scratch_bytes]
        for map_ in executable.launches[step.kernel].tensor_maps:
            values.append(executable.gpu.tensor_map(map_, values[map_.buffer]))
        return Launch(kernel.function, kernel.blocks, kernel.threads, kernel.shared_bytes, Arguments(values))

    def _forget(self, call: _Call) -> None:
        if call.graph is not None:
            self._executable.gpu.destroy_graph(call.graph)
            call.graph = None

    def drop(self) -> None:
        """Destroy the graphs."""
        for call in self._calls.values():
            self._forget(call)
        self._calls.clear()
        if self._prepared is not None:
            self._forget(self._prepared[1])
            self._prepared = None

    # -- calls with addresses

    @property
    def staging_inputs(self) -> tuple[Array, ...]:
        return self._staging(self._inputs, self.segment.inputs)

    @property
    def staging_outputs(self) -> tuple[Array, ...]:
        return self._staging(self._outputs, self.segment.outputs)

    def _staging(self, slots: Sequence[Slot], types: Sequence[TensorType]) -> tuple[Array, ...]:
        """Pinned memory as arrays of known sizes."""
        self._executable.enter()
        arrays = []
        for slot, type in zip(slots, types, strict=True):
            shape = tuple(size or 0 for size in type.shape)
            slot.fit(prod(shape) * type.numpy_dtype.itemsize)
            arrays.append(slot.pinned.array(shape, type.numpy_dtype))
        return tuple(arrays)

    def invoke_at(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self.prepare(inputs, outputs)()

    def prepare(self, inputs: Sequence[int], outputs: Sequence[int]) -> Callable[[], None]:
        """One graph serves every call with addresses: it reads and writes the pinned memory, where copies begin and
        end that the addresses need."""
        executable = self._executable
        before = self._moves(self.staging_inputs, inputs, to_staging=True)
        after = self._moves(self.staging_outputs, outputs, to_staging=False)
        gpu, stream = executable.gpu, executable.stream

        def invoke(segment: CudaSegment = self) -> None:
            executable.enter()
            prepared = segment._prepared
            if prepared is None or prepared[0] != executable.generation:
                prepared = segment._capture()
            for move in before:
                ctypes.memmove(*move)
            gpu.launch_graph(prepared[1].graph, stream)
            executable.synchronize()
            for move in after:
                ctypes.memmove(*move)

        return invoke

    def _moves(
        self, staging: Sequence[Array], addresses: Sequence[int], to_staging: bool
    ) -> list[tuple[int, int, int]]:
        moves = []
        for array, address in zip(staging, addresses, strict=True):
            own = address_of(array)
            if address != own and array.nbytes:
                moves.append((own, address, array.nbytes) if to_staging else (address, own, array.nbytes))
        return moves

    def _capture(self) -> tuple[int, _Call]:
        """The work of calls with addresses, captured by the first of them, and again when the arena has moved."""
        if self._prepared is not None:
            self._forget(self._prepared[1])
        executable = self._executable
        sources, results = (
            [(slot.address, array.nbytes, slot.pinned.address) for slot, array in zip(slots, staging, strict=True)]
            for slots, staging in ((self._inputs, self.staging_inputs), (self._outputs, self.staging_outputs))
        )
        call = self._make(sources, results, ())
        call.capture(executable.gpu, executable.stream)
        self._prepared = executable.generation, call
        return self._prepared
