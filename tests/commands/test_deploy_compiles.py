"""`deploy` on models: every way in, the cache, the IR, and what it says about models that are no good."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import Artifact

from .conftest import Outcome

Deploy = Callable[..., Outcome]
DIGITS = Path(__file__).resolve().parents[2] / "models" / "digits"
MODEL = DIGITS / "digits_f32.tflite"


def tosa(model: Path, *options: str) -> bytes:
    """What `tosa-import` prints for a model."""
    command = [sys.executable, "-m", "tosaic.importers", str(model), *options]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def digits_read(outcome: Outcome) -> list[int]:
    """The most probable class per picture."""
    assert outcome.code == 0, outcome.err
    return [int(line.split("[")[1].split("]")[0]) for line in outcome.out.splitlines()]


@pytest.mark.parametrize("kind", ["f32", "int8"])
@pytest.mark.parametrize("way", ["tflite", "mlir", "tosa", "pipe", "tflite-pipe"])
def test_handwritten_digits_are_read(deploy: Deploy, tmp_path: Path, kind: str, way: str) -> None:
    model = DIGITS / f"digits_{kind}.tflite"
    arguments: list[str | Path] = ["--input", DIGITS / "samples"]
    stdin = b""
    if way == "tflite":
        arguments.append(model)
    elif way == "tflite-pipe":
        stdin = model.read_bytes()
    elif way == "pipe":
        stdin = tosa(model)
    else:
        path = tmp_path / f"digits.{way}"
        path.write_bytes(tosa(model, "--format", way))
        arguments.append(path)
    assert digits_read(deploy(*arguments, stdin=stdin)) == list(range(10))


def test_a_second_run_comes_from_the_cache(deploy: Deploy, tmp_path: Path) -> None:
    first = deploy(MODEL, "-o", tmp_path / "first.module")
    (entry,) = (tmp_path / "cache" / "tosaic").iterdir()
    stored = entry.stat().st_ino
    second = deploy(MODEL, "-o", tmp_path / "second.module")
    assert first.code == second.code == 0
    assert (tmp_path / "first.module").read_bytes() == (tmp_path / "second.module").read_bytes()
    deploy(MODEL, "-o", tmp_path / "third.module", "--no-cache")
    assert [(p, p.stat().st_ino) for p in entry.parent.iterdir()] == [(entry, stored)]
    deploy(MODEL, "-o", tmp_path / "fourth.module", "--target", "x86-64-v2")
    assert len(list(entry.parent.iterdir())) == 2


def test_a_cached_model_starts_without_the_compiler(tmp_path: Path) -> None:
    code = (
        "import sys; from tosaic.runtime.cli import app; app(standalone_mode=False);"
        "print([m for m in sys.modules if m.startswith(('xdsl', 'llvmlite', 'tosaic.lowering', 'tosaic.tosa'))])"
    )
    command = [sys.executable, "-c", code, str(MODEL), "-o", str(tmp_path / "digits.module")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    compiling, cached = (
        subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60) for _ in range(2)
    )
    assert compiling.returncode == cached.returncode == 0, compiling.stderr + cached.stderr
    assert "xdsl" in compiling.stdout and cached.stdout == "[]\n"


def test_compiling_twice_makes_the_same_file(deploy: Deploy, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert deploy(MODEL, "-o", tmp_path / f"{name}.module", "--no-cache").code == 0
    assert (tmp_path / "one.module").read_bytes() == (tmp_path / "two.module").read_bytes()


def test_several_targets_share_one_file(deploy: Deploy, tmp_path: Path) -> None:
    path = tmp_path / "fat.module"
    assert deploy(MODEL, "-o", path, "--target", "x86-64-v2,x86-64-v3,x86-64-v4").code == 0
    assert [variant.images[0].target for variant in Artifact.load(path).variants] == [
        "x86-64-v4",
        "x86-64-v3",
        "x86-64-v2",
    ]
    assert digits_read(deploy(path, "--input", DIGITS / "samples")) == list(range(10))


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3"])
def test_every_level_gives_the_same_digits(deploy: Deploy, target: str) -> None:
    assert digits_read(deploy(MODEL, "--target", target, "--input", DIGITS / "samples")) == list(range(10))


def test_less_precision_still_reads_digits(deploy: Deploy, tmp_path: Path) -> None:
    exact, rounded = (tmp_path / name for name in ("exact.npz", "rounded.npz"))
    assert deploy(MODEL, "--input", DIGITS / "samples", "--output", exact).code == 0
    assert deploy(MODEL, "--input", DIGITS / "samples", "--output", rounded, "--precision", "bf16").code == 0
    with np.load(exact) as one, np.load(rounded) as other:
        (name,) = one.files
        np.testing.assert_array_equal(other[name].argmax(-1).ravel(), range(10))
        error = np.abs(one[name] - other[name]).max()
        assert 0 < error < 0.05, "bf16 has eight bits of significand"


def test_less_precision_tells_its_error(deploy: Deploy, tmp_path: Path) -> None:
    outcome = deploy(MODEL, "--precision", "bf16")
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("accuracy"))
    found = re.fullmatch(r"accuracy bf16, relative error (\S+) beside f32 on 3 random inputs", line)
    assert found and 0 < float(found[1]) < 0.1
    other = tmp_path / "other.module"
    assert deploy(MODEL, "--precision", "bf16", "--target-triple", "aarch64-linux-gnu", "-o", other).code == 0
    assert Artifact.load(other).metadata["accuracy"].startswith("bf16, error not measured: ")


def test_a_batch_is_stacked(deploy: Deploy, tmp_path: Path) -> None:
    assert deploy(MODEL, "--input", DIGITS / "samples", "--output", tmp_path / "out.npz") == Outcome(0, "", "")
    with np.load(tmp_path / "out.npz") as results:
        (name,) = results.files
        assert results[name].shape == (10, 1, 10)
        np.testing.assert_array_equal(results[name].argmax(-1).ravel(), range(10))
        np.testing.assert_allclose(results[name].sum(-1), 1, rtol=10 * 2**-23)  # ten f32 roundings


def test_the_ir_after_a_phase(deploy: Deploy) -> None:
    linalg = deploy(MODEL, "--print-ir-after", "tosa-to-linalg")
    assert linalg.code == 0 and "linalg.generic" in linalg.out and "dispatch.region" not in linalg.out
    dispatches = deploy(MODEL, "--print-ir-after", "form-dispatches")
    assert dispatches.code == 0 and "dispatch.region" in dispatches.out
    every = deploy(MODEL, "--print-ir-after", "all")
    headings = re.findall(r"^// -----// IR after (\S+) //----- //$", every.out, re.MULTILINE)
    assert headings[0] == "tosa-to-linalg" and headings[-1] == "plan-memory"
    wrong = deploy(MODEL, "--print-ir-after", "nonsense")
    assert wrong.code == 2 and wrong.err.startswith(
        "deploy: unknown phase 'nonsense'; the phases are: tosa-to-linalg, "
    )


def test_the_plan_of_a_model_and_how_long_compiling_took(deploy: Deploy) -> None:
    fresh = deploy(MODEL)
    assert fresh.code == 0 and "conv_2d 3x3/2 1x16x16x16 f32, weights " in fresh.out and "median " in fresh.out
    assert fresh.err.splitlines()[-1].endswith(" ms  in total")
    assert deploy(MODEL).err == "", "nothing was compiled"


def test_the_ir_after_every_phase(deploy: Deploy, tmp_path: Path) -> None:
    outcome = deploy(MODEL, "--dump-ir", tmp_path / "ir", "-o", tmp_path / "digits.module")
    assert outcome.code == 0
    files = sorted(path.name for path in (tmp_path / "ir").iterdir())
    assert files[0] == "01-tosa-to-linalg.mlir" and files[-1].endswith("-plan-memory.mlir")
    phases = [line.split("ms  ")[-1] for line in outcome.err.splitlines()]
    assert phases[:2] == ["import", "tosa-to-linalg"] and phases[-2:] == ["codegen", "in total"]
    assert not (tmp_path / "cache").exists(), "a dump is asked for to see compiling happen"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--target", "x86-64-v9"], 2, "deploy: unknown target 'x86-64-v9'; did you mean x86-64-v4,"),
        (["--shape", "image"], 2, "deploy: --shape 'image' is not of the form"),
        (["--shape", "picture=1x32x32x1"], 2, "deploy: "),
        (
            ["--print-ir-after", "const-eval", "-o", "x.module"],
            2,
            "deploy: --print-ir-after prints IR: there will be no",
        ),
        (["--precision", "int3"], 2, "deploy: unknown precision 'int3'; known ones: bf16"),
    ],
)
def test_wrong_options(deploy: Deploy, arguments: list[str], code: int, message: str) -> None:
    outcome = deploy(MODEL, *arguments)
    assert outcome.err.startswith(message) and outcome.err.count("\n") == 1, outcome.err
    assert outcome.code == code and outcome.out == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.tflite", b"", "empty.tflite"),
        ("short.tflite", MODEL.read_bytes()[:2000], "short.tflite"),
        ("noise.mlir", b"\xff\xfe\x00" * 100, "neither MLIR text nor a .tosa FlatBuffer"),
        ("wrong.mlir", b"module {\n  nonsense\n}\n", "wrong.mlir"),
        ("empty.mlir", b"", "empty.mlir: the file is empty"),
        ("short.tosa", b"\x10\x00\x00\x00TOSA\x00\x00", "short.tosa"),
    ],
)
def test_bad_models_are_one_line(deploy: Deploy, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    outcome = deploy(tmp_path / name, "-o", tmp_path / "out.module")
    assert outcome.code == 1 and message in outcome.err and outcome.err.count("\n") == 1, outcome.err
    assert "internal error" not in outcome.err
    assert not (tmp_path / "out.module").exists()


def test_from_the_shell(tmp_path: Path) -> None:
    """The main job as the README says it."""
    commands = Path(sys.executable).parent
    if not (commands / "deploy").exists():
        pytest.skip("the package's commands are not installed beside this Python")
    line = (
        f"{commands}/tosa-import {DIGITS}/digits_int8.tflite | {commands}/deploy --devices cpu --input {DIGITS}/samples"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    shell = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(shell, capture_output=True, text=True, env=environment, cwd=DIGITS)
    assert digits_read(Outcome(done.returncode, done.stdout, done.stderr)) == list(range(10))


def test_where_dispatches_run_as_a_table_and_as_a_picture(deploy: Deploy, tmp_path: Path) -> None:
    devices = ["--devices", "cpu:1,reference", "--place", "conv*=reference,*=cpu:1"]
    table = deploy(MODEL, *devices, "--plan", "-")
    assert table.code == 0
    assert re.search(r"^ +0 +reference .* conv_2d 3x3/2 ", table.out, re.MULTILINE)
    assert re.search(r"^ +1 +cpu:1 .* from reference  depthwise ", table.out, re.MULTILINE)
    picture = deploy(MODEL, *devices, "--plan", tmp_path / "plan.html")
    assert (picture.code, picture.out) == (0, "")
    assert "<svg" in (tmp_path / "plan.html").read_text()
    unknown = deploy(MODEL, *devices[:2], "--place", "konv*=reference", "--plan", "-")
    assert unknown.code == 2 and "konv*" in unknown.err and unknown.err.count("\n") == 1
