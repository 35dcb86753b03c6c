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

_UNKNOWN_SIZE = 128
_WARM_UP_SECONDS = 0.2
_SECONDS = 1.0
_MINIMUM_RUNS = 10


def example_inputs(inputs: Sequence[TensorInfo], seed: int = 0) -> list[Array]:
    """Values to measure with: uniform in 0..1 for floats, the whole range of 8-bit integers, 0 for other types.

    Wider integers are mostly indices, of which only 0 is in range everywhere. Unknown sizes are taken to be 128.
    """
    random = np.random.default_rng(seed)
    arrays = []
    for tensor in inputs:
        dtype = tensor.numpy_dtype
        shape = tuple(size if size is not None else _UNKNOWN_SIZE for size in tensor.shape)
        if dtype in (np.dtype(np.int8), np.dtype(np.uint8)):
            info = np.iinfo(dtype)
            arrays.append(random.integers(info.min, info.max, shape, dtype, endpoint=True))
        elif dtype.kind in "biu":
            arrays.append(np.zeros(shape, dtype))
        else:
            arrays.append(random.random(shape).astype(dtype))
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
class StepProfile:
    """One step of a segment: `seconds` has, for each run, when it began and ended, [executions, threads, 2]."""

    device: str
    step: Step
    seconds: tuple[npt.NDArray[np.float64], ...]

    @property
    def threads(self) -> int:
        return max((times.shape[1] for times in self.seconds), default=1)

    def duration(self) -> float:
        """Seconds per run: the time of the slowest thread, without its waiting for others; the median over all runs."""
        return float(np.median([(times[..., 1] - times[..., 0]).max(axis=1).sum() for times in self.seconds]))


@dataclass(frozen=True)
class Profile:
    """When each step of `runs` runs was executed, in seconds since the first began."""

    steps: tuple[StepProfile, ...]
    runs: int

    def seconds(self) -> float:
        """From the first step's begin to the last one's end, waiting included; the median over all runs."""
        spans = []
        for run in range(self.runs):
            times = [step.seconds[run] for step in self.steps if step.seconds[run].size]
            if times:
                begin, end = min(t[..., 0].min() for t in times), max(t[..., 1].max() for t in times)
                spans.append(end - begin)
        return float(np.median(spans)) if spans else 0.0


def profile(executor: SignatureExecutor, inputs: Sequence[Array], runs: int = 10) -> Profile:
    """Trace `runs` runs, after at least as many that warm up."""
    for _ in range(runs):
        executor.trace(inputs)
    traces = [executor.trace(inputs)[1] for _ in range(runs)]
    begin = min((trace.seconds.min() for run in traces for trace in run if trace.seconds.size), default=0.0)
    steps = []
    for device, segment in executor.segments:
        executions = [
            [trace.seconds - begin for trace in run if trace.device == device and trace.segment is segment]
            for run in traces
        ]
        for number, step in enumerate(segment.steps):
            seconds = tuple(
                np.stack([times[number] for times in run]) if run else np.zeros((0, 1, 2)) for run in executions
            )
            steps.append(StepProfile(device, step, seconds))
    return Profile(tuple(steps), runs)
