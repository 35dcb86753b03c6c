"""The process of one engine with one file loaded: python -m benchmarks.worker ENGINE FILE THREADS INPUTS.npz

Orders come one a line on the standard input, answers leave as lines of JSON:

    (begin)          {"version": ..., "load": seconds, "rss": bytes}, or {"error": text}
    round SECONDS    {"median": seconds, "best": seconds} of the calls that fit into that time, one at least
    outputs FILE     {}; the results of another call are in FILE.npz, by position
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .engines import ENGINES, Run


def _resident(field: str) -> int:
    """Bytes, now ("VmRSS") or at most so far ("VmHWM"); getrusage would count the process that started this one."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def load_arrays(path: str | Path) -> list[np.ndarray]:
    """What `save_arrays` wrote."""
    with np.load(path) as file:
        return [file[f"{position}"] for position in range(len(file.files))]


def save_arrays(path: str | Path, arrays: list[np.ndarray]) -> None:
    """Arrays by position, in a file that ends in .npz."""
    np.savez(path, **{f"{position}": array for position, array in enumerate(arrays)})  # pyright: ignore[reportArgumentType]


def _time(run: Run, inputs: list[np.ndarray], seconds: float) -> dict[str, float]:
    """The first call is not counted: the caches and threads are those of the engine before."""
    run(inputs)
    times: list[float] = []
    clock = time.perf_counter
    end = clock() + seconds
    begin = 0.0
    while not times or begin < end:
        begin = clock()
        run(inputs)
        times.append(clock() - begin)
    return {"median": statistics.median(times), "best": min(times)}


def main() -> None:
    name, path, threads, inputs_path = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # engines that print do not answer

    def answer(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=answers, flush=True)

    engine, inputs = ENGINES[name], load_arrays(inputs_path)
    try:
        version = engine.version()
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten: proc(5)
        before = _resident("VmRSS")
        begin = time.perf_counter()
        run = engine.open(path, int(threads), inputs)
        seconds = time.perf_counter() - begin
        run(inputs)
        answer({"version": version, "load": seconds, "rss": _resident("VmHWM") - before})
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        return
    for order in sys.stdin:
        what, argument = order.split()
        if what == "round":
            answer(_time(run, inputs, float(argument)))
        else:
            save_arrays(argument, [np.array(result) for result in run(inputs)])
            answer({})


if __name__ == "__main__":
    main()
