"""What the runtime asks of a device, and how devices are found; `device_spec` has their names.

A device lives in one file of `devices/`. Adding one means implementing `Device` there and naming it in `DEVICES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from .artifact import Image, Segment
from .device_spec import DEVICES
from .device_spec import DeviceSpec as DeviceSpec
from .device_spec import parse_device as parse_device
from .device_spec import parse_devices as parse_devices
from .device_spec import uniquely_named as uniquely_named

Array: TypeAlias = npt.NDArray[Any]
Constants: TypeAlias = bytes | bytearray | memoryview


class BoundSegment(Protocol):
    """A segment whose entry point is ready, so that a call does no more than it must."""

    segment: Segment

    def invoke(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        """Run once. One call at a time: the caller holds `Executable.lock`.

        inputs, outputs: dense arrays of the segment's types, aligned to their elements; those of `outputs` are filled.
        table: int64[segment.table_size], or None where that is 0. arena_bytes: needed where the segment does not know.
        Raises DeviceError, and DeviceLostError where the device cannot go on.
        """
        ...

    def trace(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> npt.NDArray[np.float64]:
        """Run once; when every step began and ended, [steps, threads, 2], in seconds of `time.perf_counter`."""
        ...


class DirectSegment(BoundSegment, Protocol):
    """A segment of known sizes that can be called with addresses, which spares small programs most of a call's cost.

    staging_inputs, staging_outputs: arrays of the device's own, for user arrays that it cannot use in place.
    """

    staging_inputs: tuple[Array, ...]
    staging_outputs: tuple[Array, ...]

    def invoke_at(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """`invoke` with the addresses of the arrays' elements."""
        ...

    def prepare(self, inputs: Sequence[int], outputs: Sequence[int]) -> Callable[[], None]:
        """A function that does `invoke_at` with these addresses."""
        ...


def is_direct(segment: BoundSegment) -> TypeGuard[DirectSegment]:
    """Whether a segment can be called with addresses."""
    return hasattr(type(segment), "prepare")


class Executable(Protocol):
    """An image made ready on a device. `close` frees everything, also called at exit and on collection.

    target: what the image was compiled for. threads: how many work on a call.
    """

    lock: Any
    threads: int
    target: str

    def bind(self, segment: Segment) -> BoundSegment: ...

    def close(self) -> None: ...


class Device(Protocol):
    """One place that can run programs.

    memory: where its tensors lie, such as "host"; between devices of equal memories nothing has to be copied.
    """

    memory: str

    def lacks(self, image: Image) -> str | None:
        """Why this device cannot run `image`, such as "x86-64-v4 needs avx512f", or None if it can."""
        ...

    def load(self, image: Image, constants: Constants) -> Executable:
        """Make `image` ready; it reads `constants` in place where it can. Raises DeviceError where memory is short."""
        ...


def open_device(spec: DeviceSpec) -> Device:
    """The device that `spec` names. Raises DeviceError where this machine does not have it."""
    return importlib.import_module(DEVICES[spec.kind], __package__).open_device(spec)
