"""The target of the code of each device of a program."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.cuda.capability import DEFAULT, gpu_here
from ...runtime.device_spec import DeviceSpec
from ..target import Target, resolve_target
from . import nvptx, reference


def device_targets(devices: Sequence[DeviceSpec], default: Target) -> dict[str, Target]:
    """By the names of `devices`; a CPU that names no instruction set has the `default`. Raises ArgumentError."""
    return {device.name: _target(device, default) for device in devices}


def _target(device: DeviceSpec, default: Target) -> Target:
    if device.kind == "reference":
        return reference.TARGET
    if device.kind in ("cuda", "cuda-emulator"):
        here = gpu_here(device.ordinal or 0) if device.kind == "cuda" and device.target is None else None
        return nvptx.from_name(device.target or here or DEFAULT)
    return resolve_target(device.target) if device.target is not None else default
