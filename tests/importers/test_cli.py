"""The command tosa-import: output, errors of one line, exit codes, a closed pipe and a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tosaic.tosa
from ai_edge_litert import schema_py_generated as schema
from tosaic.importers.cli import parse_shape
from tosaic.runtime.errors import ArgumentError
from xdsl.dialects.func import FuncOp

from .tflite_builder import ModelBuilder

COMMAND = [sys.executable, "-m", "tosaic.importers"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A fully connected layer of a dynamic batch, with constants of 1 MB."""
    builder = ModelBuilder()
    x, y = builder.tensor(np.float32, [-1, 512], name="x"), builder.tensor(np.float32, [-1, 512], name="y")
    weights = builder.constant(np.random.default_rng(0).standard_normal((512, 512)), np.float32)
    builder.operator("FULLY_CONNECTED", [x, weights], [y], schema.FullyConnectedOptionsT())
    path = tmp_path / "model.tflite"
    path.write_bytes(builder.build([x], [y]))
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, check=False, timeout=60)


def types(contents: bytes) -> str:
    (function,) = (op for op in tosaic.tosa.read(contents).ops if isinstance(op, FuncOp))
    return str(function.function_type)


def test_standard_output_by_default(model: Path) -> None:
    result = run(model, "--shape", "x=4x512")
    assert result.returncode == 0
    assert result.stderr == b""
    assert types(result.stdout) == "(tensor<4x512xf32>) -> tensor<4x512xf32>"


@pytest.mark.parametrize("format", ["mlir", "tosa"])
def test_output_file(model: Path, format: str) -> None:
    output = model.with_suffix(f".{format}")
    result = run(model, "-o", output, "--format", format, "--shape", "x=2x512")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert types(output.read_bytes()) == "(tensor<2x512xf32>) -> tensor<2x512xf32>"


def test_summary(model: Path) -> None:
    result = run(model, "--summary")
    text = result.stdout.decode()
    assert result.returncode == 0
    for expected in ("?x512", "FULLY_CONNECTED", "262,144", "1,048,576 bytes", "every operator is supported"):
        assert expected in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.tflite"], 2, "cannot read missing.tflite: No such file or directory"),
        (["{model}", "--shape", "x=axb"], 2, "--shape 'x=axb' is not of the form NAME=1x224x224x3"),
        (["{model}", "--shape", "z=1x512"], 2, "there is no input 'z'"),
        (["{model}", "--signature", "train"], 2, "no signature 'train'"),
        (["{folder}/broken.tflite"], 1, "not a TFLite model"),
        (["{model}", "-o", "{folder}/no/such/folder"], 1, "No such file or directory"),
        (["{model}", "-o", "/dev/full"], 1, "No space left on device"),
    ],
)
def test_errors_are_one_line(model: Path, arguments: list[str], code: int, message: str) -> None:
    (model.parent / "broken.tflite").write_bytes(b"something else")
    result = run(*(argument.format(model=model, folder=model.parent) for argument in arguments))
    assert result.returncode == code
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tosa-import: ")
    assert message in lines[0]
    assert result.stdout == b""


def test_nothing_is_half_written(model: Path) -> None:
    """A damaged model leaves an existing output file as it was, and no temporary file beside it."""
    output = model.with_suffix(".mlir")
    output.write_text("precious")
    data = model.read_bytes()
    model.write_bytes(data[: len(data) // 2])
    assert run(model, "-o", output).returncode == 1
    assert output.read_text() == "precious"
    assert sorted(path.name for path in model.parent.iterdir()) == ["model.mlir", "model.tflite"]


def test_full_disk_at_standard_output(model: Path) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run([*COMMAND, model], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert result.returncode == 1
    assert result.stderr.decode().splitlines() == ["tosa-import: standard output: No space left on device"]


def test_closed_pipe(model: Path) -> None:
    """What `tosa-import model | head -1` does: a failure, as the output is not whole, but nothing to tell about it."""
    process = subprocess.Popen([*COMMAND, model], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


def test_interrupt(model: Path) -> None:
    """Ctrl-C while the output waits for its reader: exit code 130, no traceback."""
    reader, writer = os.pipe()
    process = subprocess.Popen([*COMMAND, model], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    os.read(reader, 1)  # it runs, and now waits, since the pipe holds less than the module
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    os.close(reader)
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_help_does_not_load_the_compiler() -> None:
    program = (
        "import sys\nfrom tosaic.importers.__main__ import main\nsys.argv = ['tosa-import', '--help']\n"
        "try: main()\nexcept SystemExit as end: assert end.code == 0\n"
        "assert not {'xdsl', 'numpy', 'tflite', 'llvmlite'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)


def test_parse_shape() -> None:
    assert parse_shape("input=1x224x224x3") == ("input", (1, 224, 224, 3))
    assert parse_shape("a=b=?x3") == ("a=b", (-1, 3))
    for text in ("1x2", "x=", "x=1x", "=1x2", "x=-1x2"):
        with pytest.raises(ArgumentError):
            parse_shape(text)
