"""The device cuda over a stand-in for NVIDIA's driver, what is said where something is missing, and which code a GPU is
given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tosaic.runtime import load
from tosaic.runtime.artifact import TensorMap
from tosaic.runtime.cuda import nvidia
from tosaic.runtime.cuda.capability import CAPABILITIES, best_for, why_not
from tosaic.runtime.cuda.driver import TENSOR_MAP_BYTES
from tosaic.runtime.errors import DeviceError, DeviceLostError

from .fake_driver import FakeDriver
from .programs import ANY_SIZE, COUNTED, TWO_DEVICES, WEIGHTED, compiled

LINE = np.arange(64, dtype=np.float32)
EIGHT = np.arange(8, dtype=np.float32)

Install = Callable[..., FakeDriver]


def _forget() -> None:
    nvidia.open_api.cache_clear()
    nvidia.open_gpu.cache_clear()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Install]:
    """Puts a stand-in in the place of `cuda.bindings.driver`."""
    real = pytest.importorskip("cuda.bindings.driver")
    try:
        real.cuInit(0)
    except RuntimeError:
        pass
    else:
        pytest.skip("a driver is there: the device itself can be tested")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def install(**options: Any) -> FakeDriver:
        fake = FakeDriver(real, **options)
        monkeypatch.setitem(sys.modules, "cuda.bindings.driver", fake)  # pyright: ignore[reportArgumentType]
        _forget()
        return fake

    yield install
    _forget()


def test_programs_run_as_on_the_emulator(install: Install) -> None:
    fake = install()
    with load(compiled(WEIGHTED, "cuda@sm_80")) as program:
        for factor in (1, 2, 3):
            np.testing.assert_array_equal(program.run([factor * EIGHT])[0], factor * EIGHT * (EIGHT + 1))
        _, (trace,) = program.main.executor.trace([EIGHT])
        assert (np.diff(trace.seconds.reshape(-1)) >= 0).all()
    assert fake.gpus[0].used == 0
    with load(compiled(COUNTED, "cuda@sm_80")) as program:
        for count in (0, 3, 3):
            np.testing.assert_array_equal(program.run([LINE, np.array(count)])[0], (count + 1) * LINE)
    with load(compiled(WEIGHTED, "cuda@sm_80")) as program:
        np.testing.assert_array_equal(program.run([EIGHT])[0], EIGHT * (EIGHT + 1))
    assert fake.gpus[0].calls["load"] == 3  # but translated were two


def test_two_gpus_exchange_tensors(install: Install) -> None:
    install(gpus=2)
    with load(compiled(TWO_DEVICES.format(a="cuda@sm_80", b="cuda@sm_80"))) as program:
        for factor in (1, 2, 3):
            np.testing.assert_array_equal(program.run([factor * LINE])[0], 6 * factor * LINE)


def test_tensor_maps_are_encoded_with_the_innermost_dimension_first(install: Install) -> None:
    install()
    gpu = nvidia.open_gpu(0)
    assert len(gpu.tensor_map(TensorMap(0, "bfloat16", (64, 128), (64, 64), 128), 4096)) == TENSOR_MAP_BYTES


def _open(**changes: Any) -> None:
    load(compiled(ANY_SIZE, "cuda@sm_80"), **changes)


def test_without_cuda_bindings_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    _forget()
    with pytest.raises(
        DeviceError, match=r"device cuda@sm_80: a GPU needs .* cuda-bindings: pip install 'tosaic\[cuda"
    ):
        _open()
    _forget()


def test_without_a_driver_it_says_so() -> None:
    """The real one, where there is none."""
    real = pytest.importorskip("cuda.bindings.driver")
    try:
        real.cuInit(0)
    except RuntimeError:
        _forget()
        with pytest.raises(DeviceError, match=r"this machine has no NVIDIA driver .*cuda-emulator runs it without"):
            _open()
        assert nvidia.capability_here(0) is None
    else:
        pytest.skip("there is a driver")


@pytest.mark.parametrize(
    ("failures", "options", "message"),
    [
        ({"cuInit": "CUDA_ERROR_NO_DEVICE"}, {}, "this machine has no NVIDIA GPU"),
        ({}, {"gpus": 0}, "this machine has no NVIDIA GPU"),
        ({"cuInit": "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}, {}, "driver does not fit .*restart the machine or update"),
        ({}, {"version": 11040}, "driver is too old: it is for CUDA 11.4, and 12.0 or later is needed"),
        ({}, {"capability": (7, 0)}, r"NVIDIA Fake \(GPU 0\) has compute capability 7.0; 7.5 \(Turing\) or later"),
        ({}, {"capability": (7, 5)}, "needs compute capability 8.0 or later, and this GPU is sm_75; compile with"),
        (
            {"cuLinkAddData": "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
            {},
            "CUDA 13.0.* cannot read .* PTX: install a newer",
        ),
        ({"cuLinkAddData": "CUDA_ERROR_INVALID_PTX"}, {}, "refuses the code: ptxas line 7: nonsense$"),
        (
            {"cuModuleLoadData": "CUDA_ERROR_INVALID_IMAGE"},
            {},
            "driver failed: CUDA_ERROR_INVALID_IMAGE from cuModuleLoad",
        ),
    ],
)
def test_what_keeps_a_program_from_being_loaded(
    install: Install, failures: dict[str, str], options: dict[str, Any], message: str
) -> None:
    fake = install(**options)
    fake.failures, fake.log = failures, b"ptxas line 7:\n  nonsense"
    with pytest.raises(DeviceError, match=message) as caught:
        _open()
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there(install: Install) -> None:
    install(gpus=2)
    with pytest.raises(DeviceError, match="there is no GPU 5: this machine has the GPUs 0 to 1"):
        _open(devices="cuda:5")


def test_a_function_that_an_old_driver_lacks(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install()

    def missing(*arguments: Any) -> None:
        raise RuntimeError('Function "cuLinkCreate_v2" not found')

    monkeypatch.setattr(fake, "cuLinkCreate", missing, raising=False)
    with pytest.raises(DeviceError, match="too old for cuda-bindings: it lacks cuLinkCreate; install a newer driver"):
        _open()


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        (
            {"cuMemAllocAsync": "CUDA_ERROR_OUT_OF_MEMORY"},
            "out of memory: 4000 bytes asked for, 1000 of 80000 bytes of G",
        ),
        (
            {"cuStreamSynchronize": "CUDA_ERROR_ILLEGAL_ADDRESS"},
            "the GPU was lost .CUDA_ERROR_ILLEGAL_ADDRESS from cuStre",
        ),
    ],
)
def test_a_gpu_that_fails_later(install: Install, failures: dict[str, str], message: str) -> None:
    fake = install()
    with load(compiled(ANY_SIZE, "cuda@sm_80")) as program:
        np.testing.assert_array_equal(program.run([LINE])[0], 2 * LINE)
        fake.failures = failures
        with pytest.raises(DeviceLostError, match=message) as caught:
            program.run([np.ones(1000, np.float32)])
        assert caught.value.device == "cuda@sm_80"


@pytest.mark.parametrize(
    ("capability", "best"),
    [
        ((7, 5), "sm_75"),
        ((8, 0), "sm_80"),
        ((8, 7), "sm_86"),
        ((8, 9), "sm_89"),
        ((9, 0), "sm_90a"),
        ((12, 0), "sm_100"),
    ],
)
def test_the_code_that_makes_the_most_of_a_gpu_runs_on_it(capability: tuple[int, int], best: str) -> None:
    assert best_for(capability) == best
    assert why_not(best, capability) is None


def test_programs_are_compiled_for_the_gpu_at_hand(install: Install) -> None:
    install(capability=(8, 6))
    assert compiled.__wrapped__(ANY_SIZE, "cuda").variants[0].images[0].target == "sm_86"


def test_code_for_one_architecture_runs_on_no_other() -> None:
    assert "runs on compute capability 9.0 only" in (why_not("sm_90a", (10, 0)) or "")
    assert [name for name in CAPABILITIES if why_not(name, (10, 0))] == ["sm_90a"]
