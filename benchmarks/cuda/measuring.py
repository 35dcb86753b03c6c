"""What a compiled program takes on a GPU."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from tosaic.runtime import load
from tosaic.runtime.errors import TosaicError
from tosaic.runtime.measure import example_inputs

from .cases import Case, artifact_path


def measure(case: Case, folder: Path, device: str | None, seconds: float) -> dict[str, Any]:
    """Seconds: "load", "gpu" (the steps alone, by events) and "call" (from arrays to arrays, what a user waits for).

    device: as --devices has it, of the kind the program was compiled for. "refused" where it does not run.
    """
    path = artifact_path(folder, case)
    try:
        begin = time.perf_counter()
        with load(path, devices=device) as program:
            loading = time.perf_counter() - begin
            inputs = example_inputs(program.inputs)
            outputs = program.run(inputs)
            call = program.bind(inputs, outputs)
            calls = _repeat(call, seconds)
            traces: list[float] = []
            _repeat(lambda: traces.append(_steps(program.main.executor.trace(inputs)[1])), seconds / 2)
    except (TosaicError, OSError) as error:
        return {"refused": str(error).splitlines()[0]}
    return {"load": loading, "call": statistics.median(calls), "gpu": min(traces)}


def _steps(traces: Any) -> float:
    """Seconds from the first step's begin to the last one's end, less what lies between them."""
    return sum(float((trace.seconds[..., 1] - trace.seconds[..., 0]).max(axis=1).sum()) for trace in traces)


def _repeat(work: Any, seconds: float) -> list[float]:
    """The times of calls that go on for `seconds`, three at least, after two that do not count."""
    work()
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return times
