"""The device of GPUs, on emulated ones: what is copied when, what a call costs the driver, and what errors say."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import Program, load
from tosaic.runtime.cache import Cache
from tosaic.runtime.cuda.cubins import Cubins
from tosaic.runtime.cuda_emulator.driver import MULTIPROCESSORS, EmulatedGpu
from tosaic.runtime.errors import ArgumentError, DeviceError, DeviceLostError
from tosaic.runtime.loading import numbered, on_devices

from .programs import ANY_SIZE, COUNTED, SCALE, TWO_DEVICES, WEIGHTED, compiled, load_on, with_launches

X = np.arange(32, dtype=np.float32).reshape(4, 8)
LINE = np.arange(64, dtype=np.float32)


def during(gpu: EmulatedGpu, program: Program, *inputs: np.ndarray) -> dict[str, int]:
    """How often each function of the driver is called by one call."""
    before = dict(gpu.calls)
    program.run(list(inputs))
    return {name: count - before.get(name, 0) for name, count in gpu.calls.items() if count != before.get(name, 0)}


def test_a_call_that_repeats_is_one_launch_of_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = EmulatedGpu()
    with load_on(compiled(SCALE, "cuda-emulator"), [gpu], monkeypatch) as program:
        first = program.run([X])[0]
        assert during(gpu, program, X + 1) == {"launch_graph": 1, "synchronize": 1}
        bound = program.bind([X], [np.empty_like(X)])
        bound()
        np.testing.assert_array_equal(bound.outputs[0], 3 * X)
        np.testing.assert_array_equal(first, 3 * X)  # a result is not what later calls write


def test_large_arrays_go_through_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SCALE.replace("4x8", "64x128")
    x = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)
    gpu = EmulatedGpu()
    with load_on(compiled(text, "cuda-emulator"), [gpu], monkeypatch) as program:
        for scale in (1, 2):
            np.testing.assert_array_equal(program.run([scale * x])[0], 3 * scale * x)
        assert during(gpu, program, x[:, ::-1]) == {"launch_graph": 1, "synchronize": 1}


def test_constants_are_uploaded_once_and_everything_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = EmulatedGpu()
    program = load_on(compiled(WEIGHTED, "cuda-emulator"), [gpu], monkeypatch)
    for _ in range(3):
        np.testing.assert_array_equal(program.run([LINE[:8]])[0], np.arange(8) * np.arange(1, 9))
    assert gpu.calls["upload"] == 1
    assert gpu.used > 0
    program.close()
    program.close()
    assert gpu.used == 0
    with pytest.raises(DeviceError, match="the program is closed"):
        program.run([LINE[:8]])


def test_sizes_that_come_again_are_captured_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = EmulatedGpu()
    with load_on(compiled(ANY_SIZE, "cuda-emulator"), [gpu], monkeypatch) as program:
        for size in (5, 0, 7, 1000):
            np.testing.assert_array_equal(program.run([LINE[:1].repeat(size) + 1])[0], np.full(size, 2, np.float32))
        assert "begin_capture" not in gpu.calls
        for _ in range(6):
            np.testing.assert_array_equal(program.run([LINE])[0], 2 * LINE)
        calls = during(gpu, program, LINE)
        assert calls["launch_graph"] == 1 and "launch" not in calls and "begin_capture" not in calls


def test_a_tensor_that_stays_on_its_gpu_does_not_pass_through_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = EmulatedGpu()
    with load_on(compiled(COUNTED, "cuda-emulator"), [gpu], monkeypatch) as program:
        for count in (0, 1, 9):
            np.testing.assert_array_equal(program.run([LINE, np.array(count)])[0], (count + 1) * LINE)
        few, many = (during(gpu, program, LINE, np.array(count)) for count in (2, 9))
        assert few["copy_out"] == many["copy_out"] == 1


@pytest.mark.parametrize("devices", [("cuda-emulator", "cuda-emulator"), ("cpu:1", "cuda-emulator")])
def test_two_devices_have_memories_of_their_own(devices: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [EmulatedGpu(0), EmulatedGpu(1)]
    a, b = devices
    with load_on(compiled(TWO_DEVICES.format(a=a, b=b)), gpus, monkeypatch) as program:
        for factor in (1, 2, 3, 4):
            np.testing.assert_array_equal(program.run([factor * LINE])[0], 6 * factor * LINE)
    assert gpus[0].calls["copy_out"] + gpus[0].calls.get("copy_from", 0) > 0
    if a == b:  # from one GPU to the other without the host
        assert gpus[1].calls["copy_from"] > 0 and "copy_out" not in gpus[1].calls
        assert all(gpu.used == 0 for gpu in gpus)


def test_traces_tell_when_each_step_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    with load_on(compiled(SCALE, "cuda-emulator"), [EmulatedGpu()], monkeypatch) as program:
        (output,), (trace,) = program.main.executor.trace([X])
    np.testing.assert_array_equal(output, 3 * X)
    assert trace.seconds.shape == (len(trace.segment.steps), 1, 2)
    assert (np.diff(trace.seconds.reshape(-1)) >= 0).all()


def test_a_launch_without_a_number_of_blocks_fills_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = with_launches(compiled(SCALE, "cuda-emulator"), blocks=0)
    with load_on(artifact, [EmulatedGpu()], monkeypatch) as program:
        np.testing.assert_array_equal(program.run([X])[0], 3 * X)
        (kernel,) = program.devices[0][1].kernels.values()  # pyright: ignore[reportAttributeAccessIssue]
        assert kernel.blocks % MULTIPROCESSORS == 0


def test_out_of_memory_says_how_much_was_asked_and_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = compiled(ANY_SIZE, "cuda-emulator")
    with load_on(artifact, [EmulatedGpu(memory_limit=10_000)], monkeypatch) as program:
        np.testing.assert_array_equal(program.run([LINE])[0], 2 * LINE)
        message = r"device cuda-emulator: out of memory: 40000 bytes asked for, \d+ of 10000 bytes of GPU 0 are free$"
        with pytest.raises(DeviceLostError, match=message):
            program.run([np.ones(10_000, np.float32)])
        np.testing.assert_array_equal(program.run([LINE])[0], 2 * LINE)  # a smaller call still can
    with pytest.raises(DeviceLostError, match="out of memory"):
        load_on(artifact, [EmulatedGpu(memory_limit=1)], monkeypatch)


def test_a_lost_gpu_is_named_and_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = EmulatedGpu()
    with load_on(compiled(ANY_SIZE, "cuda-emulator"), [gpu], monkeypatch) as program:
        program.run([LINE])
        gpu.is_lost = True
        with pytest.raises(DeviceLostError, match="device cuda-emulator: GPU 0 was lost") as caught:
            program.run([LINE])
        assert caught.value.device == "cuda-emulator"


def test_cubins_are_kept_by_code_driver_and_capability(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    artifact, cubins = compiled(SCALE, "cuda-emulator"), Cubins(Cache(tmp_path))

    def links(driver: str) -> int:
        gpu = EmulatedGpu()
        gpu.driver = driver
        with load_on(artifact, [gpu], monkeypatch, cubins) as program:
            np.testing.assert_array_equal(program.run([X])[0], 3 * X)
        return gpu.calls.get("link", 0)

    assert [links("12.4"), links("12.4"), links("13.0"), links("12.4")] == [1, 0, 1, 0]
    for path in tmp_path.glob("*.cubin"):
        path.write_bytes(path.read_bytes()[:-1])
    assert links("12.4") == 1  # a damaged one is made anew


def test_a_gpu_is_chosen_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [EmulatedGpu(0), EmulatedGpu(1)]
    artifact = on_devices(compiled(SCALE, "cuda-emulator"), "cuda-emulator:1", None)
    with load_on(artifact, gpus, monkeypatch) as program:
        program.run([X])
    assert not gpus[0].calls and gpus[1].calls


def test_gpus_without_a_number_take_those_that_are_left() -> None:
    names = "cuda-emulator,cuda-emulator:0,cuda-emulator"
    specs = numbered(on_devices(compiled(SCALE, *["cuda-emulator"] * 3), names, None).devices)
    assert [spec.ordinal for spec in specs] == [1, 0, 2]


def test_there_are_not_more_emulated_gpus_than_that() -> None:
    with pytest.raises(DeviceError, match="device cuda-emulator:99: the emulator has the GPUs 0 to 15"):
        load(compiled(SCALE, "cuda-emulator"), devices="cuda-emulator:99")
    with pytest.raises(ArgumentError, match="the program was compiled for cuda-emulator"):
        load(compiled(SCALE, "cuda-emulator"), devices="cuda")


def _run_in_child(program: Program, results: multiprocessing.SimpleQueue[str]) -> None:
    try:
        program.run([X])
    except DeviceError as error:
        results.put(str(error))


def test_a_forked_child_is_told_that_it_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    with load_on(compiled(SCALE, "cuda-emulator"), [EmulatedGpu()], monkeypatch) as program:
        child = context.Process(target=_run_in_child, args=(program, results))
        child.start()
        child.join(60)
        assert "a GPU cannot be used in a forked process" in results.get()
        np.testing.assert_array_equal(program.run([X])[0], 3 * X)
