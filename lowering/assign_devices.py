"""assign-devices: where each dispatch runs.

A program runs on one device so far, and that is where everything goes; a region that says where it wants to run keeps
its wish. With several devices this is where a cost model chooses and transfers are inserted.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import ModuleOp, StringAttr

from ..runtime.device import DeviceSpec
from ..runtime.errors import ArgumentError
from .dialects.dispatch import RegionOp
from .ir import functions


def assign_devices(module: ModuleOp, devices: Sequence[DeviceSpec]) -> None:
    """Set `device` of every region to the kind of one of `devices`.

    Raises ArgumentError where there is not exactly one device, or a region wants one that is not among them.
    """
    if len(devices) != 1:
        listed = ", ".join(map(str, devices)) or "none"
        raise ArgumentError(f"a program runs on exactly one device so far, got {listed}")
    kind = devices[0].name
    for function in functions(module):
        for region in (op for op in function.walk() if isinstance(op, RegionOp)):
            if region.device is None:
                region.device = StringAttr(kind)
            elif region.device.data != kind:
                raise ArgumentError(f"the program wants device {region.device.data!r}, which is not among: {kind}")
