"""Tosaic against LiteRT, OpenVINO, ONNX Runtime and IREE, model by model: python -m benchmarks.models MODELS...

    python -m benchmarks.models $TOSAIC_ZOO shared/models --python openvino=OPENVINO/bin/python \
        --python onnxruntime=ONNXRUNTIME/bin/python --python iree=IREE/bin/python --document --check

MODELS are .tflite files, or folders of them. What is measured goes into FOLDER/figures.json model by model; a run that
was cut off goes on where it stopped, and with --again measures anew. Nothing else may run on the machine. Absolute
times move with the machine; ratios taken in one run hold.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import batches, calls, store
from .document import write_document
from .engines import ENGINES
from .goals import missed
from .measuring import ROUNDS, measure
from .processes import EngineError, parse_pythons
from .roofline import Machine
from .standings import is_disturbed, ratio
from .subjects import Subject

PARTS = ("models", "calls", "batches")


def find_models(paths: Sequence[Path]) -> list[Path]:
    """The .tflite files among and in `paths`."""
    return [file for path in paths for file in (sorted(path.glob("*.tflite")) if path.is_dir() else [path])]


def describe(name: str, record: Mapping[str, Any]) -> str:
    """A line for who waits."""
    if "refused" in record:
        return f"{name}: not compiled: {record['refused']}"
    cells = [f"{threads} threads {value:.2f}" for threads in (1, 2) if (value := ratio(record, threads))]
    line = f"{name}: of the best peer's time {', '.join(cells) or 'none to compare with'}"
    return f"{line}; DISTURBED by other processes" if is_disturbed(record) else line


def run(subjects: Sequence[Subject], options: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Measure what the file at `path` lacks, and return all that it has then. What fails is told and left out."""
    pythons = parse_pythons(options.python, ENGINES)
    begin = time.perf_counter()
    figures = store.read(path)
    known = {} if options.again else figures
    todo = [each for each in subjects if "models" in options.parts and each.name not in known.get("models", {})]
    parts = {"calls": calls.measure, "batches": batches.measure}
    parts = {part: function for part, function in parts.items() if part in options.parts and part not in known}
    if not todo and not parts:
        return figures
    machine = Machine.measured()
    figures = store.add(path, {"machine": machine.record()})
    for number, subject in enumerate(todo, 1):
        try:
            record = measure(subject, pythons, machine, options.seconds, options.rounds)
            figures = store.add(path, {"models": {subject.name: record}})
            line = describe(subject.name, record)
        except EngineError as error:
            line = f"{subject.name}: {error}"
        print(f"[{number}/{len(todo)}, {time.perf_counter() - begin:.0f} s] {line}", file=sys.stderr, flush=True)
    for part, measure_part in parts.items():
        try:
            figures = store.add(path, {part: measure_part(subjects, options.folder, pythons, machine)})
            line = part
        except EngineError as error:
            line = f"{part}: {error}"
        print(f"[{time.perf_counter() - begin:.0f} s] {line}", file=sys.stderr, flush=True)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODELS")
    parser.add_argument("--folder", type=Path, default=Path("build/benchmarks"), help="of figures and what is kept")
    parser.add_argument("--python", action="append", default=[], metavar="ENGINE=PATH", help="an engine's interpreter")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=0.06, help="of a round of one engine")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--again", action="store_true", help="measure what is known already")
    parser.add_argument("--document", action="store_true", help="write docs/performance.md and its picture")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a goal is missed")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "figures.json"
    figures = store.read(path)
    subjects = [Subject(model, options.folder) for model in find_models(options.models)]
    if subjects:
        figures = run(subjects, options, path)
    if options.document:
        write_document(figures)
    problems = missed(figures)
    for problem in problems:
        print(problem)
    return int(options.check and bool(problems))


if __name__ == "__main__":
    sys.exit(main())
