"""One artifact for several architectures: each machine runs its own code, and one without any is told so."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
from tosaic.lowering.target import resolve_target
from tosaic.runtime import loading
from tosaic.runtime.artifact import Artifact
from tosaic.runtime.devices import cpu
from tosaic.runtime.errors import DeviceError

from .device import EmulatedCpu
from .test_models import DIGITS, random_array

TARGETS = ["x86-64-v2", "neoverse-v1", "aarch64", "riscv64"]


@cache
def for_all() -> Artifact:
    module = tosaic.importers.import_model(DIGITS / "digits_int8.tflite")
    return tosaic.lowering.compile(module, devices=["cpu:1"], target=TARGETS)


@pytest.mark.parametrize(
    ("machine", "chosen"),
    [("cortex-a53", "aarch64"), ("neoverse-v2", "neoverse-v1"), ("sifive-u74", "riscv64")],
)
def test_every_machine_runs_the_best_code_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, chosen: str
) -> None:
    for_all().save(tmp_path / "digits.module")
    artifact = Artifact.load(tmp_path / "digits.module")
    signature = artifact.signatures[0]
    image = random_array(signature.inputs[0])
    with tosaic.runtime.load(for_all()) as program:
        (expected,) = program.function(signature.name).run([image])
    monkeypatch.setattr(loading, "open_device", lambda spec: EmulatedCpu(resolve_target(machine), 1))
    loaded = loading.load_devices(artifact)
    try:
        assert loaded.variant.images[0].target == chosen
        (got,) = next(loaded.executors(artifact)).run([image])
    finally:
        loaded.close()
    np.testing.assert_array_equal(got, expected)


def test_a_machine_without_code_is_told_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "host_features", lambda: frozenset({"s390x"}))
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with pytest.raises(DeviceError, match="neoverse-v1 is code for aarch64, and this machine is s390x") as caught:
        tosaic.runtime.load(for_all())
    assert all(f"{target} is code for" in str(caught.value) for target in TARGETS)
