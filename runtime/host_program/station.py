"""A device slot at work: the segments of its image, and how a host program has them executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from ..arrays import aligned_empty
from ..artifact import Image, Segment, TensorType
from ..device import Array, BoundSegment, Executable
from ..errors import DeviceError, DeviceLostError
from ..record import record
from .queues import Event, Pending, Queue


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
        self._naming_errors = NamingErrors(name)
        self._unsettled: list[Event] = []

    def execute(
        self,
        bound: BoundSegment,
        inputs: Sequence[Any],
        shapes: Sequence[tuple[int, ...]],
        table: Array | None,
        arena_bytes: int,
        places: Sequence[Array | None],
    ) -> Sequence[Any]:
        """The outputs, of these shapes: arrays, or Pending ones where there is a queue.

        inputs: arrays or Pending ones. places: where the outputs are to lie, or None for memory of their own.
        Raises DeviceError naming this device, at once or when a result is waited for.
        """
        if self.is_closed:
            raise DeviceError("the program is closed")
        outputs: list[Array] = []
        for shape, made, place in zip(shapes, bound.segment.outputs, places, strict=True):
            outputs.append(self.allocate(shape, made) if place is None else place)
        if self._queue is None:
            self._run(bound, inputs, outputs, table, arena_bytes)
            return outputs
        arrays = [value.array if type(value) is Pending else value for value in inputs]
        earlier = [event for value in inputs if type(value) is Pending for event in value.events]
        event = self._queue.submit(lambda: self._run(bound, arrays, outputs, table, arena_bytes), earlier)
        self._unsettled.append(event)
        return [Pending(output, (event,)) for output in outputs]

    def allocate(self, shape: tuple[int, ...], type: TensorType) -> Array:
        """Memory for a tensor that this device computes."""
        with self._naming_errors:
            array, _ = aligned_empty(shape, type.numpy_dtype)
        return array

    def settle(self) -> None:
        """Wait until everything that was given to the device has ended, well or not."""
        for event in self._unsettled:
            event.finished()
        self._unsettled.clear()

    def _run(
        self,
        bound: BoundSegment,
        inputs: Sequence[Array],
        outputs: Sequence[Array],
        table: Array | None,
        arena_bytes: int,
    ) -> None:
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
