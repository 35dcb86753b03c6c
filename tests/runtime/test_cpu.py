"""The CPU device: which image it takes, and what it says when it can take none."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import cpu_features, load
from tosaic.runtime.arrays import aligned_empty
from tosaic.runtime.devices import cpu
from tosaic.runtime.devices.memory import Memory
from tosaic.runtime.errors import DeviceError, DeviceLostError

from . import native


def load_for(*targets: tuple[str, ...]) -> str:
    """The target that is loaded of a variant for each."""
    artifact = native.artifact()
    variants = [native.replaced_image(artifact, target=name, features=f).variants[0] for name, *f in targets]
    with load(dataclasses.replace(artifact, variants=tuple(variants)), threads=1) as program:
        ((_, executable),) = program.devices
        return executable.target


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which features the CPU has."""
    return lambda *names: monkeypatch.setattr(cpu, "host_features", lambda: frozenset(names))


def test_the_first_variant_that_fits_is_taken(features: Callable[..., None]) -> None:
    targets = (("v4", "x86_64", "avx512f"), ("v3", "x86_64", "avx2"), ("v2", "x86_64"))
    features("x86_64", "avx2", "avx512f")
    assert load_for(*targets) == "v4"
    features("x86_64", "avx2")
    assert load_for(*targets) == "v3"
    features("x86_64")
    assert load_for(*targets) == "v2"


def test_a_cpu_that_fits_no_variant_is_told_what_it_lacks(features: Callable[..., None]) -> None:
    features("x86_64", "avx2")
    with pytest.raises(
        DeviceError, match=r"cannot run here: v4 needs avx512f, .*; arm is code for aarch64, and this machine is"
    ):
        load_for(("v4", "x86_64", "avx512f", "avx2"), ("arm", "aarch64"))
    with pytest.raises(DeviceError, match="holds no code"):
        load_for()


def test_an_artifact_for_a_missing_isa_is_refused_before_its_code_is_mapped() -> None:
    artifact = native.artifact()
    foreign = native.replaced_image(artifact, target="future", features=("x86_64", "avx4096"))
    with pytest.raises(DeviceError, match="future needs avx4096"):
        load(foreign)


def test_more_memory_than_there_is_is_a_device_error() -> None:
    main, shift = native.segments()
    huge = native.replaced_image(native.artifact(), segments=(dataclasses.replace(main, arena_bytes=1 << 47), shift))
    with pytest.raises(DeviceLostError, match="cannot allocate"):
        load(huge)


def test_results_larger_than_memory_are_a_device_error() -> None:
    with pytest.raises(DeviceError, match=r"cannot allocate \d+ bytes of memory"):
        aligned_empty((1 << 60,), np.dtype(np.uint8))


def test_memory_is_zero_and_closes() -> None:
    memory = Memory(5000)
    assert memory.address % 4096 == 0 and bytes(memory.mapping[:5000]) == bytes(5000)
    memory.close()
    assert memory.mapping.closed


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc/cpuinfo of the test's own, uncached before and after."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu_features, "_CPUINFO", path)
    for function in (cpu_features.host_features, cpu_features.host_name, cpu_features._cpuinfo):
        monkeypatch.setattr(cpu_features, function.__name__, function.__wrapped__)
    return path


def test_features_have_llvms_names(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    entry = (
        "processor : 0\nmodel name\t: Some CPU @ 3 GHz: fast\nflags\t\t: fpu pni abm sse4_1 avx2 avx512_vnni avx_vnni\n"
    )
    cpuinfo.write_text(entry + "\nprocessor : 1\nflags : bmi1\n")
    expected = {"x86_64", "fpu", "sse3", "lzcnt", "sse4.1", "avx2", "avx512vnni", "avxvnni"}
    assert cpu_features.host_features() == expected
    assert cpu_features.host_name() == "Some CPU @ 3 GHz: fast"


def test_arm_features_too(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpuinfo.write_text("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd atomics asimdhp asimddp i8mm bf16\n\n")
    expected = {"aarch64", "fp", "neon", "lse", "fullfp16", "dotprod", "i8mm", "bf16"}
    assert cpu_features.host_features() == expected


def test_without_cpuinfo_only_the_machine_is_known(cpuinfo: Path) -> None:
    assert cpu_features.host_features() == {platform.machine()}


def test_this_machine_has_what_llvm_says_it_has() -> None:
    """The two ways to detect features agree on everything code generation can ask for."""
    llvm = pytest.importorskip("llvmlite.binding")
    by_llvm = {name for name, has in llvm.get_host_cpu_features().items() if has}
    if platform.machine() != "x86_64":
        pytest.skip("compared on x86-64 only")
    of_interest = {"sse4.2", "avx", "avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe", "avx512f", "avx512bw"}
    of_interest |= {"avx512vl", "avx512dq", "avx512cd", "avx512vnni", "avx512bf16", "avxvnni", "popcnt", "cx16", "sse3"}
    assert cpu_features.host_features() & of_interest == by_llvm & of_interest


def test_riscv_extensions_too(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    cpuinfo.write_text("processor\t: 0\nhart\t: 0\nisa\t: rv64imafdcv_zicsr_zba_zfh\nmmu\t: sv39\n\n")
    assert cpu_features.host_features() == {"riscv64", *"imafdcv", "zicsr", "zba", "zfh"}


def test_general_purpose_riscv_is_five_extensions(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    cpuinfo.write_text("processor\t: 0\nisa\t: rv64gc\n\n")
    assert cpu_features.host_features() == {"riscv64", *"imafdc"}
