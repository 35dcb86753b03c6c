"""A pytest plugin (`-p tests.targets.emulate`): programs compiled for this machine are compiled for another, and their
segments run under qemu-user. TOSAIC_TARGET names the target, such as "neoverse-v1"."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest
from tosaic.lowering.target import Target, resolve_target
from tosaic.runtime import loading
from tosaic.runtime.device import Device, DeviceSpec, open_device

from .device import EmulatedCpu

TARGET = resolve_target(os.environ["TOSAIC_TARGET"])


def _resolve(name: str | None = None, **arguments: Any) -> Target:
    return TARGET if name in (None, "host") and not arguments else resolve_target(name, **arguments)


def _open(spec: DeviceSpec) -> Device:
    return EmulatedCpu(TARGET, 1) if spec.kind == "cpu" else open_device(spec)


def pytest_configure() -> None:
    patch = pytest.MonkeyPatch()
    # By its full name: the package's attribute of that name is the function.
    patch.setattr(importlib.import_module("tosaic.lowering.compile"), "resolve_target", _resolve)
    patch.setattr(loading, "open_device", _open)
