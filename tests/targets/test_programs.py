"""The hand-written programs of `tests/programs`, with all their sizes, on AArch64 and RISC-V under qemu-user."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tosaic.lowering.target import resolve_target

from tests.conftest import ROOT

from .emulator import emulator_of

TARGETS = ["aarch64", "neoverse-v1", "riscv64", "spacemit-x60"]


def run(target: str, *files: str) -> None:
    """Runs tests of `tests/programs` with the plugin, in a process of their own."""
    emulator_of(resolve_target(target))
    paths = [f"tests/programs/{file}" for file in files]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "tests.targets.emulate",
        "-p",
        "no:cacheprovider",
        *paths,
    ]
    environment = os.environ | {"TOSAIC_TARGET": target}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_elementwise(target: str) -> None:
    run(target, "test_elementwise.py")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "file",
    ["control_flow", "matmuls", "older", "reductions", "tensors", "tiles", "types", "windows"],
)
def test_all(target: str, file: str) -> None:
    run(target, f"test_{file}.py")
