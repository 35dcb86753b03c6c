"""Timings, profiles and the machine's peak."""

from __future__ import annotations

import numpy as np
import pytest
from tosaic.runtime import load, peak
from tosaic.runtime.artifact import Step, TensorInfo
from tosaic.runtime.cpu_features import host_features
from tosaic.runtime.measure import Profile, StepProfile, Timing, benchmark, example_inputs, profile
from tosaic.runtime.report import describe_profile, describe_timing, format_table

from . import native


def test_example_inputs_fill_the_range_that_is_safe() -> None:
    tensors = [
        TensorInfo("image", "float32", (1, 100)),
        TensorInfo("pixels", "uint8", (2000,)),
        TensorInfo("quantised", "int8", (2000,)),
        TensorInfo("ids", "int32", (1, 8)),
        TensorInfo("mask", "bool", (3,)),
        TensorInfo("half", "float16", ()),
    ]
    arrays = example_inputs(tensors)
    assert [(a.dtype.name, a.shape) for a in arrays] == [(t.dtype, t.shape) for t in tensors]
    assert 0 <= arrays[0].min() < 0.1 and 0.9 < arrays[0].max() <= 1
    assert (arrays[1].min(), arrays[1].max()) == (0, 255) and (arrays[2].min(), arrays[2].max()) == (-128, 127)
    assert not arrays[3].any() and not arrays[4].any()


def test_a_benchmark_orders_its_percentiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tosaic.runtime.measure._SECONDS", 0.05)
    monkeypatch.setattr("tosaic.runtime.measure._WARM_UP_SECONDS", 0.0)
    with load(native.artifact(), threads=1) as program:
        timing = benchmark(program.main.executor, example_inputs(program.inputs))
        assert timing.runs >= 10 and 0 < timing.p10 <= timing.median <= timing.p90
        line = describe_timing(program.main, Timing(10, 2e-3, 1e-3, 3e-3), 1)
    assert line == "median 2.000 ms, p10 1.000 ms, p90 3.000 ms over 10 runs on 1 threads (0.0 GFLOP/s)"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_profile_agrees_with_the_clock(threads: int) -> None:
    with load(native.artifact(), threads=threads) as program:
        measured = profile(program.main.executor, example_inputs(program.inputs), runs=5)
    assert [step.seconds[0].shape for step in measured.steps] == [(1, threads, 2)] * 3
    assert min(times.min() for step in measured.steps for times in step.seconds) == 0
    assert 0 < sum(step.duration() for step in measured.steps) <= measured.seconds() * 1.5
    between_runs = np.diff([times[0, 0, 0] for times in measured.steps[0].seconds])
    assert (between_runs > 0).all() and between_runs.max() < 10


def test_a_profile_table_relates_rates_to_the_peak_of_all_threads() -> None:
    steps = (
        Step("a", (), flops=4000, bytes=2000, description="matmul", dtype="float32"),
        Step("b", (), flops=0, bytes=8000, description="copy", dtype="complex64"),
    )
    times = np.array([[[0, 1], [0, 2]], [[2, 3], [2, 4]]]) * 1e-6
    rows = tuple(StepProfile("cpu", step, (own[None],)) for step, own in zip(steps, times, strict=True))
    lines = describe_profile(Profile(rows, 1), {"float32": 2e9}).splitlines()
    assert lines[1].split() == ["0", "2.0", "50.0", "2.0", "50.0", "1.0", "cpu", "matmul"]
    assert lines[2].split() == ["1", "2.0", "50.0", "0.0", "-", "4.0", "cpu", "copy"]
    assert lines[3] == "2 dispatches, 0.004 ms of the 0.004 ms of a run; measured peak of one core: float32 2 GFLOP/s"


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert format_table({"n": ">", "name": "<"}, [["10", "x"], ["5", "long name"]]) == " n  name\n10  x\n 5  long name"


@pytest.mark.skipif("fma" not in host_features(), reason="this CPU has no fused multiply-add")
def test_the_peak_is_one_that_a_core_can_have() -> None:
    peaks = peak.measure_peaks()
    assert 1e9 < peaks["float32"] < 1e12
    if "int8" in peaks:
        assert peaks["int8"] > 2 * peaks["float32"], "VNNI does four times the work of an FMA"


def test_machine_code_is_what_an_assembler_makes() -> None:
    """vfmadd231ps zmm17, zmm30, zmm31; vpdpbusd zmm9, ...; vdpbf16ps zmm0, ...; vfmadd231ps ymm9, ymm14, ymm15."""
    assert peak._encode_evex(peak._VFMADD231PS, 17, 30, 31).hex() == "62820d40b8cf"
    assert peak._encode_evex(peak._VPDPBUSD, 9, 30, 31).hex() == "62120d4050cf"
    assert peak._encode_evex(peak._VDPBF16PS, 0, 30, 31).hex() == "62920e4052c7"
    assert peak._encode_vex(peak._VFMADD231PS, 9, 14, 15).hex() == "c4420db8cf"
