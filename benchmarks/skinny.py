"""Skinny matrix products beside numpy, torch and IREE: `python -m benchmarks.skinny`.

Products of few rows or columns are bound by memory or by what a call costs. Operands are arguments of the program, so
that nobody can pack them beforehand, or with `--constant` the right side is a constant of it (numpy and torch gain
nothing by that). Each engine lives in a process of its own, rounds are interleaved; a figure is the median over the
rounds of the best time per call in a round. int8 is i8 x i8 -> i32: `torch._int_mm`, and for numpy, which has none, a
product of i32.

`--python ENGINE=PATH` names the interpreter of a peer; one that cannot import its engine is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .compilers import deploy, iree_compile
from .matrices import matmul_text, operands
from .processes import EngineError, EngineProcess, interleave, parse_pythons
from .worker import save_arrays

SHAPES = ((1, 4096, 4096), (8, 1024, 1024), (4096, 4096, 1), (17, 33, 65))
"""M x K x N."""
OURS = ("tosaic", "tosaic_bound")
"""By `run`, and with the arrays of all calls bound once."""
ENGINES = (*OURS, "numpy", "torch", "iree")
ALLOWED = 1.1
"""Of the best peer's time."""

Shape = tuple[int, int, int]


def measure(
    pythons: Mapping[str, str], shape: Shape, element: str, threads: int, rounds: int, *, constant: bool
) -> dict[str, float | None]:
    """Seconds per call of every engine, None for one that does not work."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        left, right = operands(shape, element)
        both, open_inputs, text = folder / "both.npz", folder / "open.npz", folder / "product.mlir"
        save_arrays(both, [left, right])
        save_arrays(open_inputs, [left] if constant else [left, right])
        text.write_text(matmul_text(shape, element, constant=right if constant else None))
        processes: dict[str, EngineProcess] = {}
        for name in ENGINES:
            file = folder / name
            with contextlib.suppress(EngineError):
                if name in OURS:
                    deploy(text, file, "--devices", f"cpu:{threads}")
                elif name == "iree":
                    iree_compile(pythons[name], text, file)
                inputs = open_inputs if name in (*OURS, "iree") else both
                process = stack.enter_context(EngineProcess(name, pythons[name], file, threads, inputs))
                processes[name] = process.ready()
        interleave(list(processes.values()), 0.1, rounds)
        return {name: statistics.median(processes[name].best) if name in processes else None for name in ENGINES}


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
    options = parser.parse_args()
    pythons = parse_pythons(options.python, ENGINES)
    rows: list[dict[str, Any]] = []
    print("| product | type | threads | " + " | ".join(f"{name}, us" for name in ENGINES) + " | of the best peer |")
    print("|---|---|---|" + "---|" * (len(ENGINES) + 1))
    for product in options.shapes:
        for element in options.types:
            for threads in options.threads:
                shape = _shape(product)
                times = measure(pythons, shape, element, threads, options.rounds, constant=options.constant)
                ours, peers = ([times[n] for n in ENGINES if (n in OURS) == of_us] for of_us in (True, False))
                ratio = min(seconds for seconds in ours if seconds) / min(seconds for seconds in peers if seconds)
                cells = [f"{seconds * 1e6:.1f}" if seconds else "-" for seconds in (times[name] for name in ENGINES)]
                print(f"| {product} | {element} | {threads} | {' | '.join(cells)} | {ratio:.2f} |", flush=True)
                rows.append({"product": product, "type": element, "threads": threads, "ratio": ratio, **times})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return int(options.check and any(row["ratio"] > ALLOWED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
