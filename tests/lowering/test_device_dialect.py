"""Devices in program text: read as printed, and one line with the place for what is wrong."""

from __future__ import annotations

import pytest
from tosaic.runtime.errors import MalformedFileError
from tosaic.tosa.text import parse, print_module

PROGRAM = """
device.declare @fast = "cpu@x86-64-v4:1"
device.declare @slow = "reference"
func.func @main(%x: tensor<?x8xf32> {device.affinity = @fast}) -> (tensor<?x8xf32> {device.affinity = @slow}) {
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%d) : tensor<?x8xf32>
  %0 = linalg.exp {device.affinity = @fast} ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %1 = device.transfer %0 to @slow : tensor<?x8xf32>
  %2 = tosa.abs %1 {device.affinity = @slow} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %2 : tensor<?x8xf32>
}
"""


def test_custom_and_generic_form_say_the_same() -> None:
    module = parse(PROGRAM)
    for line in PROGRAM.splitlines():
        if "device.declare" in line or "device.transfer" in line:
            assert line.strip() in str(module)
    assert str(module).count("device.affinity = @") == 4
    assert parse(print_module(module)).is_structurally_equivalent(module)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'device.declare @a = "gpu"',
            "p.mlir:1:1.*device.declare @a: unknown device 'gpu'; known devices: cpu, cuda, cuda-emulator, reference",
        ),
        ('device.declare @a = "cpu"\ndevice.declare @a = "cpu"', 'p.mlir.*Redefinition of symbol "a"'),
        (
            'func.func @f() {\n  device.declare @a = "cpu"\n  return\n}',
            "p.mlir:2:3.*expects parent op 'builtin.module'",
        ),
        ("func.func @f(%x: f32) {\n  %0 = device.transfer %x to @a : f32\n  return\n}", "p.mlir:.*f32.*tensor"),
    ],
)
def test_what_does_not_verify_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(MalformedFileError, match=message):
        parse(text, "p.mlir")
