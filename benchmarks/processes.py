"""Engines in processes of their own, and rounds that take turns among them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .worker import load_arrays

PAUSE = 0.02
"""Seconds before a round: threads of the engine before it may still be waiting actively."""


class EngineError(Exception):
    """An engine cannot run a model; says why."""


class EngineProcess:
    """One engine with one file loaded, waiting for rounds once it is `ready`.

    version: of the engine. load: seconds to open the file. rss: bytes that this and a first call added at most.
    rounds, best: of each round the median, or the least, of its seconds per call.
    """

    version: str
    load: float
    rss: int

    def __init__(self, engine: str, python: str, path: Path, threads: int, inputs: Path) -> None:
        # What pip installs comes with .pyc files; those of a clone are kept too, so that nobody compiles while timed.
        limits = {"PYTHONDONTWRITEBYTECODE": ""}
        limits |= {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        self.engine = engine
        self.rounds: list[float] = []
        self.best: list[float] = []
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", engine, str(path), str(threads), str(inputs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, **limits},
        )

    def ready(self) -> EngineProcess:
        """Wait until the file is loaded and called once. Raises EngineError, as every method."""
        begun = self._answer()
        self.version, self.load, self.rss = begun["version"], begun["load"], begun["rss"]
        return self

    def round(self, seconds: float) -> None:
        """Call for so long and keep the times."""
        times = self._ask(f"round {seconds}")
        self.rounds.append(times["median"])
        self.best.append(times["best"])

    def outputs(self, path: Path) -> list[np.ndarray]:
        """The results of another call, which go through the file `path`."""
        self._ask(f"outputs {path}")
        return load_arrays(path)

    @property
    def identifier(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def median(self) -> float:
        """Seconds per call."""
        return statistics.median(self.rounds)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise EngineError(f"{self.engine} ended with exit code {self._process.returncode}")
        answer = json.loads(line)
        if "error" in answer:
            self.close()
            raise EngineError(answer["error"])
        return answer


def interleave(processes: Sequence[EngineProcess], seconds: float, rounds: int) -> float:
    """`rounds` rounds of each in turn, of `seconds` seconds of calls; what was measured before is forgotten.

    Returns how many processors were busy meanwhile with anything but these processes, as a mean.
    """
    identifiers = [process.identifier for process in processes]
    begin, others = time.perf_counter(), _busy_seconds() - _used_seconds(identifiers)
    for process in processes:
        process.round(seconds)  # warms up
        process.rounds.clear()
        process.best.clear()
    for _ in range(rounds):
        for process in processes:
            time.sleep(PAUSE)
            process.round(seconds)
    others = _busy_seconds() - _used_seconds(identifiers) - others
    return max(0.0, others) / (time.perf_counter() - begin)


def _busy_seconds() -> float:
    """Processor time that all processes of the machine have used so far: proc(5), /proc/stat."""
    user, nice, system, _, _, interrupts, soft_interrupts, *_ = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")


def _used_seconds(identifiers: Iterable[int]) -> float:
    """Processor time that some processes have used so far."""
    # The command's name, in brackets, may have blanks; of what follows, utime and stime are the 12th and the 13th.
    fields = [Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in identifiers]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def parse_pythons(texts: Iterable[str], engines: Iterable[str]) -> dict[str, str]:
    """The interpreter of each engine: "openvino=PATH" names that of "openvino" and "openvino_bf16"; else this one."""
    given: Mapping[str, str] = dict(text.split("=", 1) for text in texts)
    return {name: given.get(name) or given.get(name.partition("_")[0]) or sys.executable for name in engines}
