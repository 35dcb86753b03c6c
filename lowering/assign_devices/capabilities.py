"""Which dispatches a kind of device can run: for what they do to each element it must have code, or a meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects import arith
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.ir import Operation

from ...runtime.device import DeviceSpec
from ...runtime.errors import UnsupportedError
from ...runtime.reference.evaluator import known_operations
from ...tosa.source import described
from ..codegen.body import has_code
from ..dialects.dispatch import RegionOp


def _has_meaning(operation: Operation) -> bool:
    return operation.name in known_operations()


_KNOWS: dict[str, Callable[[Operation], bool]] = {"reference": _has_meaning}
"""Kind of device -> whether it knows an operation; those that are not here run machine code."""


def able_devices(region: RegionOp, devices: Sequence[DeviceSpec]) -> list[DeviceSpec]:
    """The devices that can run a dispatch. Raises UnsupportedError, naming an operation and its line, if none can."""
    able = [spec for spec in devices if _unknown(region, spec) is None]
    if able:
        return able
    reasons = [f"{described(op)}, which {spec} does not know" for spec in devices if (op := _unknown(region, spec))]
    raise UnsupportedError("no device of the list can run", reasons)


def _unknown(region: RegionOp, device: DeviceSpec) -> Operation | None:
    """An operation on elements that `device` does not know."""
    knows = _KNOWS.get(device.kind) or has_code
    for generic in region.body.block.ops:
        if isinstance(generic, GenericOp):
            for op in generic.body.block.ops:
                if not isinstance(op, arith.ConstantOp | YieldOp) and not knows(op):
                    return op
    return None
