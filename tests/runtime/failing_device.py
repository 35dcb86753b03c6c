"""A test double: the host's CPU that is lost after some calls, or when it is to be loaded.

It is no device of the product: tests put it into the table of devices under the kind "failing" (see `install`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import pytest
from tosaic.lowering import backends
from tosaic.runtime import calibration, device_spec
from tosaic.runtime.artifact import Image, Segment
from tosaic.runtime.device import Array, BoundSegment, Constants, DeviceSpec, Executable
from tosaic.runtime.devices.cpu import CpuDevice
from tosaic.runtime.errors import DeviceLostError
from tosaic.runtime.rates import Rates

calls_left = 0
"""How many more segments the device runs; -1 when it cannot be loaded at all."""


def install(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Have a device "failing" that runs so many segments; none of them to measure how fast it is."""
    rates = Rates({"float32": 1e11}, 1e10, {"float32": 1e10}, 1e10, 1e-6, 2e-5)
    monkeypatch.setattr(calibration, "measured_rates", lambda *_: rates)
    monkeypatch.setitem(device_spec.DEVICES, "failing", __name__)
    monkeypatch.setitem(backends._BACKENDS, "failing", backends.build_cpu_image)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(f"{__name__}.calls_left", calls)


def open_device(spec: DeviceSpec) -> _FailingDevice:
    return _FailingDevice(CpuDevice(1))


class _FailingDevice:
    memory = "host"

    def __init__(self, real: CpuDevice) -> None:
        self._real = real

    def lacks(self, image: Image) -> str | None:
        return self._real.lacks(image)

    def load(self, image: Image, constants: Constants) -> Executable:
        if calls_left < 0:
            raise DeviceLostError("out of memory")
        return _FailingExecutable(self._real.load(image, constants))


class _FailingExecutable:
    def __init__(self, real: Any) -> None:
        self._real = real
        self.lock = real.lock
        self.threads: int = real.threads
        self.target: str = real.target

    def bind(self, segment: Segment) -> BoundSegment:
        return _FailingSegment(self._real.bind(segment))

    def close(self) -> None:
        self._real.close()


class _FailingSegment:
    def __init__(self, real: BoundSegment) -> None:
        self._real = real
        self.segment = real.segment

    def invoke(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        global calls_left
        if calls_left == 0:
            raise DeviceLostError("the device fell off the bus")
        calls_left -= 1
        self._real.invoke(inputs, outputs, table, arena_bytes)

    def trace(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> npt.NDArray[Any]:
        return self._real.trace(inputs, outputs, table, arena_bytes)
