"""Tosaic against LiteRT, model by model: latency on 1 and 2 threads, load, memory, artifact size, compile time.

    python -m benchmarks.models ZOO/mobilenet_v1_f32.tflite ZOO/mobilenet_v1_int8.tflite [--seconds 5] [--json out.json]

Each engine runs in a process of its own; rounds are interleaved; medians; the ratio is Tosaic to LiteRT, below 1 is
faster. Nothing else may run on the machine. Absolute times move with the machine; ratios taken in one run hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.engines import EngineProcess, interleave
from benchmarks.inputs import example_inputs


def _deploy(arguments: list[str], cache: Path) -> float:
    """Seconds of one `deploy` command, Python start included."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [str(Path(sys.executable).with_name("deploy")), *arguments]
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(model: Path, folder: Path, seconds: float) -> dict[str, float]:
    """All figures of one .tflite; times in seconds, sizes in bytes."""
    artifact, cache = folder / f"{model.stem}.module", folder / "cache"
    figures = {"compile_cold": _deploy([str(model), "-o", str(artifact)], cache)}
    figures["compile_cached"] = min(_deploy([str(model), "-o", str(artifact)], cache) for _ in range(3))
    figures["size"], figures["tflite_size"] = artifact.stat().st_size, model.stat().st_size
    inputs = example_inputs(model)
    for threads in (1, 2):
        processes = [
            EngineProcess("tosaic", artifact, threads, inputs),
            EngineProcess("litert", model, threads, inputs),
        ]
        interleave(processes, seconds)
        for name, process in zip(("tosaic", "litert"), processes, strict=True):
            figures[f"{name}_{threads}"] = process.median
            if threads == 1:
                figures[f"{name}_load"], figures[f"{name}_rss"] = process.load_seconds, process.added_rss
            process.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0, help="measured per model and thread count")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    table = Table(title="Tosaic / LiteRT")
    for column in (
        "model", "ms, 1 thread", "ratio", "ms, 2 threads", "ratio", "load ms", "RSS MB", "size / .tflite", "compile s",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "model" else "right")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            results[model.stem] = figures = measure(model, Path(folder), arguments.seconds)
            row = [model.stem]
            for threads in (1, 2):
                ours, theirs = figures[f"tosaic_{threads}"], figures[f"litert_{threads}"]
                row += [f"{ours * 1e3:.2f} / {theirs * 1e3:.2f}", f"{ours / theirs:.2f}"]
            row.append(f"{figures['tosaic_load'] * 1e3:.0f} / {figures['litert_load'] * 1e3:.0f}")
            row.append(f"{figures['tosaic_rss'] / 1e6:.0f} / {figures['litert_rss'] / 1e6:.0f}")
            row.append(f"{figures['size'] / figures['tflite_size']:.2f}")
            row.append(f"{figures['compile_cold']:.2f}, cached {figures['compile_cached']:.2f}")
            table.add_row(*row)
            print(" | ".join(row), file=sys.stderr, flush=True)
    Console(width=150).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
