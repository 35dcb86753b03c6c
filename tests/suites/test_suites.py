"""Third-party suites through every stage to machine code: a sample of each, and each in full.

Nothing may fail or crash; what is skipped is said to be unsupported, and may not become more. See README.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import SHARED

SYSTEM = Path(__file__).with_name("compile_and_run.py")
EMULATED = Path(__file__).parent.parent / "targets" / "compile_and_emulate.py"
EMULATORS = {
    "aarch64": "qemu-aarch64",
    "neoverse-v1": "qemu-aarch64",
    "riscv64": "qemu-riscv64",
    "spacemit-x60": "qemu-riscv64",
}
GPUS = ["cuda-emulator@sm_75", "cuda-emulator@sm_90a"]
"""The oldest compute capability, and the one with most kernels of its own."""

HUGE_WINDOW = "conv2d_8192x2"
"""One case whose window has 16384 taps, nearly all of them padding: more than the emulator does in minutes."""

EMULATOR_FAILS = 8
"""Cases of a suite that may be skipped because the emulator fails at them."""
PASSED = {
    "tosa_int": 334,
    "tosa_fp": 345,
    "tosa_int_neg": 60,
    "tosa_fp_neg": 60,
    "tflite": 255,
    "tflite_ops": 1262,
}
"""Suite to the number of cases that must pass."""


@pytest.fixture(scope="session")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked suites: 70 MB in the session's temporary folder."""
    archive = SHARED / "suites" / "suites.tar.xz"
    if not archive.is_file():
        pytest.skip(f"no third-party suites at {archive}: set TOSAIC_SHARED")
    folder = tmp_path_factory.mktemp("suites")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder


def run(suites: Path, suite: str, *options: str, system: Path = SYSTEM) -> Counter[str]:
    """How many cases of `suite` ended in which way; fails with the first ones that should not have."""
    judge = shutil.which("tosa_verify", path=os.environ.get("TOSAIC_TOSA_TOOLS")) or shutil.which("tosa_verify")
    if suite.startswith("tosa") and judge is None:
        pytest.skip("tosa_verify is not installed: set TOSAIC_TOSA_TOOLS (see CONTRIBUTING.md)")
    results = suites / f"{suite}.json"
    command = [sys.executable, "-m", "tpsuites.run", suite, "--sut", f"{system}:run", "--out", str(results), *options]
    environment = os.environ | {
        "PYTHONPATH": str(SHARED / "suites"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SUITES_ROOT": str(suites),
        "TOSA_VERIFY": judge or "",
    }
    log = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert results.exists(), log.stdout + log.stderr
    cases = json.loads(results.read_text())["results"]
    failed = [case for case in cases if case["status"] not in ("pass", "unsupported")]
    assert not failed, "\n".join(f"{case['status']} {case['id']}: {case['message']}" for case in failed[:10])
    return Counter(case["status"] for case in cases)


@pytest.mark.parametrize("suite", PASSED)
def test_a_sample(suites: Path, suite: str) -> None:
    counts = run(suites, suite, "--sample", "8", "--seed", "1")
    assert counts.total() == 8
    assert counts["pass"] >= 6


@pytest.mark.slow
@pytest.mark.parametrize("suite", PASSED)
def test_in_full(suites: Path, suite: str) -> None:
    assert run(suites, suite)["pass"] >= PASSED[suite]


@pytest.mark.parametrize("suite", ["tosa_int", "tosa_fp", "tflite"])
@pytest.mark.parametrize("device", GPUS)
def test_a_sample_on_an_emulated_gpu(monkeypatch: pytest.MonkeyPatch, suites: Path, device: str, suite: str) -> None:
    monkeypatch.setenv("TOSAIC_DEVICE", device)
    assert run(suites, suite, "--timeout", "300", "--sample", "6", "--seed", "3")["pass"] >= 4


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["tosa_int", "tosa_fp", "tflite", "tflite_ops"])
@pytest.mark.parametrize("device", GPUS)
def test_in_full_on_an_emulated_gpu(monkeypatch: pytest.MonkeyPatch, suites: Path, device: str, suite: str) -> None:
    monkeypatch.setenv("TOSAIC_DEVICE", device)
    too_long = ["--exclude", HUGE_WINDOW] if suite == "tosa_int" else []
    assert run(suites, suite, "--timeout", "300", *too_long)["pass"] >= PASSED[suite] - len(too_long) // 2


def run_emulated(monkeypatch: pytest.MonkeyPatch, suites: Path, target: str, suite: str, *options: str) -> Counter[str]:
    """`run` on the machine code of another architecture."""
    if shutil.which(EMULATORS[target]) is None:
        pytest.skip(f"{EMULATORS[target]} is not installed (package qemu-user)")
    monkeypatch.setenv("TOSAIC_TARGET", target)
    return run(suites, suite, "--timeout", "300", *options, system=EMULATED)


@pytest.mark.parametrize("suite", ["tosa_int", "tosa_fp", "tflite"])
@pytest.mark.parametrize("target", EMULATORS)
def test_a_sample_on_other_architectures(
    monkeypatch: pytest.MonkeyPatch, suites: Path, target: str, suite: str
) -> None:
    assert run_emulated(monkeypatch, suites, target, suite, "--sample", "6", "--seed", "2")["pass"] >= 4


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["tosa_int", "tosa_fp", "tflite"])
@pytest.mark.parametrize("target", EMULATORS)
def test_in_full_on_other_architectures(monkeypatch: pytest.MonkeyPatch, suites: Path, target: str, suite: str) -> None:
    assert run_emulated(monkeypatch, suites, target, suite)["pass"] >= PASSED[suite] - EMULATOR_FAILS
