"""Compiling for a benchmark: `deploy`, and `iree-compile` on what `tosa-import` prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .processes import EngineError
from .subjects import Subject

IREE_FLAGS = (
    "--iree-input-type=auto",
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
    "--iree-opt-level=O3",
    "--iree-opt-data-tiling",
    "--iree-llvmcpu-stack-allocation-limit=262144",  # the default of 32 KB is too little for bert_base
)
_MESSAGE = 200
"""Characters of what a compiler says that are kept."""
_PATIENCE = 300
"""Seconds that a compiler may take."""


def deploy(model: Path, artifact: Path, *options: str, cache: Path | None = None) -> float:
    """Seconds of one `deploy` command, Python's start included. Raises EngineError.

    cache: the folder to keep compiled programs in; by default one of this call, so that everything is compiled.
    """
    with tempfile.TemporaryDirectory() as fresh:
        # What pip installs comes with .pyc files; those of a clone are kept too, so that nobody compiles Python here.
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache or fresh), "PYTHONDONTWRITEBYTECODE": ""}
        return _run([_beside(sys.executable, "deploy"), str(model), "-o", str(artifact), *options], environment)


def tosa_text(model: Path, text: Path) -> None:
    """Write what `tosa-import` prints of a model. Raises EngineError."""
    _run([_beside(sys.executable, "tosa-import"), str(model), "-o", str(text)])


def iree_compile(python: str, text: Path, binary: Path) -> float:
    """Seconds of `iree-compile`, of the environment of the interpreter `python`. Raises EngineError."""
    return _run([_beside(python, "iree-compile"), str(text), *IREE_FLAGS, "-o", str(binary)])


def iree_binary(python: str, subject: Subject) -> tuple[Path, float]:
    """The model compiled by IREE, and the seconds that took when it was done first. Raises EngineError."""
    binary, record = (subject.folder / f"{subject.digest}-iree.{ending}" for ending in ("vmfb", "json"))
    if not record.exists():
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / "model.mlir"
            tosa_text(subject.path, text)
            seconds = iree_compile(python, text, binary)
        record.write_text(json.dumps(seconds))
    return binary, json.loads(record.read_text())


def _beside(python: str, command: str) -> str:
    """A command of the environment of an interpreter."""
    return str(Path(python).with_name(command))


def _run(command: list[str], environment: dict[str, str] | None = None) -> float:
    begin = time.perf_counter()
    try:
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{Path(command[0]).name}: {error}") from None
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()] or ["no message"]
        first = next((number for number, line in enumerate(lines) if "error:" in line), 0)
        name, message = Path(command[0]).name, " ".join(map(str.strip, lines[first:]))
        # Where files lie is of no interest to who reads of it elsewhere.
        message = re.sub(r"(?<!\S)/\S*/", "", message).removeprefix(f"{name}: ")
        raise EngineError(f"{name}: {message[:_MESSAGE]}")
    return time.perf_counter() - begin
