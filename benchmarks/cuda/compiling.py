"""The programs of all cases as artifacts, made on any machine."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tosaic.importers import import_model
from tosaic.lowering import compile
from tosaic.runtime.errors import TosaicError
from tosaic.tosa.text import parse

from .cases import Case, artifact_path

MANIFEST = "manifest.json"
DIGITS = Path(__file__).resolve().parents[2] / "models" / "digits"


def compile_cases(chosen: list[Case], folder: Path, zoo: Path | None, device: str) -> dict[str, Any]:
    """Write the artifacts, and a manifest of what was compiled and what could not be, and why."""
    folder.mkdir(parents=True, exist_ok=True)
    records: dict[str, Any] = {}
    for case in chosen:
        begin = time.perf_counter()
        try:
            artifact = compile(_module(case, zoo), [device], precision=case.precision)
        except (TosaicError, OSError) as error:
            records[case.name] = {"refused": str(error).splitlines()[0]}
            continue
        artifact.save(artifact_path(folder, case))
        records[case.name] = {"compile": time.perf_counter() - begin}
    manifest = {"device": device, "cases": records}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def _module(case: Case, zoo: Path | None) -> Any:
    if case.text is not None:
        return parse(case.text, case.name)
    path = next(
        (f / f"{case.model}.tflite" for f in (DIGITS, zoo) if f and (f / f"{case.model}.tflite").exists()), None
    )
    if path is None:
        raise FileNotFoundError(f"there is no {case.model}.tflite: name the zoo's folder")
    module = import_model(path)
    return module if case.size == 1 else import_model(path, _batched(path, case.size))


def _batched(path: Path, batch: int) -> Mapping[str, list[int]]:
    """The shapes of a model's inputs with another number of samples."""
    artifact = compile(import_model(path), ["reference"])
    return {tensor.name: [batch, *(size or 1 for size in tensor.shape[1:])] for tensor in artifact.signatures[0].inputs}
