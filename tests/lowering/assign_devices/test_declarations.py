"""Which devices a program runs on when it declares some, when the user lists some, and when both do."""

from __future__ import annotations

import pytest
from tosaic.lowering.assign_devices import devices_of
from tosaic.lowering.assign_devices.declarations import names_of_symbols
from tosaic.runtime.device_spec import parse_devices
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa.text import parse

UNDECLARED = "func.func @main() {\n  return\n}\n"
DECLARED = 'device.declare @fast = "cpu@x86-64-v4:1"\ndevice.declare @slow = "reference"\n'


@pytest.mark.parametrize(
    ("text", "listed", "expected"),
    [
        (UNDECLARED, None, ["cpu = cpu"]),
        (UNDECLARED, "cpu:1,cpu:1", ["cpu:1#1 = cpu:1", "cpu:1#2 = cpu:1"]),
        (DECLARED, None, ["fast = cpu@x86-64-v4:1", "slow = reference"]),
        (DECLARED, "cpu:2", ["fast = cpu:2"]),
        (DECLARED, "cpu:1,cpu:2", ["fast = cpu:1", "slow = cpu:2"]),
        (DECLARED, "cpu,cpu,reference", ["fast = cpu", "slow = cpu", "reference = reference"]),
    ],
)
def test_listed_devices_take_the_places_of_declared_ones(text: str, listed: str | None, expected: list[str]) -> None:
    devices = devices_of(parse(text), parse_devices(listed) if listed else ())
    assert [f"{spec.name} = {spec}" for spec in devices] == expected


def test_the_last_device_stands_in_for_declared_ones_that_are_not_listed() -> None:
    module = parse(DECLARED)
    assert names_of_symbols(module, devices_of(module, parse_devices("cpu"))) == {"fast": "fast", "slow": "fast"}


@pytest.mark.parametrize(
    "operation",
    [
        "%0 = tosa.abs %x {device.affinity = @gpu} : (tensor<4xf32>) -> tensor<4xf32>",
        "%0 = device.transfer %x to @gpu : tensor<4xf32>",
    ],
)
def test_an_unknown_device_is_named_with_its_line(operation: str) -> None:
    body = f"  {operation}\n  return %0 : tensor<4xf32>\n"
    text = f"{DECLARED}func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {{\n{body}}}"
    with pytest.raises(ArgumentError, match=r"^p.mlir:4:3: \S+: unknown device @gpu; there are: fast, slow$"):
        devices_of(parse(text, "p.mlir"))


def test_affinities_of_arguments_and_results_are_checked_too() -> None:
    text = "func.func @main(%x: tensor<4xf32> {device.affinity = 1 : i32}) {\n  return\n}"
    with pytest.raises(
        ArgumentError, match=r"^p.mlir:1:1: func.func: device.affinity must name a device, such as @cpu"
    ):
        devices_of(parse(text, "p.mlir"))
