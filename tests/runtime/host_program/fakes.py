"""Devices that are Python functions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tosaic.runtime.artifact import Image, Segment, TensorType
from tosaic.runtime.device import Array
from tosaic.runtime.host_program.queues import Queue
from tosaic.runtime.host_program.station import Station

Compute = Callable[[Sequence[Array], Any], Sequence[Any]]
"""(inputs, table) -> outputs."""


class FakeSegment:
    """See `device.BoundSegment`."""

    def __init__(self, segment: Segment, compute: Compute) -> None:
        self.segment = segment
        self.compute = compute
        self.arenas: list[int] = []

    def invoke(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        self.arenas.append(arena_bytes)
        for output, value in zip(outputs, self.compute(inputs, table), strict=True):
            output[...] = value

    def trace(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        begin = time.perf_counter()
        self.invoke(inputs, outputs, table, arena_bytes)
        return np.array([[[begin, time.perf_counter()]]])


class FakeExecutable:
    """See `device.Executable`: segment number i computes functions[i]."""

    threads = 1
    target = "fake"

    def __init__(self, functions: Sequence[Compute]) -> None:
        self.lock = threading.Lock()
        self.functions = list(functions)
        self.bound: list[FakeSegment] = []

    def bind(self, segment: Segment) -> FakeSegment:
        self.bound.append(FakeSegment(segment, self.functions[len(self.bound)]))
        return self.bound[-1]

    def close(self) -> None: ...


def segment(inputs: Sequence[TensorType], outputs: Sequence[TensorType], scalars: int = 0, arena: int = 0) -> Segment:
    return Segment(f"segment {id(inputs)}", tuple(inputs), tuple(outputs), scalars, (), arena, 0)


def station(
    *segments: tuple[Segment, Compute], name: str = "fake", queue: Queue | None = None
) -> tuple[Station, FakeExecutable]:
    executable = FakeExecutable([compute for _, compute in segments])
    image = Image("fake", (), b"", {}, tuple(segment for segment, _ in segments))
    return Station(name, executable, image, queue), executable
