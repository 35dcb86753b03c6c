"""The benchmark of GPUs at sizes that the emulator can do, with peers missing, and its table and goals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cuda.__main__ import app
from benchmarks.cuda.cases import cases
from benchmarks.cuda.table import make_table, missed


def test_it_runs_on_the_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    folder = ["--folder", str(tmp_path), "--tiny"]
    compiled = CliRunner().invoke(app, ["compile", *folder, "--device", "cuda-emulator"])
    assert compiled.exit_code == 0, compiled.output
    done = CliRunner().invoke(app, ["run", *folder, "--seconds", "0", "--python", "torch=/no/such/python"])
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "cuda.json").read_text())
    table = (tmp_path / "cuda.txt").read_text()
    for case in cases(tiny=True):
        record = figures["cases"][case.name]
        assert "refused" not in record and record["gpu"] > 0 and record["call"] > 0, (case.name, record)
        assert case.name in table
        if case.kind != "call":
            assert figures["torch"][case.name] == {"missing": "torch: FileNotFoundError"}
    assert "product bf16 64: not measured, wanted is 0.80" in done.output


def test_the_table_compares_and_goals_are_checked() -> None:
    chosen = [
        case for case in cases(tiny=False) if case.name in ("steady call", "product bf16 4096", "product f16 8192")
    ]
    figures = {
        "cases": {
            "steady call": {"gpu": 3e-6, "call": 12e-6},
            "product bf16 4096": {"gpu": 2 * 4096**3 / 600e12, "call": 1e-2},
            "product f16 8192": {"refused": "nothing takes it"},
        },
        "torch": {"product bf16 4096": {"gpu": 2 * 4096**3 / 700e12}, "product f16 8192": {"gpu": 1e-3}},
    }
    lines = make_table(chosen, figures).splitlines()
    (line,) = [line for line in lines if "bf16 4096" in line]
    assert "600" in line and "0.86" in line
    assert "nothing takes it" in "\n".join(lines)
    assert missed(chosen, figures) == ["product f16 8192: not measured, wanted is 0.80"]
    figures["cases"]["steady call"]["call"] = 25e-6
    figures["cases"]["product bf16 4096"]["gpu"] *= 2
    assert missed(chosen, figures)[:2] == [
        "steady call: 25.0 us, wanted are less than 20",
        "product bf16 4096: 0.43 of torch's speed, wanted is 0.80",
    ]
