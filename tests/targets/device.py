"""The CPU of another architecture as a device of the runtime: every execution of a segment is a process of its own."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tosaic.lowering.target import Target
from tosaic.runtime import abi
from tosaic.runtime.artifact import SLACK, Artifact, Image, Segment
from tosaic.runtime.device import Array, Constants
from tosaic.runtime.loading import Loaded

from .emulator import Space, Worker, address_of, call


@dataclass
class EmulatedCpu:
    """Runs images of `target` with `threads` threads, one or two."""

    target: Target
    threads: int
    memory: str = "host"

    def lacks(self, image: Image) -> str | None:
        missing = sorted(set(image.features) - set(self.target.features))
        return f"{image.target} needs {', '.join(missing)}" if missing else None

    def load(self, image: Image, constants: Constants) -> EmulatedImage:
        return EmulatedImage(self.target.name, self.threads, self.target, image, bytes(constants))


@dataclass
class EmulatedImage:
    target: str
    threads: int
    machine: Target
    image: Image
    constants: bytes
    lock: Any = field(default_factory=threading.Lock)

    def bind(self, segment: Segment) -> EmulatedSegment:
        return EmulatedSegment(self, segment)

    def close(self) -> None:
        """Nothing is kept between executions."""


@dataclass
class EmulatedSegment:
    owner: EmulatedImage
    segment: Segment

    def invoke(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        self._run(inputs, outputs, table, arena_bytes, None)

    def trace(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> np.ndarray[Any, Any]:
        ticks = np.zeros((len(self.segment.steps), self.owner.threads, 2), np.uint64)
        self._run(inputs, outputs, table, arena_bytes, ticks)
        return ticks.astype(np.float64)

    def _run(
        self,
        inputs: Sequence[Array],
        outputs: Sequence[Array],
        table: Array | None,
        arena_bytes: int,
        ticks: np.ndarray[Any, Any] | None,
    ) -> None:
        owner, segment, space = self.owner, self.segment, Space()
        threads = owner.threads
        read = [space.add(array.tobytes()).address for array in inputs]
        written = [space.add(bytes(array.nbytes), writable=True) for array in outputs]

        def scratch(size: int) -> int:
            return space.add(b"", writable=True, alignment=64, slack=max(size, 64)).address

        arena = max(segment.arena_bytes, arena_bytes)
        pool = scratch(ctypes.sizeof(abi.Pool))
        traced = None if ticks is None else space.add(ticks.tobytes(), writable=True)
        structure = abi.Call(
            inputs=space.add(struct.pack(f"<{len(read)}Q", *read)).address,
            outputs=space.add(struct.pack(f"<{len(written)}Q", *(buffer.address for buffer in written))).address,
            arena=scratch(arena + SLACK),
            constants=space.add(owner.constants, alignment=64, slack=SLACK).address,
            scratch=scratch(segment.scratch_bytes * threads),
            scratch_stride=segment.scratch_bytes,
            threads=threads,
            trace=traced.address if traced else None,
            barrier=scratch(ctypes.sizeof(abi.Barrier)),
            table=None if table is None else space.add(table.tobytes()).address,
        )
        entries = owner.image.entries
        arguments = (pool, address_of(entries[abi.run_entry(segment.name)]), space.add(bytes(structure)).address)
        worker = Worker(entries[abi.WORKER], pool) if threads == 2 else None
        call(owner.machine, bytes(owner.image.code), entries[abi.INVOKE], arguments, space, worker)
        for array, buffer in zip(outputs, written, strict=True):
            array[...] = np.frombuffer(buffer.data, array.dtype, array.size).reshape(array.shape)
        if ticks is not None and traced is not None:
            ticks[...] = np.frombuffer(traced.data, np.uint64).reshape(ticks.shape)


def run_emulated(artifact: Artifact, target: Target, inputs: Sequence[Any], *, threads: int = 1) -> list[Array]:
    """The outputs of the first signature of an artifact for one CPU."""
    devices = [EmulatedCpu(target, threads)] * len(artifact.devices)
    loaded = Loaded(artifact, artifact.variants[0], devices)
    try:
        return next(loaded.executors(artifact)).run(inputs)
    finally:
        loaded.close()
