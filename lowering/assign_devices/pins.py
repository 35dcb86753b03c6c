"""What the user pins to devices: `--place 'conv*=cpu,matmul*=reference'`.

A pattern is a glob (`*`, `?`, `[...]`) of the kind of a dispatch ("conv_2d", "matmul", "elementwise"), of its
description ("matmul 64x40 f32*"), or of the name of a value that it computes. The first pattern that fits decides.
Several devices with | between them share the dispatch, which is split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ...runtime.device import DeviceSpec
from ...runtime.errors import ArgumentError
from ..cost import describe, root_name
from ..dialects.dispatch import RegionOp

_MOST_LISTED = 12


@dataclass(frozen=True)
class Pin:
    """Dispatches that fit `pattern` run on `devices`, by name: on one of them, or split over several."""

    pattern: str
    devices: tuple[str, ...]


def parse_pins(text: str, devices: Sequence[DeviceSpec]) -> tuple[Pin, ...]:
    """Read a list such as "conv*=cpu,matmul*=reference".

    A device is told by its name or, where only one has it, its kind. Raises ArgumentError naming what is wrong.
    """
    pins: list[Pin] = []
    for part in text.split(","):
        pattern, equals, wanted = part.strip().rpartition("=")
        if not equals or not pattern or not wanted:
            raise ArgumentError(f"--place {part.strip()!r} is not of the form PATTERN=DEVICE")
        names = tuple(_device(name.strip(), devices) for name in wanted.split("|"))
        if len(set(names)) != len(names):
            raise ArgumentError(f"--place {part.strip()!r} names a device twice")
        pins.append(Pin(pattern.strip(), names))
    return tuple(pins)


def pinned(regions: Iterable[RegionOp], pins: Sequence[Pin]) -> dict[RegionOp, tuple[str, ...]]:
    """The devices of each dispatch that a pin fits. Raises ArgumentError for a pattern that fits none."""
    names_of = {region: names(region) for region in regions}
    found: dict[RegionOp, tuple[str, ...]] = {}
    for pin in pins:
        fitting = [
            region for region, known in names_of.items() if any(fnmatchcase(name, pin.pattern) for name in known)
        ]
        if not fitting:
            kinds = sorted({known[0] for known in names_of.values()})
            raise ArgumentError(f"--place: no dispatch is called {pin.pattern!r}; there are: {_shortened(kinds)}")
        for region in fitting:
            found.setdefault(region, pin.devices)
    return found


def names(region: RegionOp) -> tuple[str, ...]:
    """What a pattern may fit: the kind of the dispatch first, its description, the names of its results."""
    hints = [value.name_hint for value in (*region.outputs, *region.yielded.values) if value.name_hint]
    return (root_name(region), describe(region), *hints)


def _device(text: str, devices: Sequence[DeviceSpec]) -> str:
    if any(spec.name == text for spec in devices):
        return text
    fitting = [spec.name for spec in devices if text in (str(spec), spec.kind)]
    listed = ", ".join(spec.name for spec in devices)
    if not fitting:
        raise ArgumentError(f"--place: unknown device {text!r}; the devices are: {listed}")
    if len(fitting) > 1:
        raise ArgumentError(f"--place: {text!r} may be any of {', '.join(fitting)}; name one")
    return fitting[0]


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_LISTED]) + (", ..." if len(names) > _MOST_LISTED else "")
