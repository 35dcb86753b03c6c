"""What the runtime asks of a device, and how devices are found; `device_spec` has their names.

A device lives in one file of `devices/`. Adding one means implementing `Device` there and naming it in `DEVICES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .artifact import Artifact, Plan, Signature
from .device_spec import DEVICES
from .device_spec import DeviceSpec as DeviceSpec
from .device_spec import parse_device as parse_device
from .device_spec import parse_devices as parse_devices
from .device_spec import uniquely_named as uniquely_named


class BoundSignature(Protocol):
    """A signature whose plan, buffers and entry point are ready, so that a call does no more than it must.

    signature, plan: what it computes, and in which steps.
    staging_inputs, staging_outputs: arrays of the device's own memory, for user arrays that it cannot use in place.
    """

    signature: Signature
    plan: Plan
    staging_inputs: tuple[npt.NDArray[Any], ...]
    staging_outputs: tuple[npt.NDArray[Any], ...]

    def invoke(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Run once on dense buffers at these addresses, aligned to their elements.

        One call at a time: the executor holds `Executable.lock`.
        """
        ...

    def trace(self, inputs: Sequence[int], outputs: Sequence[int]) -> npt.NDArray[np.uint64]:
        """Run once and return the device clock's begin and end of every step, [steps, threads, 2], in ticks."""
        ...


class Executable(Protocol):
    """An artifact made ready on a device. `close` frees everything, also called at exit and on collection."""

    lock: Any
    threads: int
    target: str

    def bind(self, signature: Signature) -> BoundSignature: ...

    def close(self) -> None: ...


class Device(Protocol):
    """One place that can run programs."""

    def load(self, artifact: Artifact) -> Executable:
        """Choose the best image this device can run. Raises DeviceError where there is none or memory is short."""
        ...


def open_device(spec: DeviceSpec) -> Device:
    """The device that `spec` names. Raises DeviceError where this machine does not have it."""
    return importlib.import_module(DEVICES[spec.kind], __package__).open_device(spec)
