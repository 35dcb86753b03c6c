"""Skinny matrix products beside numpy, torch and IREE: `python -m benchmarks.skinny`.

Products of few rows or columns are bound by memory or by what a call costs. Operands are arguments of the program, so
that nobody can pack them beforehand, or with `--constant` the right side is a constant of it (of numpy's and torch's
programs too, which gain nothing by that). Each engine lives in a process of its own, rounds are interleaved; a figure
is the median over the rounds of the best time per call in a round. int8 is i8 x i8 -> i32: `torch._int_mm`, and for
numpy, which has none, a product of i32.

`--python ENGINE=PATH` names the interpreter of a peer; one that cannot import its engine is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .matrices import matmul_text, operands

SHAPES = ((1, 4096, 4096), (8, 1024, 1024), (4096, 4096, 1), (17, 33, 65))
"""M x K x N."""
ENGINES = ("tosaic", "numpy", "torch", "iree")
ALLOWED = 1.1
"""Of the best peer's time."""

Shape = tuple[int, int, int]
Call = Callable[[], Any]


def tosaic_call(shape: Shape, element: str, threads: int, *, constant: bool) -> Call:
    import tosaic.lowering
    from tosaic.runtime import load
    from tosaic.tosa.text import parse

    left, right = operands(shape, element)
    text = matmul_text(shape, element, constant=right if constant else None)
    program = load(tosaic.lowering.compile(parse(text), devices=[f"cpu:{threads}"]))
    inputs = [left] if constant else [left, right]
    return lambda: program.run(inputs)


def numpy_call(shape: Shape, element: str, threads: int, *, constant: bool) -> Call:
    import numpy as np

    left, right = operands(shape, element)
    if element == "i8":
        return lambda: np.matmul(left.astype(np.int32), right.astype(np.int32))
    return lambda: np.matmul(left, right)


def torch_call(shape: Shape, element: str, threads: int, *, constant: bool) -> Call:
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    left, right = (torch.from_numpy(array) for array in operands(shape, element))
    multiply = torch._int_mm if element == "i8" else torch.matmul

    def call() -> Any:
        with torch.inference_mode():
            return multiply(left, right)

    return call


def iree_call(shape: Shape, element: str, threads: int, *, constant: bool) -> Call:
    import iree.compiler as compiler  # pyright: ignore[reportMissingImports]
    import iree.runtime as runtime  # pyright: ignore[reportMissingImports]

    left, right = operands(shape, element)
    text = matmul_text(shape, element, constant=right if constant else None)
    flags = ["--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3", "--iree-opt-data-tiling=true"]
    binary = compiler.compile_str(text, target_backends=["llvm-cpu"], extra_args=flags)
    runtime.flags.parse_flags(f"--task_topology_group_count={threads}")
    config = runtime.Config("local-task" if threads > 1 else "local-sync")
    module = runtime.load_vm_module(runtime.VmModule.copy_buffer(config.vm_instance, binary), config)
    inputs = [runtime.asdevicearray(config.device, array) for array in ([left] if constant else [left, right])]
    return lambda: module.main(*inputs)


CALLS: dict[str, Callable[..., Call]] = {
    "tosaic": tosaic_call,
    "numpy": numpy_call,
    "torch": torch_call,
    "iree": iree_call,
}


def serve(engine: str, shape: Shape, element: str, threads: int, *, constant: bool) -> None:
    """Reads a number of seconds per line, calls the engine for so long, and prints the best time of a call."""
    call = CALLS[engine](shape, element, threads, constant=constant)
    call()
    print("ready", flush=True)
    for line in sys.stdin:
        best, end = float("inf"), time.perf_counter() + float(line)
        while time.perf_counter() < end or best == float("inf"):
            begin = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - begin)
        print(best, flush=True)


class Engine:
    """An engine in a process of its own, ready for one product; `works` unless its process could not begin."""

    def __init__(self, name: str, python: str, shape: Shape, element: str, threads: int, *, constant: bool) -> None:
        command = [python, "-m", "benchmarks.skinny", "--serve", name, "--threads", str(threads), "--types", element]
        command += ["--shapes", "x".join(map(str, shape)), *(["--constant"] if constant else [])]
        limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if name == "tosaic" else subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, **limits},
        )
        assert self.process.stdout is not None
        self.works = self.process.stdout.readline().strip() == "ready"
        self.times: list[float] = []

    def round(self, seconds: float) -> None:
        """Measures once more."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        self.times.append(float(self.process.stdout.readline()))

    def close(self) -> float | None:
        """The median in seconds, None for an engine that did not work."""
        self.process.communicate()
        return statistics.median(self.times) if self.times else None


def measure(
    pythons: dict[str, str], shape: Shape, element: str, threads: int, rounds: int, *, constant: bool
) -> dict[str, float | None]:
    """Seconds per call of every engine."""
    engines = {
        name: Engine(name, python, shape, element, threads, constant=constant) for name, python in pythons.items()
    }
    for _ in range(rounds):
        for engine in engines.values():
            if engine.works:
                engine.round(0.1)
    return {name: engine.close() for name, engine in engines.items()}


def _shape(text: str) -> Shape:
    m, k, n = (int(size) for size in text.split("x"))
    return m, k, n


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shapes", nargs="+", default=["x".join(map(str, shape)) for shape in SHAPES], help="MxKxN")
    parser.add_argument("--types", nargs="+", default=["f32", "i8"], choices=["f32", "i8"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--constant", action="store_true", help="the right side is a constant of the program")
    parser.add_argument("--python", action="append", default=[], metavar="ENGINE=PATH")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true", help="exit with 1 where we are too slow")
    parser.add_argument("--serve", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    shapes = [_shape(text) for text in options.shapes]
    if options.serve:
        serve(options.serve, shapes[0], options.types[0], options.threads[0], constant=options.constant)
        return 0
    pythons: dict[str, str] = dict.fromkeys(ENGINES, sys.executable)
    for text in options.python:
        name, _, path = text.partition("=")
        pythons[name] = path
    rows: list[dict[str, Any]] = []
    print("| product | type | threads | " + " | ".join(f"{name}, us" for name in ENGINES) + " | of the best peer |")
    print("|---|---|---|" + "---|" * (len(ENGINES) + 1))
    for shape in shapes:
        for element in options.types:
            for threads in options.threads:
                times = measure(pythons, shape, element, threads, options.rounds, constant=options.constant)
                peers = [times[name] for name in ENGINES[1:]]
                ratio = (times["tosaic"] or float("inf")) / min(seconds for seconds in peers if seconds)
                cells = [f"{seconds * 1e6:.1f}" if seconds else "-" for seconds in (times[name] for name in ENGINES)]
                product = "x".join(map(str, shape))
                print(f"| {product} | {element} | {threads} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)
                rows.append({"product": product, "type": element, "threads": threads, "ratio": ratio, **times})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return int(options.check and any(row["ratio"] > ALLOWED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
