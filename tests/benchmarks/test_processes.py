"""Engines in processes of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calls
from benchmarks.compilers import deploy
from benchmarks.engines import ENGINES
from benchmarks.processes import EngineError, EngineProcess, interleave, parse_pythons
from benchmarks.subjects import Subject
from benchmarks.worker import load_arrays, save_arrays


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.npz"
    save_arrays(path, [np.full((2, 3), 100, np.int8), np.full((3, 2), 100, np.int8)])
    return path


def test_arrays_come_back_in_order(tmp_path: Path) -> None:
    arrays = [np.full(2, number) for number in range(12)]
    save_arrays(tmp_path / "x.npz", arrays)
    assert [int(array[0]) for array in load_arrays(tmp_path / "x.npz")] == list(range(12))


def test_rounds_take_turns(inputs: Path, tmp_path: Path) -> None:
    with (
        EngineProcess("numpy", sys.executable, Path("-"), 1, inputs) as first,
        EngineProcess("numpy", sys.executable, Path("-"), 2, inputs) as second,
    ):
        others = interleave([first.ready(), second.ready()], 0.001, 3)
        assert 0 <= others < (os.cpu_count() or 1) + 1  # the clock ticks a hundred times a second
        assert len(first.rounds) == len(second.rounds) == 3
        assert 0 < first.median < 1 and first.load >= 0 and first.rss >= 0
        (product,) = first.outputs(tmp_path / "outputs.npz")
    np.testing.assert_array_equal(product, np.full((2, 2), 30000, np.int32))


def test_an_engine_that_cannot_open_a_file_says_why(inputs: Path) -> None:
    with (
        EngineProcess("tosaic", sys.executable, Path("missing.module"), 1, inputs) as process,
        pytest.raises(EngineError, match=r"missing\.module"),
    ):
        process.ready()


def test_interpreters_are_named_by_engine_or_family() -> None:
    pythons = parse_pythons(["openvino=/ov/python", "iree=/iree/python"], ENGINES)
    assert pythons["openvino_bf16"] == pythons["openvino"] == "/ov/python"
    assert pythons["iree"] == "/iree/python"
    assert pythons["tosaic"] == sys.executable


def test_a_small_model_is_the_same_to_us_and_to_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "dense_f32.tflite"
    path.write_bytes(calls.tflite_model(calls.layers()))
    subject = Subject(path, tmp_path)
    assert (subject.kind, subject.twin, subject.onnx) == ("f32", None, None)
    (expected,) = subject.reference(sys.executable)
    artifact = tmp_path / "dense.module"
    assert deploy(path, artifact) > 0
    with EngineProcess("tosaic", sys.executable, artifact, 1, subject.inputs) as process:
        (actual,) = process.ready().outputs(tmp_path / "outputs.npz")
    # Sums of 64 products of numbers about 1, in three layers.
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=3 * 64 * np.finfo(np.float32).eps * np.abs(expected).max()
    )


def test_subjects_know_their_relatives(tmp_path: Path) -> None:
    for name in ("net_f32.tflite", "net_int8.tflite", "net.onnx"):
        (tmp_path / name).write_bytes(calls.tflite_model(calls.layers()))
    assert Subject(tmp_path / "net_int8.tflite", tmp_path).twin == "net_f32"
    assert Subject(tmp_path / "net_f32.tflite", tmp_path).onnx == tmp_path / "net.onnx"


def test_what_a_compiler_refuses_is_told_without_folders(tmp_path: Path) -> None:
    model = tmp_path / "broken.tflite"
    model.write_bytes(b"\x1c\0\0\0TFL3" + bytes(32))
    with pytest.raises(EngineError) as raised:
        deploy(model, tmp_path / "broken.module")
    message = str(raised.value)
    assert message.startswith("deploy: broken.tflite") and str(tmp_path) not in message
