"""What is written of a program, to travel through a pipe, is read as the same program."""

from __future__ import annotations

from pathlib import Path

import pytest
import tosaic.tosa
from tosaic.tosa.text import print_module

from .programs import FOLDER
from .test_peers import normalized

PROGRAMS = sorted(path for path in FOLDER.glob("*.mlir") if path.stem != "tosa")
"""All but what tosa-to-linalg lowers first."""


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_written_programs_are_read_as_they_were(path: Path) -> None:
    written = print_module(tosaic.tosa.read(path)).encode()
    assert normalized(written) == normalized(path.read_bytes())
    assert print_module(tosaic.tosa.read(written)).encode() == written
