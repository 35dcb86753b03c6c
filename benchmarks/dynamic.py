"""Matrix products of sizes that only a call knows beside the same with sizes known: `python -m benchmarks.dynamic`.

Both are whole programs, operands are arguments: the right side is packed at run time in either. Calls take turns; a
figure is the best of all.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import tosaic.lowering
from tosaic.runtime import load
from tosaic.tosa.text import parse

from .matrices import RESULTS, matmul_text, operands

SHAPES = ("256x256x256", "512x512x512", "1024x1024x1024", "2048x2048x2048", "1000x513x777")
"""M x K x N."""
WANTED = 0.85
"""Of the speed with sizes known."""


def best_times(programs: list[Any], inputs: list[Any], seconds: float) -> list[float]:
    """The best time of a call of each program, in seconds, measured in turns for `seconds` (two calls at least)."""
    best = [float("inf")] * len(programs)
    rounds, end = 0, time.perf_counter() + seconds
    while rounds < 3 or time.perf_counter() < end:
        for position, program in enumerate(programs):
            begin = time.perf_counter()
            program.run(inputs)
            elapsed = time.perf_counter() - begin
            if rounds:
                best[position] = min(best[position], elapsed)
        rounds += 1
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), help="MxKxN")
    parser.add_argument("--types", nargs="+", default=list(RESULTS), choices=list(RESULTS))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each product")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 below {100 * WANTED:.0f} percent")
    options = parser.parse_args()
    missed = False
    print("| product | type | threads | known, us | at run time, us | share |\n|---|---|---|---|---|---|")
    for element in options.types:
        for threads in options.threads:
            devices = [f"cpu:{threads}"]
            open_sizes = load(tosaic.lowering.compile(parse(matmul_text((0, 0, 0), element, dynamic=True)), devices))
            for text in options.shapes:
                m, k, n = (int(size) for size in text.split("x"))
                known = load(tosaic.lowering.compile(parse(matmul_text((m, k, n), element)), devices))
                first, second = best_times([known, open_sizes], list(operands((m, k, n), element)), options.seconds)
                share = first / second
                missed |= share < WANTED
                times = f"{first * 1e6:.0f} | {second * 1e6:.0f}"
                print(f"| {text} | {element} | {threads} | {times} | {share:.2f} |", flush=True)
    return int(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
