"""How many images a second go through a model in batches, on two threads."""

from __future__ import annotations

import contextlib
import datetime
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import compilers
from .inputs import smooth_image
from .processes import EngineError, EngineProcess, interleave
from .roofline import Machine
from .subjects import Subject
from .worker import save_arrays

MODEL = "mobilenet_v2_f32"
SIZES = (1, 4, 16)
"""Of the batches that 64 images come in; an engine is judged by what suits it best, and all of them like few."""
THREADS = 2
_ROUNDS, _SECONDS = 5, 0.1


def measure(subjects: Sequence[Subject], folder: Path, pythons: Mapping[str, str], machine: Machine) -> dict[str, Any]:
    """Images per second by engine and size of the batches. Raises EngineError where the model is not among those."""
    subject = next((subject for subject in subjects if subject.name == MODEL), None)
    if subject is None:
        raise EngineError(f"{MODEL}.tflite is not among the models")
    generator = np.random.default_rng(0)
    images = np.stack([smooth_image(generator, 224, 224, 3) * 2 - 1 for _ in range(max(SIZES))])
    rates: dict[str, dict[str, float]] = {}
    for size in SIZES:
        for name, rate in _rates(subject, images[:size], pythons).items():
            rates.setdefault(name, {})[str(size)] = rate
    return {"model": MODEL, "threads": THREADS, "date": datetime.date.today().isoformat(), "rates": rates}


def _rates(subject: Subject, batch: np.ndarray, pythons: Mapping[str, str]) -> dict[str, float]:
    """Images per second of the engines that take batches of this size."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inputs, artifact = folder / "inputs.npz", folder / "batch.module"
        save_arrays(inputs, [batch])
        compilers.deploy(subject.path, artifact, "--shape", f"input={'x'.join(map(str, batch.shape))}")
        files = {"tosaic": artifact, **dict.fromkeys(("litert", "openvino"), subject.path)}
        if len(batch) == 1 and subject.onnx is not None:
            files["onnxruntime"] = subject.onnx  # its file has the size of the batch in it
        if len(batch) == max(SIZES):  # streams take single images out of it
            single = folder / "single.module"
            compilers.deploy(subject.path, single)
            files |= {"tosaic_streams": single, "openvino_streams": subject.path}
        processes = []
        for name, file in files.items():
            with contextlib.suppress(EngineError):
                process = stack.enter_context(EngineProcess(name, pythons[name], file, THREADS, inputs))
                processes.append(process.ready())
        interleave(processes, _SECONDS, _ROUNDS)
        return {process.engine: len(batch) / process.median for process in processes}
