"""All figures of one model: compiled, loaded and run by every engine."""

from __future__ import annotations

import contextlib
import datetime
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import compilers
from .agreement import differences, is_equal
from .processes import EngineError, EngineProcess, interleave
from .roofline import Machine, measure_dispatches
from .standings import THREADS
from .subjects import F32, Subject

ROUNDS = 7
STARTS = 5
"""Of processes that load a model, for a median: a single start may meet a page that is not in memory."""
_STARTED = ("tosaic", "litert")
"""Whose loading is compared."""


def measure(
    subject: Subject,
    pythons: Mapping[str, str],
    machine: Machine,
    seconds: float,
    rounds: int = ROUNDS,
    also: Sequence[str] = (),
) -> dict[str, Any]:
    """The record of a model: times in seconds, sizes in bytes. `also` names more engines that open our artifact.

    class, twin, date: of the model. refused: why we cannot compile it; then there is no more.
    compile: "cold", "cached" and "iree". size: "artifact" and "tflite". exact: whether we equal the reference.
    engines: by name "times" by threads, "load", "rss", "version" and `differences` of the results, or "refused".
    others: processors that were busy with something else at the same time. dispatches: see `roofline`.
    """
    record: dict[str, Any] = {"class": subject.kind, "twin": subject.twin, "engines": {}}
    record["date"] = datetime.date.today().isoformat()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files: dict[str, tuple[str, Path]] = {}
        try:
            files |= _compile(subject, folder, record)
        except EngineError as error:
            return {**record, "refused": str(error)}
        files |= {name: (name, files["tosaic"][1]) for name in also}
        files |= _peers(subject, pythons, record)
        reference, inputs = _reference(subject, pythons, record), subject.inputs
        for threads in THREADS:
            with _processes(files, pythons, threads, inputs, record) as processes:
                if threads == THREADS[0]:
                    _note_starts(processes, reference, folder, record)
                others = interleave(list(processes.values()), seconds, rounds)
                record["others"] = max(others, record.get("others", 0.0))
                for name, process in processes.items():
                    record["engines"][name]["times"][str(threads)] = process.median
        _repeat_starts(files, pythons, inputs, record)
        if "times" in record["engines"]["tosaic"]:
            record["dispatches"] = measure_dispatches(files["tosaic"][1], inputs, machine)
    return record


def _compile(subject: Subject, folder: Path, record: dict[str, Any]) -> dict[str, tuple[str, Path]]:
    """Our artifacts, by what the record calls them, with the engine that opens them."""
    artifact, cache = folder / f"{subject.name}.module", folder / "cache"
    cold = compilers.deploy(subject.path, artifact, cache=cache)
    cached = min(compilers.deploy(subject.path, artifact, cache=cache) for _ in range(2))
    record["compile"] = {"cold": cold, "cached": cached}
    record["size"] = {"artifact": artifact.stat().st_size, "tflite": subject.path.stat().st_size}
    files = {"tosaic": ("tosaic", artifact)}
    if subject.kind == F32:
        narrow = folder / f"{subject.name}-bf16.module"
        try:
            compilers.deploy(subject.path, narrow, "--precision", "bf16")
            files["tosaic_bf16"] = ("tosaic", narrow)
        except EngineError as error:
            record["engines"]["tosaic_bf16"] = {"refused": str(error)}
    return files


def _peers(subject: Subject, pythons: Mapping[str, str], record: dict[str, Any]) -> dict[str, tuple[str, Path]]:
    """What the peers open: the model itself, its .onnx file, or what IREE compiled."""
    files = {name: (name, subject.path) for name in ("litert", "openvino", "openvino_bf16")}
    if subject.onnx is not None:
        files["onnxruntime"] = ("onnxruntime", subject.onnx)
    try:
        binary, record["compile"]["iree"] = compilers.iree_binary(pythons["iree"], subject)
        files["iree"] = ("iree", binary)
    except EngineError as error:
        record["engines"]["iree"] = {"refused": str(error)}
    return files


def _reference(subject: Subject, pythons: Mapping[str, str], record: dict[str, Any]) -> Sequence[np.ndarray] | None:
    try:
        return subject.reference(pythons["litert_reference"])
    except EngineError as error:
        record["reference_refused"] = str(error)
        return None


def _note_starts(
    processes: Mapping[str, EngineProcess],
    reference: Sequence[np.ndarray] | None,
    folder: Path,
    record: dict[str, Any],
) -> None:
    """What the processes tell at their start, and how their results differ from the reference."""
    for name, process in processes.items():
        engine = {"times": {}, "version": process.version, "load": process.load, "rss": process.rss}
        if reference is not None:
            outputs = process.outputs(folder / "outputs.npz")
            engine |= differences(outputs, reference)
            if name == "tosaic":
                record["exact"] = is_equal(outputs, reference)
        record["engines"][name] = engine


def _repeat_starts(
    files: Mapping[str, tuple[str, Path]], pythons: Mapping[str, str], inputs: Path, record: dict[str, Any]
) -> None:
    """Load anew, in turns, and leave the medians in `record`."""
    starts = {name: [(engine["load"], engine["rss"])] for name, engine in record["engines"].items() if "load" in engine}
    for _ in range(STARTS - 1):
        for name in _STARTED:
            if name in starts:
                engine, path = files[name]
                with EngineProcess(engine, pythons[engine], path, THREADS[0], inputs) as process:
                    process.ready()
                    starts[name].append((process.load, process.rss))
    for name, figures in starts.items():
        loads, sizes = zip(*figures, strict=True)
        record["engines"][name] |= {"load": statistics.median(loads), "rss": statistics.median(sizes)}


@contextlib.contextmanager
def _processes(
    files: Mapping[str, tuple[str, Path]],
    pythons: Mapping[str, str],
    threads: int,
    inputs: Path,
    record: dict[str, Any],
) -> Iterator[dict[str, EngineProcess]]:
    """The engines that can run the model. First one after the other, so that none disturbs the loading of another."""
    with contextlib.ExitStack() as stack:
        begun: dict[str, EngineProcess] = {}
        for name, (engine, path) in files.items():
            if "refused" not in record["engines"].get(name, {}):
                begun[name] = stack.enter_context(EngineProcess(engine, pythons[engine], path, threads, inputs))
                if threads == THREADS[0]:
                    _wait(name, begun, record)
        if threads != THREADS[0]:
            for name in list(begun):
                _wait(name, begun, record)
        yield begun


def _wait(name: str, begun: dict[str, EngineProcess], record: dict[str, Any]) -> None:
    """Until a process is ready; one that fails is taken out."""
    try:
        begun[name].ready()
    except EngineError as error:
        del begun[name]
        record["engines"][name] = {"refused": str(error)}
