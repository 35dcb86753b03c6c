"""What users may write for devices, what each is called, and what is refused."""

from __future__ import annotations

import pytest
from tosaic.runtime.device_spec import DeviceSpec, parse_devices
from tosaic.runtime.errors import ArgumentError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("cpu", DeviceSpec("cpu")),
        ("cuda", DeviceSpec("cuda")),
        ("cuda:1", DeviceSpec("cuda", ordinal=1)),
        ("cuda@sm_90a:0", DeviceSpec("cuda", target="sm_90a", ordinal=0)),
        ("cuda-emulator:2", DeviceSpec("cuda-emulator", ordinal=2)),
        ("cpu:2", DeviceSpec("cpu", threads=2)),
        ("cpu@x86-64-v3", DeviceSpec("cpu", target="x86-64-v3")),
        ("cpu@x86-64-v4+vnni:1", DeviceSpec("cpu", threads=1, target="x86-64-v4+vnni")),
        (" reference ", DeviceSpec("reference")),
    ],
)
def test_a_device_is_read_and_written_the_same(text: str, spec: DeviceSpec) -> None:
    (read,) = parse_devices(text)
    assert read == spec
    assert str(read) == read.name == text.strip()


def test_devices_of_a_list_have_names_of_their_own() -> None:
    names = [spec.name for spec in parse_devices("cpu:1,reference,cpu:1,cpu@x86-64-v3:1")]
    assert names == ["cpu:1#1", "reference", "cpu:1#2", "cpu@x86-64-v3:1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "unknown device 'gpu'; known devices: cpu, cuda, cuda-emulator, reference"),
        ("", "unknown device ''; known devices: cpu, cuda, cuda-emulator, reference"),
        ("cpu,", "unknown device ''; known devices: cpu, cuda, cuda-emulator, reference"),
        ("cpu,cuda:first", "device 'cuda:first': 'first' is no number of a GPU"),
        ("cuda@", "device 'cuda@': name an instruction set behind the @, such as cuda@sm_80"),
        ("cpu:0", "0 threads: expected 1 to 1024"),
        ("cpu:many", "device 'cpu:many': 'many' is no number of threads"),
        ("cpu:²", "device 'cpu:²': '²' is no number of threads"),
        ("cpu:", "device 'cpu:': '' is no number of threads"),
        ("cpu@", "device 'cpu@': name an instruction set behind the @, such as cpu@x86-64-v3"),
        ("cpu:2@x86-64-v3", "device 'cpu:2@x86-64-v3': '2@x86-64-v3' is no number of threads"),
        ("cpu\n:2", "unknown device 'cpu\\n'; known devices: cpu, cuda, cuda-emulator, reference"),
        ("reference:2", "device reference:2: reference has no threads to choose"),
        (
            "reference@x86-64-v3",
            "device reference@x86-64-v3: reference has no instruction sets",
        ),
    ],
)
def test_what_is_no_device_is_refused(text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_devices(text)
    assert str(caught.value) == message
