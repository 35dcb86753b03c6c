"""From an artifact and a list of devices to devices that are ready to run it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from .artifact import Artifact, DeviceSlot, Variant
from .device import Array, Device, DeviceSpec, open_device, parse_devices
from .device_spec import NUMBERED
from .errors import ArgumentError, DeviceError
from .executor import SignatureExecutor, make_executor
from .host_program.queues import Queue
from .host_program.station import NamingErrors, Station


class Loaded:
    """A variant of an artifact on its devices. `close` frees everything."""

    def __init__(self, artifact: Artifact, variant: Variant, devices: Sequence[Device]) -> None:
        self.variant = variant
        self.stations: list[Station] = []
        self._queues: list[Queue] = []
        # Also when nobody closes the program: a thread would keep its queue for ever.
        self._end_queues = weakref.finalize(self, _close_all, self._queues)
        try:
            for slot, image, device in zip(artifact.devices, variant.images, devices, strict=True):
                # With several devices each has a thread, so that they work at the same time.
                queue = Queue(slot.name) if len(devices) > 1 else None
                self._queues += [queue] if queue else []
                with NamingErrors(slot.name):
                    executable = device.load(image, artifact.constants)
                self.stations.append(Station(slot.name, executable, image, queue))
        except BaseException:
            self.close()
            raise

    def executors(self, artifact: Artifact) -> Iterator[SignatureExecutor]:
        """One for each signature."""
        constants = _bytes(artifact.constants)
        for signature, program in zip(artifact.signatures, self.variant.programs, strict=True):
            yield make_executor(signature, program, self.variant, self.stations, constants)

    def close(self) -> None:
        for station in self.stations:
            station.is_closed = True
        self._end_queues()
        for station in self.stations:
            station.executable.close()


def _close_all(queues: Sequence[Queue]) -> None:
    for queue in queues:
        queue.close()


def on_devices(artifact: Artifact, devices: str | None, threads: int | None) -> Artifact:
    """The artifact for its own or for other `devices`, which must be of the same kinds; `threads` is for each CPU.

    Raises ArgumentError.
    """
    specs = parse_devices(devices) if devices else [_spec(slot) for slot in artifact.devices]
    wanted, given = [slot.kind for slot in artifact.devices], [spec.kind for spec in specs]
    if wanted != given:
        raise ArgumentError(f"the program was compiled for {','.join(wanted)}; {devices} cannot run it")
    if threads is not None:
        specs = [replace(spec, threads=threads) if spec.kind == "cpu" else spec for spec in specs]
    slots = (
        replace(slot, threads=spec.threads or 0, ordinal=-1 if spec.ordinal is None else spec.ordinal)
        for slot, spec in zip(artifact.devices, specs, strict=True)
    )
    return replace(artifact, devices=tuple(slots))


def load_devices(artifact: Artifact) -> Loaded:
    """The best variant that the devices can run, on them. Raises DeviceError where they lack something."""
    devices: list[Device] = []
    for slot, spec in zip(artifact.devices, numbered(artifact.devices), strict=True):
        with NamingErrors(slot.name):
            devices.append(open_device(spec))
    problems: list[str] = []
    for variant in artifact.variants:
        lacks = [device.lacks(image) for device, image in zip(devices, variant.images, strict=True)]
        if not any(lacks):
            return Loaded(artifact, variant, devices)
        problems += [problem for problem in lacks if problem]
    raise DeviceError(f"the artifact cannot run here: {'; '.join(problems) or 'it holds no code'}")


def _spec(slot: DeviceSlot) -> DeviceSpec:
    return DeviceSpec(slot.kind, slot.threads or None, ordinal=None if slot.ordinal < 0 else slot.ordinal)


def numbered(slots: Sequence[DeviceSlot]) -> list[DeviceSpec]:
    """What to open for each slot: GPUs that have no number take, in order, the numbers that none of the others has."""
    specs: list[DeviceSpec] = []
    taken = {(slot.kind, slot.ordinal) for slot in slots}
    for slot in slots:
        spec = _spec(slot)
        if slot.ordinal < 0 and slot.kind in NUMBERED:
            ordinal = next(number for number in range(len(slots)) if (slot.kind, number) not in taken)
            taken.add((slot.kind, ordinal))
            spec = replace(spec, ordinal=ordinal)
        specs.append(spec)
    return specs


def _bytes(constants: bytes | bytearray | memoryview) -> Array:
    return np.frombuffer(constants, np.uint8) if len(constants) else np.zeros(0, np.uint8)
