"""`deploy` with GPUs: what it says where there is none, and a GPU that fails while a batch runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime.artifact import Artifact
from tosaic.runtime.cuda import nvidia
from tosaic.runtime.cuda_emulator.driver import EmulatedGpu
from tosaic.runtime.errors import DeviceLostError

from .conftest import Outcome

Deploy = Callable[..., Outcome]

PROGRAM = """
func.func @main(%x: tensor<64xf32>) -> tensor<64xf32> {
  %y = arith.addf %x, %x : tensor<64xf32>
  return %y : tensor<64xf32>
}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "double.mlir"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def without_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    nvidia.open_api.cache_clear()
    nvidia.open_gpu.cache_clear()


@pytest.mark.usefixtures("without_bindings")
def test_running_without_cuda_bindings_says_what_to_install(deploy: Deploy, program: Path) -> None:
    outcome = deploy(program, "--devices", "cuda@sm_80", "--input", "64xf32=1")
    expected = "deploy: device cuda@sm_80: a GPU needs the Python package cuda-bindings: pip install 'tosaic[cuda]'\n"
    assert (outcome.code, outcome.out, outcome.err) == (1, "", expected)


@pytest.mark.usefixtures("without_bindings")
def test_compiling_without_a_gpu_says_what_for(deploy: Deploy, program: Path, tmp_path: Path) -> None:
    outcome = deploy(program, "--devices", "cpu,cuda:1", "-o", tmp_path / "double.module")
    assert outcome.code == 0
    assert "there is no GPU here: the code is for sm_80, which later ones run too" in outcome.err
    artifact = Artifact.load(tmp_path / "double.module")
    assert [(slot.kind, slot.ordinal) for slot in artifact.devices] == [("cpu", -1), ("cuda", 1)]
    assert artifact.variants[0].images[1].target == "sm_80"
    named = deploy(program, "--devices", "cuda@sm_90a", "-o", tmp_path / "double.module")
    assert (named.code, named.err) == (0, "")


def test_the_emulator_has_as_many_gpus_as_are_asked_for(deploy: Deploy, program: Path) -> None:
    outcome = deploy(program, "--devices", "cuda-emulator:1,cuda-emulator", "--input", "64xf32=3")
    assert outcome.code == 0 and outcome.out.startswith("64xf32=[6,6,6")


def test_with_fallback_a_lost_gpu_is_done_without(
    deploy: Deploy, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = 0

    def lose(gpu: EmulatedGpu) -> None:
        nonlocal launches
        launches += 1
        gpu.is_lost = launches > 2
        if gpu.is_lost:
            raise DeviceLostError(f"GPU {gpu.number} was lost")

    for name in ("launch", "launch_graph"):
        original = getattr(EmulatedGpu, name)
        monkeypatch.setattr(EmulatedGpu, name, lambda gpu, *rest, do=original: (lose(gpu), do(gpu, *rest))[1])
    np.savez(tmp_path / "in.npz", input0=np.arange(5 * 64, dtype=np.float32).reshape(5, 64))
    options = ["--place", "*=cuda-emulator", "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz"]
    failed = deploy(program, "--devices", "cpu,cuda-emulator", *options)
    assert failed.code == 1 and "device cuda-emulator: GPU 0 was lost" in failed.err
    launches = 0
    outcome = deploy(program, "--devices", "cpu,cuda-emulator", "--fallback", *options)
    assert outcome.code == 0 and "device cuda-emulator: GPU 0 was lost: going on with cpu" in outcome.err
    with np.load(tmp_path / "out.npz") as results:
        np.testing.assert_array_equal(next(iter(results.values())), 2.0 * np.arange(5 * 64).reshape(5, 64))
