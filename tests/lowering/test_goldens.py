"""What each phase makes of a small program: `goldens/PHASE.mlir` holds a TOSA program and what to find after PHASE.

The lines after `// CHECK` are FileCheck's; a golden may say for which target (`// TARGET: x86-64-v2`; `tiles` wants
everything in tiles of 4 x 4 x 2), with which precision (`// PRECISION: bf16`) and pins (`// PLACE: conv*=cpu`) it is
compiled.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from filecheck.matcher import Matcher
from filecheck.options import Options as FileCheckOptions
from tosaic.lowering import pipeline
from tosaic.lowering.assign_devices import devices_of
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.dump import readable
from tosaic.lowering.target import Target, Tile, resolve_target
from tosaic.lowering.targets.devices import device_targets
from tosaic.tosa.text import parse

GOLDENS = Path(__file__).parent / "goldens"


def tiles_everything(target: Target, contraction: Contraction) -> Tile:
    return Tile(4, 4, 2, pack_rows=True)


def target_called(name: str) -> Target:
    v2 = resolve_target("x86-64-v2")
    return replace(v2, name="tiles", resolver=tiles_everything) if name == "tiles" else resolve_target(name)


def test_every_phase_has_a_golden() -> None:
    covered = {path.stem.partition(".")[0] for path in GOLDENS.glob("*.mlir")}
    assert covered == {phase.name for phase in pipeline.PHASES}


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.mlir")), ids=lambda path: path.stem)
def test_golden(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    settings = dict(re.findall(r"^// (TARGET|PRECISION|PLACE): (\S+)$", text, re.MULTILINE))
    module = parse(text, path.name)
    target = target_called(settings.get("TARGET", "x86-64-v4+vnni"))
    devices = devices_of(module)
    options = pipeline.Options(
        devices, device_targets(devices, target), precision=settings.get("PRECISION"), place=settings.get("PLACE")
    )
    pipeline.run(module, options, stop_after=path.stem.partition(".")[0])
    after = tmp_path / "after.mlir"
    after.write_text(readable(module))
    assert Matcher.from_opts(FileCheckOptions(str(path), str(after))).run() == 0, after.read_text()
