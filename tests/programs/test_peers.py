"""MLIR's own tools accept the programs of this folder, and what they print in generic form means the same here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import tosaic.tosa
from tosaic.lowering.dump import readable
from tosaic.lowering.normalize_linalg import normalize_linalg

from .programs import FOLDER

_TOOL = shutil.which("iree-opt", path=os.environ.get("TOSAIC_TOSA_TOOLS", ""))
CURRENT = sorted(path for path in FOLDER.glob("*.mlir") if path.stem not in ("older", "tosa"))
"""Not what MLIR has given up, and not the custom syntax of TOSA, which differs from version to version."""

pytestmark = pytest.mark.skipif(_TOOL is None, reason="TOSAIC_TOSA_TOOLS names no folder with iree-opt")


def normalized(text: bytes) -> str:
    """What all phases but the first see of a program, without the names of values."""
    module = tosaic.tosa.read(text)
    normalize_linalg(module)
    for op in module.walk():
        for value in (*op.results, *(argument for region in op.regions for b in region.blocks for argument in b.args)):
            value.name_hint = None
    return readable(module)


@pytest.mark.parametrize("path", CURRENT, ids=lambda path: path.stem)
def test_generic_form_means_the_same(path: Path) -> None:
    assert _TOOL is not None
    generic = subprocess.run([_TOOL, "--mlir-print-op-generic", path], capture_output=True, check=True).stdout
    custom = subprocess.run([_TOOL, path], capture_output=True, check=True).stdout
    assert normalized(generic) == normalized(custom) == normalized(path.read_bytes())
