"""The engines that benchmarks compare, each behind the same two calls, each living in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np


def open_tosaic(model: Path, threads: int) -> Callable[[list[np.ndarray]], object]:
    """`model` is an artifact that `deploy -o` wrote: a benchmark of running does not compile."""
    from tosaic.runtime import load

    program = load(model, threads=threads)
    return program.run


def open_litert(model: Path, threads: int) -> Callable[[list[np.ndarray]], object]:
    """LiteRT with its default resolver, which means XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=threads)
    interpreter.allocate_tensors()
    sources = [detail["index"] for detail in interpreter.get_input_details()]
    results = [detail["index"] for detail in interpreter.get_output_details()]

    def run(inputs: list[np.ndarray]) -> object:
        for index, array in zip(sources, inputs, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in results]

    return run


ENGINES = {"tosaic": open_tosaic, "litert": open_litert}


def _resident(field: str) -> int:
    """Bytes, now ("VmRSS") or at most so far ("VmHWM"); getrusage would count the process that started this one."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def _serve(connection: Connection, engine: str, model: Path, threads: int, inputs: list[np.ndarray]) -> None:
    opener = ENGINES[engine]
    if engine == "tosaic":
        import tosaic.runtime  # noqa: F401  the interpreter and its imports are not what running a model adds
    else:
        import ai_edge_litert.interpreter  # noqa: F401
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten: proc(5)
    before = _resident("VmRSS")
    start = time.perf_counter()
    run = opener(model, threads)
    load_seconds = time.perf_counter() - start
    run(inputs)
    connection.send((load_seconds, _resident("VmHWM") - before))
    while (count := connection.recv()) is not None:
        seconds = []
        for _ in range(count):
            start = time.perf_counter()
            run(inputs)
            seconds.append(time.perf_counter() - start)
        connection.send(seconds)


class EngineProcess:
    """One engine with one model loaded, waiting for rounds; `load_seconds` and `added_rss` (bytes) are of its start."""

    def __init__(self, engine: str, model: Path, threads: int, inputs: list[np.ndarray]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, engine, model, threads, inputs), name=engine, daemon=True
        )
        self._process.start()
        theirs.close()
        self.load_seconds, self.added_rss = self._connection.recv()
        self.seconds: list[float] = []

    def round(self, count: int) -> None:
        """Run `count` inferences and keep their times."""
        self._connection.send(count)
        self.seconds += self._connection.recv()

    @property
    def median(self) -> float:
        """Seconds per inference."""
        return median(self.seconds)

    def close(self) -> None:
        self._connection.send(None)
        self._process.join(10)
        self._process.kill()


def interleave(processes: list[EngineProcess], seconds: float) -> None:
    """Rounds in turn until about `seconds` have been measured; the first round of each only warms it up."""
    for process in processes:
        process.round(3)
        process.seconds.clear()
        process.round(3)
    count = max(1, round(0.05 / max(process.median for process in processes)))
    for process in processes:
        process.seconds.clear()
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(processes[0].seconds) < 5:
        for process in processes:
            process.round(count)
