"""How long a program takes, as a whole and step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .artifact import Step, TensorInfo
from .executor import SignatureExecutor

Array = npt.NDArray[Any]

_WARM_UP_SECONDS = 0.2
_SECONDS = 1.0
_MINIMUM_RUNS = 10
_CALIBRATION_SECONDS = 0.05


def example_inputs(inputs: Sequence[TensorInfo], seed: int = 0) -> list[Array]:
    """Values to measure with: uniform in 0..1 for floats, the whole range of 8-bit integers, 0 for other types.

    Wider integers are mostly indices, of which only 0 is in range everywhere.
    """
    random = np.random.default_rng(seed)
    arrays = []
    for tensor in inputs:
        dtype = tensor.numpy_dtype
        if dtype in (np.dtype(np.int8), np.dtype(np.uint8)):
            info = np.iinfo(dtype)
            arrays.append(random.integers(info.min, info.max, tensor.shape, dtype, endpoint=True))
        elif dtype.kind in "biu":
            arrays.append(np.zeros(tensor.shape, dtype))
        else:
            arrays.append(random.random(tensor.shape).astype(dtype))
    return arrays


@dataclass(frozen=True)
class Timing:
    """Seconds per run: percentiles over `runs` runs."""

    runs: int
    median: float
    p10: float
    p90: float


def benchmark(executor: SignatureExecutor, inputs: Sequence[Array]) -> Timing:
    """Time whole calls from Python for about a second, after a warm-up."""
    _repeat(executor, inputs, _WARM_UP_SECONDS, 1)
    seconds = _repeat(executor, inputs, _SECONDS, _MINIMUM_RUNS)
    p10, median, p90 = np.percentile(seconds, (10, 50, 90)).tolist()
    return Timing(len(seconds), median, p10, p90)


def _repeat(executor: SignatureExecutor, inputs: Sequence[Array], duration: float, minimum: int) -> list[float]:
    seconds: list[float] = []
    end = time.perf_counter() + duration
    while len(seconds) < minimum or time.perf_counter() < end:
        begin = time.perf_counter()
        executor.run(inputs)
        seconds.append(time.perf_counter() - begin)
    return seconds


@dataclass(frozen=True)
class Profile:
    """When each step ran: microseconds since the first began, [runs, steps, threads, begin and end]."""

    steps: tuple[Step, ...]
    microseconds: npt.NDArray[np.float64]

    @property
    def threads(self) -> int:
        return self.microseconds.shape[2]

    def step_seconds(self) -> npt.NDArray[np.float64]:
        """[steps]: the time of the slowest thread, without its waiting for others; the median over all runs."""
        begin, end = self.microseconds[..., 0], self.microseconds[..., 1]
        return np.median((end - begin).max(axis=2), axis=0) * 1e-6

    def seconds(self) -> float:
        """From the first step's begin to the last one's end, waiting included; the median over all runs."""
        begin, end = self.microseconds[..., 0].min(axis=(1, 2)), self.microseconds[..., 1].max(axis=(1, 2))
        return float(np.median(end - begin)) * 1e-6


def profile(executor: SignatureExecutor, inputs: Sequence[Array], runs: int = 10) -> Profile:
    """Trace `runs` runs, after at least as many that warm up and calibrate the device's clock."""
    ticks_per_second = _calibrate(executor, inputs, runs)
    ticks = np.stack([executor.trace(inputs)[1] for _ in range(runs)])
    since_begin = (ticks - ticks.min()).astype(np.float64)
    return Profile(executor.plan.steps, since_begin * (1e6 / ticks_per_second))


def _calibrate(executor: SignatureExecutor, inputs: Sequence[Array], minimum: int) -> float:
    """Ticks of the device's clock per second, from when the first and the last of many runs end on both clocks."""
    first, start = int(executor.trace(inputs)[1].max()), time.perf_counter()
    runs = 0
    while True:
        last, now = int(executor.trace(inputs)[1].max()), time.perf_counter()
        runs += 1
        if now - start > _CALIBRATION_SECONDS and runs >= minimum:
            return (last - first) / (now - start)
