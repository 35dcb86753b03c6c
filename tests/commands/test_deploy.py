"""`deploy` on an artifact: what it prints and writes, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import Artifact, load

from tests.runtime import native

from .conftest import Outcome

Deploy = Callable[..., Outcome]
COMMAND = [sys.executable, "-m", "tosaic.runtime"]


def inputs(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"x": random.standard_normal((1, native.SIZE), np.float32), "bias": random.standard_normal(16, np.float32)}


def test_the_plan_and_a_benchmark(deploy: Deploy, module: Path) -> None:
    outcome = deploy(module, "--threads", "2")
    assert outcome.code == 0 and outcome.err == ""
    assert re.search(r"^target +x86-64-v2$", outcome.out, re.MULTILINE)
    assert re.search(r"^threads +2$", outcome.out, re.MULTILINE)
    assert re.search(r"^weights +16\.4 KB$", outcome.out, re.MULTILINE)
    assert "input   bias: float32[16]" in outcome.out and "3 dispatches of 3 kernels" in outcome.out
    assert re.search(r"^ +1 +cpu .* reverse +reverse \+ bias$", outcome.out, re.MULTILINE)
    assert re.search(r"median \d+\.\d+ ms, p10 \d+\.\d+ ms, p90 \d+\.\d+ ms over \d+ runs on 2 threads", outcome.out)


def test_an_archive_of_inputs_to_an_archive_of_outputs(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **inputs())
    outcome = deploy(module, "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz")
    assert outcome == Outcome(0, "", "")
    y, ends = native.expected(**inputs())
    with np.load(tmp_path / "out.npz") as results:
        assert sorted(results.files) == ["sum", "y"]
        np.testing.assert_array_equal(results["y"], y)
        assert results["sum"] == ends and results["sum"].shape == ()


def test_named_arrays_and_a_summary_of_the_results(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    for name, array in inputs().items():
        np.save(tmp_path / f"{name}.npy", array)
    outcome = deploy(module, "--input", f"x={tmp_path}/x.npy", "--input", f"bias={tmp_path}/bias.npy")
    y, ends = native.expected(**inputs())
    assert outcome.code == 0
    first, second = outcome.out.splitlines()
    assert first.startswith(f"y  largest {y.max():.6g} at [{y.argmax()}], mean ")
    assert second == f"sum  {float(ends):.6g}"


def test_a_stack_of_samples_is_a_batch(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    xs = np.stack([inputs(seed)["x"] for seed in range(3)])
    np.savez(tmp_path / "in.npz", x=xs, bias=inputs()["bias"])
    outcome = deploy(module, "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz")
    assert outcome.code == 0
    with np.load(tmp_path / "out.npz") as results:
        assert results["y"].shape == (3, 1, native.SIZE) and results["sum"].shape == (3,)
        for x, y in zip(xs, results["y"], strict=True):
            np.testing.assert_array_equal(y, native.expected(x, inputs()["bias"])[0])


def test_a_folder_is_a_batch_in_order_of_names(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    folder.mkdir()
    for seed in (2, 0, 1):
        np.savez(folder / f"{seed}.npz", **inputs(seed))
    (folder / "notes.txt").write_text("no sample")
    outcome = deploy(module, "--input", folder, "--output", tmp_path / "out.npz")
    assert outcome.code == 0
    with np.load(tmp_path / "out.npz") as results:
        for seed in range(3):
            np.testing.assert_array_equal(results["y"][seed], native.expected(**inputs(seed))[0])
    lines = deploy(module, "--input", folder).out.splitlines()
    assert [line.split("  ")[:2] for line in lines[:4]] == [
        ["0.npz", "y"],
        ["0.npz", "sum"],
        ["1.npz", "y"],
        ["1.npz", "sum"],
    ]


def test_another_signature(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(8, dtype=np.int8))
    outcome = deploy(module, "--signature", "shift", "--input", tmp_path / "x.npy")
    assert outcome.out == "x  largest 8 at [7], mean 4.5\n"


def test_an_artifact_from_the_pipe_is_written_again(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.module"
    assert deploy("-", "-o", copy, "--devices", "cpu:2", stdin=module.read_bytes()) == Outcome(0, "", "")
    artifact = Artifact.load(copy)
    assert artifact.signatures == native.artifact().signatures and artifact.devices[0].threads == 2
    with load(copy) as program:
        assert program.threads == 2
    assert deploy("-o", tmp_path / "again.module", stdin=copy.read_bytes()).code == 0


def test_a_profile_is_a_trace_and_a_table(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    outcome = deploy(module, "--threads", "2", "--profile", tmp_path / "trace.json")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["step", "us", "%", "GFLOP/s", "%", "peak", "GB/s", "device", "dispatch"]
    assert [line.split()[0] for line in lines[1:4]] == ["0", "1", "2"] and lines[3].endswith("ends")
    assert lines[4].startswith("3 dispatches, ")
    trace = json.loads((tmp_path / "trace.json").read_text())
    steps = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert {(e["name"], e["tid"]) for e in steps} == {
        (n, t) for n in ("x * c", "reverse + bias", "ends") for t in (0, 1)
    }
    assert all(event["dur"] >= 0 and event["ts"] >= 0 for event in steps)
    first_run = [event for event in steps if event["args"]["run"] == 0 and event["tid"] == 0]
    first_run.sort(key=lambda event: event["ts"])
    assert [event["args"]["step"] for event in first_run] == [0, 1, 2]
    assert first_run[0]["ts"] + first_run[0]["dur"] <= first_run[1]["ts"] + 1e-3


def save(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "in.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"x": None}, 2, "deploy: missing input 'x'; signature 'main' takes x: float32[1x4096], bias: float32[16]"),
        ({"y": np.zeros(3)}, 2, "deploy: unknown input 'y'; signature"),
        ({"bias": np.zeros(16)}, 2, "deploy: input 'bias' is float64[16]; expected float32[16]"),
        ({"bias": np.zeros(15, np.float32)}, 2, "deploy: input 'bias' is float32[15]; expected float32[16]"),
        (
            {"x": np.zeros((3, 1, 4096), np.float32), "bias": np.zeros((2, 16), np.float32)},
            2,
            "deploy: the inputs differ in their number of samples: 3 of 'x', 2 of 'bias'",
        ),
    ],
)
def test_wrong_inputs(
    deploy: Deploy, module: Path, tmp_path: Path, changes: dict[str, np.ndarray | None], code: int, message: str
) -> None:
    arrays = {name: array for name, array in {**inputs(), **changes}.items() if array is not None}
    outcome = deploy(module, "--input", save(tmp_path, **arrays), "--output", tmp_path / "out.npz")
    assert outcome.code == code and outcome.out == ""
    assert outcome.err.startswith(message) and outcome.err.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["MODULE", "--output", "o.npz"], 2, "deploy: --output needs --input"),
        (["MODULE", "--devices", "gpu"], 2, "deploy: unknown device 'gpu'; known devices: cpu"),
        (["MODULE", "--devices", "cpu,cpu"], 2, "deploy: the program was compiled for cpu; cpu,cpu cannot run it"),
        (["MODULE", "--threads", "0"], 2, "deploy: 0 threads: expected 1 to 1024"),
        (["MODULE", "--target", "x86-64-v3"], 2, "deploy: MODULE is compiled already: --target cannot change it"),
        (["MODULE", "--signature", "train"], 2, "deploy: unknown signature 'train'; the program has main, shift"),
        (["MODULE", "--input", "a.npy"], 2, "deploy: --input a.npy: say for which input, as NAME=a.npy; the program"),
        (["MODULE", "--input", "x=missing.npy"], 1, "deploy: missing.npy: No such file or directory"),
        (["MODULE", "--input", "z=missing.npy"], 2, "deploy: unknown input 'z'; the program takes x: float32"),
        (["MODULE", "--input", "x=MODULE"], 2, "deploy: MODULE: neither an array"),
        (["MODULE", "--image-range", "1", "--input", "x"], 2, "deploy: --image-range '1' is not of the form LOW,HIGH"),
        (["missing.module"], 1, "deploy: missing.module: No such file or directory"),
        (["."], 1, "deploy: .: Is a directory"),
        ([], 2, "deploy: standard input is empty: the command before the pipe wrote nothing"),
        (["MODULE", "-o", "no/such/folder.module"], 1, "deploy: no/such/folder.module: No such file or directory"),
        (["MODULE", "-o", "/dev/full"], 1, "deploy: /dev/full: No space left on device"),
    ],
)
def test_wrong_arguments(
    deploy: Deploy, module: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(module.parent)
    before = sorted(os.listdir())
    outcome = deploy(*(argument.replace("MODULE", str(module)) for argument in arguments))
    assert outcome.err.startswith(message.replace("MODULE", str(module))), outcome.err
    assert outcome.err.count("\n") == 1 and "Traceback" not in outcome.err
    assert outcome.code == code
    assert sorted(os.listdir()) == before


def test_damaged_files_are_named(deploy: Deploy, module: Path, tmp_path: Path) -> None:
    data = bytearray(module.read_bytes())
    data[-1000] ^= 1
    (tmp_path / "bad.module").write_bytes(data)
    outcome = deploy(tmp_path / "bad.module")
    assert outcome.code == 1 and "bad.module: the constants in the mebibyte" in outcome.err
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY nonsense")
    outcome = deploy(module, "--input", f"x={tmp_path}/x.npy")
    assert outcome.code == 1 and "x.npy is no .npy array" in outcome.err
    (tmp_path / "in.npz").write_bytes(b"PK\x03\x04 nonsense")
    outcome = deploy(module, "--input", tmp_path / "in.npz")
    assert outcome.code == 1 and "in.npz is no .npz archive" in outcome.err


def test_an_artifact_for_another_cpu_says_what_is_missing(deploy: Deploy, tmp_path: Path) -> None:
    artifact = native.artifact()
    native.replaced_image(artifact, target="future", features=("x86_64", "avx4096")).save(tmp_path / "foreign.module")
    outcome = deploy(tmp_path / "foreign.module")
    assert outcome.code == 1 and "cannot run here: future needs avx4096" in outcome.err
    assert outcome.err.count("\n") == 1 and outcome.out == ""


def test_a_traceback_only_with_debug(module: Path) -> None:
    command = [*COMMAND, str(module), "--devices", "gpu"]
    quiet = subprocess.run(command, capture_output=True, text=True, timeout=60)
    loud = subprocess.run([*command, "--debug"], capture_output=True, text=True, timeout=60)
    known = "known devices: cpu, cuda, cuda-emulator, reference"
    assert quiet.returncode == 2 and quiet.stderr == f"deploy: unknown device 'gpu'; {known}\n"
    assert loud.returncode == 1 and "Traceback" in loud.stderr and "ArgumentError" in loud.stderr


def test_a_closed_pipe_is_no_error_message(module: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run([*COMMAND, str(module)], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert process.stderr == b"" and process.returncode == 1


def test_ctrl_c_ends_with_130_and_nothing_half_written(module: Path, tmp_path: Path) -> None:
    """Interrupted once the first of two files is there, while it measures for the second."""
    process = subprocess.Popen(
        [*COMMAND, str(module), "-o", str(tmp_path / "copy.module"), "--profile", str(tmp_path / "trace.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (tmp_path / "copy.module").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in err
    assert sorted(os.listdir(tmp_path)) == ["copy.module", "native.module"]


def test_help_is_quick_to_import() -> None:
    """Nothing heavy is loaded to print the help: numpy alone would double the time."""
    heavy = ("numpy", "rich.console", "xdsl", "llvmlite")
    code = f"import sys; from tosaic.runtime import cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
