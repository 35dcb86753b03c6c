"""How users name devices: "cpu", "cpu:2" (threads), "cpu@x86-64-v3" (instruction set), "cpu@x86-64-v3:1", "reference",
"cuda", "cuda:1" (the number of the GPU), "cuda@sm_80" (compute capability), and "cuda-emulator" likewise.

Lists are separated by commas, and may name a device more than once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from .errors import ArgumentError
from .record import record

DEVICES = {
    "cpu": ".devices.cpu",
    "cuda": ".devices.cuda",
    "cuda-emulator": ".devices.cuda_emulator",
    "reference": ".devices.reference",
}
"""Kind of device -> module, relative to the runtime, that has `open_device(spec)`."""

_THREADED = ("cpu",)
"""Kinds whose number of threads users may choose."""

NUMBERED = ("cuda", "cuda-emulator")
"""Kinds of which a machine has several; users may choose one by its number."""

_ONE_TARGET = ("reference",)
"""Kinds that have no instruction sets to choose from."""

MAX_THREADS = 1024
"""More than any processor has that this runs on; without a limit a typing error would take the system's last thread."""

_SYNTAX = r"(?P<kind>[^@:]*)(@(?P<target>[^:]*))?(:(?P<number>.*))?"


@record
class DeviceSpec:
    """A device as users write it.

    threads: None where not given. ordinal: the number of a GPU, from 0 on; None where not given.
    target: the name of an instruction set; None for the one that is compiled for anyway.
    name: what plans and errors call it, unique among the devices of a program; its text where not given.

    Raises ArgumentError for an unknown kind, for less than one thread or more than MAX_THREADS, and for threads, a
    number or an instruction set of a kind that has none.
    """

    kind: str
    threads: int | None = None
    target: str | None = None
    name: str = ""
    ordinal: int | None = None

    def __post_init__(self) -> None:
        known = ", ".join(DEVICES)
        if self.kind not in DEVICES:
            raise ArgumentError(f"unknown device {self.kind!r}; known devices: {known}")
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            raise ArgumentError(f"{self.threads} threads: expected 1 to {MAX_THREADS}")
        if self.threads is not None and self.kind not in _THREADED:
            raise ArgumentError(f"device {self}: {self.kind} has no threads to choose")
        if self.ordinal is not None and self.kind not in NUMBERED:
            raise ArgumentError(f"device {self}: there is only one {self.kind}")
        if self.target is not None and self.kind in _ONE_TARGET:
            raise ArgumentError(f"device {self}: {self.kind} has no instruction sets")
        if not self.name:
            object.__setattr__(self, "name", str(self))

    def __str__(self) -> str:
        """The text that `parse_devices` reads."""
        target = "" if self.target is None else f"@{self.target}"
        number = self.threads if self.ordinal is None else self.ordinal
        return f"{self.kind}{target}" + ("" if number is None else f":{number}")


def parse_devices(text: str) -> tuple[DeviceSpec, ...]:
    """Read a list such as "cpu:2,reference". Raises ArgumentError naming the part that is wrong."""
    return uniquely_named([parse_device(part) for part in text.split(",")])


def uniquely_named(specs: Sequence[DeviceSpec]) -> tuple[DeviceSpec, ...]:
    """The devices with "#1", "#2", ... behind the names that several of them have."""
    occurrences = Counter(spec.name for spec in specs)
    seen: Counter[str] = Counter()
    named: list[DeviceSpec] = []
    for spec in specs:
        seen[spec.name] += 1
        repeated = occurrences[spec.name] > 1
        named.append(replace(spec, name=f"{spec.name}#{seen[spec.name]}") if repeated else spec)
    return tuple(named)


def parse_device(text: str) -> DeviceSpec:
    """Read one device. Raises ArgumentError."""
    text = text.strip()
    match = re.fullmatch(_SYNTAX, text)
    if match is None:
        raise ArgumentError(f"device {text!r} is not of the form KIND[@TARGET][:NUMBER]")
    kind, target, count = match["kind"], match["target"], match["number"]
    if target == "":
        example = "sm_80" if kind in NUMBERED else "x86-64-v3"
        raise ArgumentError(f"device {text!r}: name an instruction set behind the @, such as {kind}@{example}")
    if count is not None and not (count.isascii() and count.isdecimal()):
        what = "number of a GPU" if kind in NUMBERED else "number of threads"
        raise ArgumentError(f"device {text!r}: {count!r} is no {what}")
    number = None if count is None else int(count)
    if kind in NUMBERED:
        return DeviceSpec(kind, None, target, ordinal=number)
    return DeviceSpec(kind, number, target)
