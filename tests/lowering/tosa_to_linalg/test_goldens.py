"""The IR of one small program per family, as written in `tests/lowering/goldens/tosa_to_linalg`."""

from __future__ import annotations

from pathlib import Path

import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser
from tosaic.lowering import tosa_to_linalg
from tosaic.tosa.text import parse

GOLDENS = sorted((Path(__file__).parents[1] / "goldens" / "tosa_to_linalg").glob("*.mlir"))


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.stem)
def test_golden(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = parse(golden.read_text(), golden.name)
    tosa_to_linalg.run(module)
    module.verify()
    options = Options(str(golden))
    failed = Matcher(options, FInput(golden.name, str(module)), Parser.from_opts(options)).run()
    assert not failed, f"{capsys.readouterr().out}\n{module}"
