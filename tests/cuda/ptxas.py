"""NVIDIA's assembler as a judge: whether it takes our PTX, and what registers and memory each kernel needs.

It is the program `ptxas` of the package nvidia-cuda-nvcc, found by TOSAIC_PTXAS or on the path; tests that need it skip
where it is not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import astuple, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tosaic.runtime.abi import ptx_entry
from tosaic.runtime.artifact import Image


@dataclass(frozen=True)
class Usage:
    """What a thread needs in registers and in bytes of stack and of spills, and a block in bytes of shared memory."""

    registers: int
    stack: int
    spilled: int
    shared: int

    def __str__(self) -> str:
        return f"{self.registers} registers, {self.stack} stack, {self.spilled} spilled, {self.shared} shared"

    def no_worse_than(self, other: Usage) -> bool:
        return all(mine <= theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True))


def find_ptxas() -> str:
    """Skips the test that asks where there is none."""
    ptxas = os.environ.get("TOSAIC_PTXAS") or shutil.which("ptxas")
    if ptxas is None:
        pytest.skip("no ptxas: install nvidia-cuda-nvcc and name the program in TOSAIC_PTXAS")
    return ptxas


def version() -> str:
    """Of the assembler, such as "13.1.80": what it reports differs between them."""
    text = subprocess.run([find_ptxas(), "--version"], check=True, capture_output=True, text=True).stdout
    return re.findall(r"V([\d.]+)", text)[0]


def assemble(image: Image, *, warnings: str = "") -> dict[str, Usage]:
    """What the kernels of a CUDA image need, by name; `shared` counts what their launches ask for too.

    Raises AssertionError with the assembler's words where it does not take the PTX, or warns of anything but what the
    regular expression `warnings` matches.
    """
    with TemporaryDirectory() as folder:
        source, cubin = Path(folder, "kernels.ptx"), Path(folder, "kernels.cubin")
        source.write_bytes(bytes(image.code))
        command = [find_ptxas(), "-arch", image.target, "-v", source, "-o", cubin]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "warning" in line.lower()]
    assert all(warnings and re.search(warnings, line) for line in warned), warned
    return {
        launch.kernel: _usage(done.stderr, ptx_entry(launch.kernel), launch.shared_bytes) for launch in image.launches
    }


def _usage(report: str, entry: str, dynamic: int) -> Usage:
    (text,) = re.findall(
        rf"Compiling entry function '{re.escape(entry)}' for.*?Used.*?$", report, re.DOTALL | re.MULTILINE
    )
    stack, stores, loads = map(int, re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", text))
    (registers,) = re.findall(r"Used (\d+) registers", text)
    static = sum(map(int, re.findall(r"(\d+) bytes smem", text)))
    return Usage(int(registers), stack, stores + loads, static + dynamic)
