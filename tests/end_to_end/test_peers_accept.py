"""What `tosa-import` prints is MLIR that other TOSA tools accept, and what they print we compile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
import tosaic.tosa

from benchmarks.inputs import example_inputs
from tests.end_to_end.test_models import ROOT, ZOO_FAST, ZOO_FAST_INT8, ZOO_HYBRID, ZOO_SLOW, ZOO_SLOW_INT8

DIGITS = [ROOT / "models" / "digits" / f"digits_{kind}.tflite" for kind in ("f32", "int8")]
ZOO = [*ZOO_FAST, *ZOO_FAST_INT8, *ZOO_SLOW, *ZOO_SLOW_INT8, *ZOO_HYBRID]


def tool(name: str) -> str:
    """The path of a peer's command, or a skip."""
    path = shutil.which(name, path=os.environ.get("TOSAIC_TOSA_TOOLS")) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: set TOSAIC_TOSA_TOOLS (see CONTRIBUTING.md)")
    return path


def run(*command: str) -> bytes:
    result = subprocess.run(command, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()[-2000:]
    return result.stdout


def check_accepted(model: Path, folder: Path) -> None:
    text = folder / f"{model.stem}.mlir"
    tosaic.tosa.write(tosaic.importers.import_model(model), text)
    run(tool("tosa-opt"), str(text), "-o", os.devnull)
    run(
        tool("iree-compile"), str(text), "--iree-input-type=tosa", "--iree-hal-target-device=local",
        "--iree-hal-local-target-device-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=generic", "-o", os.devnull,
    )  # fmt: skip


@pytest.mark.parametrize("model", DIGITS, ids=lambda path: path.stem)
def test_peers_accept_the_model_that_ships(model: Path, tmp_path: Path) -> None:
    check_accepted(model, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_peers_accept_the_zoo(name: str, zoo_model: Callable[[str], Path], tmp_path: Path) -> None:
    check_accepted(zoo_model(name), tmp_path)


@pytest.mark.slow
def test_peers_accept_real_models(shared_models: Path, tmp_path: Path) -> None:
    manifest = json.loads((shared_models / "manifest.json").read_text())
    for file in [entry["file"] for entry in manifest if entry["first"]]:
        check_accepted(shared_models / file, tmp_path)


def check_converter_text(model: Path, folder: Path) -> None:
    """A model through Arm's converter and our compiler gives what it gives through our importer, within rounding."""
    text = folder / f"{model.stem}.mlir"
    run(tool("tosa-converter-for-tflite"), str(model), "--text", "-o", str(text))
    inputs = example_inputs(model)
    results = []
    for module in (tosaic.tosa.read(text), tosaic.importers.import_model(model)):
        with tosaic.runtime.load(tosaic.lowering.compile(module)) as program:
            results.append(program.run(inputs))
    for theirs, ours in zip(*results, strict=True):
        # The converter rounds its own way: one or two steps of int8, or f32 rounding.
        tolerance = 2 if ours.dtype.kind in "iu" else 1e-4 * np.abs(ours).max()
        np.testing.assert_allclose(theirs.astype(np.float64), ours.astype(np.float64), rtol=0, atol=tolerance)


@pytest.mark.parametrize("model", DIGITS, ids=lambda path: path.stem)
def test_text_of_the_arm_converter_compiles(model: Path, tmp_path: Path) -> None:
    check_converter_text(model, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2_f32", "mobilenet_v2_int8", "unet_128_f32"])
def test_text_of_the_arm_converter_compiles_for_the_zoo(
    name: str, zoo_model: Callable[[str], Path], tmp_path: Path
) -> None:
    check_converter_text(zoo_model(name), tmp_path)
