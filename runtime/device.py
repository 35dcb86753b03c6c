"""What the runtime asks of a device, and how devices are named and found.

A device lives in one file of `devices/`. Adding one means implementing `Device` there and naming it in `_DEVICES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .artifact import Artifact, Plan, Signature
from .errors import ArgumentError

_DEVICES = {"cpu": "cpu"}
"""Kind of device -> module in `devices` that has `open_device(spec)`."""

MAX_THREADS = 1024
"""More than any processor has that this runs on; without a limit a typing error would take the system's last thread."""


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


@dataclass(frozen=True)
class DeviceSpec:
    """A device as users write it: "cpu", or "cpu:2" for two threads; `threads` is None where not given.

    Raises ArgumentError for an unknown kind and for less than one thread, or more than MAX_THREADS.
    """

    kind: str
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _DEVICES:
            raise ArgumentError(f"unknown device {self.kind!r}; known devices: {', '.join(_DEVICES)}")
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise ArgumentError(f"{self.threads} threads: expected 1 to {MAX_THREADS}")

    def __str__(self) -> str:
        return self.kind if self.threads is None else f"{self.kind}:{self.threads}"


def parse_devices(text: str) -> tuple[DeviceSpec, ...]:
    """Read a list such as "cpu:2". Raises ArgumentError naming the part that is wrong."""
    return tuple(_parse_device(part.strip()) for part in text.split(","))


def _parse_device(text: str) -> DeviceSpec:
    kind, colon, count = text.partition(":")
    if not colon:
        return DeviceSpec(kind)
    if not count.isdecimal():
        raise ArgumentError(f"device {text!r}: {count!r} is no number of threads")
    return DeviceSpec(kind, int(count))


def open_device(spec: DeviceSpec) -> Device:
    """The device that `spec` names. Raises DeviceError where this machine does not have it."""
    return importlib.import_module(f".devices.{_DEVICES[spec.kind]}", __package__).open_device(spec)
