"""A device slot at work: the segments of its image, and how a host program has them executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..arrays import aligned_empty
from ..artifact import Image, Segment, TensorType
from ..device import Array, BoundSegment, Executable
from ..errors import DeviceError, DeviceLostError
from ..record import record
from ..remote import RemoteExecutable, RemoteTensor, Tensor, is_remote, on_host
from .queues import Event, Pending, Queue, Work


@record
class SegmentTrace:
    """One execution of a segment: when its steps began and ended, [steps, threads, 2], `time.perf_counter` seconds."""

    device: str
    segment: Segment
    seconds: npt.NDArray[Any]


class Station:
    """Executes segments of one device, in order: at once, or, with a queue, while the host goes on.

    name: that of the device. is_closed: whether it refuses further work.
    traces: where executions are recorded; None while nobody asks.
    """

    def __init__(self, name: str, executable: Executable, image: Image, queue: Queue | None) -> None:
        self.name = name
        self.executable = executable
        self.segments: list[BoundSegment] = [executable.bind(segment) for segment in image.segments]
        self.traces: list[SegmentTrace] | None = None
        self.is_closed = False
        self._queue = queue
        self._remote: RemoteExecutable | None = executable if is_remote(executable) else None
        self._naming_errors = NamingErrors(name)
        self._unsettled: list[Event] = []

    def execute(
        self,
        bound: BoundSegment,
        inputs: Sequence[Any],
        shapes: Sequence[tuple[int, ...]],
        table: Array | None,
        arena_bytes: int,
        places: Sequence[Tensor | None],
    ) -> Sequence[Any]:
        """The outputs, of these shapes: tensors where the device has its own, or Pending ones where there is a queue.

        inputs: tensors or Pending ones, wherever they are. places: where the outputs are to lie, or None for memory of
        their own.
        Raises DeviceError naming this device, at once or when a result is waited for.
        """
        if self.is_closed:
            raise DeviceError("the program is closed")
        outputs: list[Tensor] = []
        for shape, made, place in zip(shapes, bound.segment.outputs, places, strict=True):
            outputs.append(self.allocate(shape, made) if place is None else place)
        if self._queue is None:
            self._run(bound, inputs, outputs, table, arena_bytes)
            return outputs
        arrays = [value.array if type(value) is Pending else value for value in inputs]
        event = self._submit(lambda: self._run(bound, arrays, outputs, table, arena_bytes), inputs)
        return [Pending(output, (event,)) for output in outputs]

    def receive(self, value: Any) -> Any:
        """A tensor, or Pending one, where this device has its own; the same one if it is there."""
        source = value.array if type(value) is Pending else value
        remote = self._remote
        if remote is None and isinstance(source, np.ndarray):
            return value
        if remote is None:
            target: Tensor = self.host_array(source.shape, source.dtype)
        elif getattr(source, "executable", None) is remote:
            return value
        else:
            target = remote.allocate(source.shape, source.dtype, self._naming_errors)

        def copy() -> None:
            with self._naming_errors:
                if remote is None:
                    np.copyto(cast(Array, target), on_host(source))
                else:
                    remote.receive(source, cast(RemoteTensor, target))

        if self._queue is None:
            copy()
            return target
        return Pending(target, (self._submit(copy, [value]),))

    def _submit(self, work: Work, inputs: Sequence[Any]) -> Event:
        """Have the queue do `work` once those of `inputs` are there that are Pending."""
        assert self._queue is not None
        earlier = [event for value in inputs if type(value) is Pending for event in value.events]
        event = self._queue.submit(work, earlier)
        self._unsettled.append(event)
        return event

    def allocate(self, shape: tuple[int, ...], type: TensorType) -> Tensor:
        """Memory for a tensor that this device computes."""
        if self._remote is not None:
            return self._remote.allocate(shape, type.numpy_dtype, self._naming_errors)
        return self.host_array(shape, type.numpy_dtype)

    def host_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Memory of the host, whoever computes what is put there."""
        with self._naming_errors:
            array, _ = aligned_empty(shape, dtype)
        return array

    def settle(self) -> None:
        """Wait until everything that was given to the device has ended, well or not."""
        for event in self._unsettled:
            event.finished()
        self._unsettled.clear()

    def _run(
        self,
        bound: BoundSegment,
        inputs: Sequence[Tensor],
        outputs: Sequence[Any],
        table: Array | None,
        arena_bytes: int,
    ) -> None:
        with self._naming_errors:  # outside of the lock, as reading another device's tensor takes that one's
            readable = on_host if self._remote is None else self._remote.readable
            inputs = cast("list[Any]", [readable(value) for value in inputs])
        with self._naming_errors, self.executable.lock:
            if self.traces is None:
                bound.invoke(inputs, outputs, table, arena_bytes)
            else:
                seconds = bound.trace(inputs, outputs, table, arena_bytes)
                self.traces.append(SegmentTrace(self.name, bound.segment, seconds))


class NamingErrors:
    """Errors of devices that pass it come out with the device's name."""

    __slots__ = ("_device",)

    def __init__(self, device: str) -> None:
        self._device = device

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, DeviceLostError):
            if error.device is None:
                raise DeviceLostError(error.problem, self._device) from error
        elif isinstance(error, MemoryError):
            raise DeviceLostError("out of memory", self._device) from error
        elif isinstance(error, DeviceError):
            raise DeviceError(f"device {self._device}: {error}") from error
