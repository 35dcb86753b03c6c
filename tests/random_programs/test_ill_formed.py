"""Programs that cannot be read, compiled or called as they are: one clear error each, with where it is."""

from __future__ import annotations

import random

import numpy as np
import pytest
import tosaic.lowering
import tosaic.runtime
import tosaic.tosa
from tosaic.runtime.errors import ArgumentError, MalformedFileError, TosaicError, UnsupportedError

from tests.fuzz import child
from tests.fuzz.formats import damage_text

from .agreement import DEVICES
from .programs import Program, Random, make_program


def body(*lines: str, type: str = "tensor<4xf32>") -> str:
    text = "\n".join(f"  {line}" for line in lines)
    return f"func.func @f(%a: {type}) -> {type} {{\n{text}\n}}"


REFUSED = {
    "a type that the operation does not take": (
        body("%r = arith.addi %a, %a : tensor<4xf32>", "return %r : tensor<4xf32>"),
        MalformedFileError,
        "p.mlir:",
    ),
    "a value that nothing defines": (body("return %b : tensor<4xf32>"), MalformedFileError, "%b"),
    "sizes that do not match": (
        body(
            "%b = tensor.empty() : tensor<5xf32>",
            "%e = tensor.empty() : tensor<4xf32>",
            "%r = linalg.add ins(%a, %b : tensor<4xf32>, tensor<5xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>",
            "return %r : tensor<4xf32>",
        ),
        MalformedFileError,
        "p.mlir:4:3 in @f: linalg.add",
    ),
    "a map that leaves the tensor": (
        body(
            "%e = tensor.empty() : tensor<3xf32>",
            "%r = linalg.generic {indexing_maps = [affine_map<(i) -> (i + 2)>, affine_map<(i) -> (i)>], "
            'iterator_types = ["parallel"]} ins(%a : tensor<4xf32>) outs(%e : tensor<3xf32>) {',
            "^bb0(%x: f32, %y: f32):",
            "  linalg.yield %x : f32",
            "} -> tensor<3xf32>",
            "return %a : tensor<4xf32>",
        ),
        MalformedFileError,
        "p.mlir:3",
    ),
    "an operation of another dialect": (
        body('%r = "gpu.launch"(%a) : (tensor<4xf32>) -> tensor<4xf32>', "return %r : tensor<4xf32>"),
        MalformedFileError,
        "p.mlir:2:3: gpu.launch",
    ),
    "a function that calls itself": (
        body("%r = func.call @f(%a) : (tensor<4xf32>) -> tensor<4xf32>", "return %r : tensor<4xf32>"),
        UnsupportedError,
        "p.mlir:2:3: func.call",
    ),
    "an element type that no device has": (
        body("return %a : tensor<4xf8E4M3FN>", type="tensor<4xf8E4M3FN>"),
        UnsupportedError,
        "f8E4M3FN",
    ),
    "a device that is not declared": (
        body("%r = arith.addf %a, %a {device.affinity = @fast} : tensor<4xf32>", "return %r : tensor<4xf32>"),
        ArgumentError,
        "p.mlir:2:3: arith.addf %r: unknown device @fast",
    ),
    "a device of an unknown kind": (
        'device.declare @x = "gpu"\n' + body("return %a : tensor<4xf32>"),
        MalformedFileError,
        "unknown device 'gpu'",
    ),
}


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("case", REFUSED)
def test_programs_are_refused_with_the_place(case: str, device: str) -> None:
    text, kind, place = REFUSED[case]
    with pytest.raises(kind) as refused:
        tosaic.lowering.compile(tosaic.tosa.read(text.encode(), "p.mlir"), [device])
    assert type(refused.value) is kind
    assert place in str(refused.value)


def test_an_unknown_device_is_named() -> None:
    module = tosaic.tosa.read(body("return %a : tensor<4xf32>").encode())
    with pytest.raises(ArgumentError, match="unknown device 'gpu'; known devices: cpu, cuda, cuda-emulator, reference"):
        tosaic.lowering.compile(module, ["gpu"])


@pytest.mark.parametrize("device", ["cpu", "reference", "cpu:1,reference"])
def test_sizes_that_do_not_match_when_called(device: str) -> None:
    text = """
        func.func @f(%a: tensor<?x4xf32>, %b: tensor<?x4xf32>) -> tensor<?x4xf32> {
          %r = arith.addf %a, %b : tensor<?x4xf32>
          return %r : tensor<?x4xf32>
        }"""
    artifact = tosaic.lowering.compile(tosaic.tosa.read(text.encode()), device.split(","))
    with tosaic.runtime.load(artifact) as program:
        for first, second in ((3, 2), (1, 5), (0, 1)):
            arrays = [np.ones((rows, 4), np.float32) for rows in (first, second)]
            with pytest.raises(ArgumentError, match=f"{first}.*{second}"):
                program.run(arrays)
        np.testing.assert_array_equal(program.run([np.ones((3, 4), np.float32)] * 2)[0], np.full((3, 4), 2, np.float32))


def damaged(seed: int) -> bytes:
    return damage_text(make_program(Random(seed)).text.encode(), random.Random(seed))


def compile_text(data: bytes, device: str) -> None:
    """What is refused has to be told in one line, but for what is unsupported: that is a list."""
    try:
        tosaic.lowering.compile(tosaic.tosa.read(data), device.split(","))
    except UnsupportedError:
        raise
    except TosaicError as error:
        assert "\n" not in str(error), error
        raise


def assert_damage_is_told(seeds: range) -> None:
    outcomes = {child.outcome(lambda s=seed: compile_text(damaged(s), DEVICES[s % len(DEVICES)])) for seed in seeds}
    assert outcomes <= {"done", "MalformedFileError", "UnsupportedError", "ArgumentError"}


def test_damaged_programs_compile_or_are_refused() -> None:
    assert_damage_is_told(range(30))


@pytest.mark.slow
def test_many_damaged_programs_compile_or_are_refused() -> None:
    assert_damage_is_told(range(1000, 3000))


def call_with_other_sizes(program: Program, devices: str, seed: int) -> None:
    """Every function with one input of another shape: it computes something, or says that sizes do not fit."""
    chance = np.random.default_rng(seed)
    artifact = tosaic.lowering.compile(tosaic.tosa.read(program.text.encode()), devices.split(","))
    with tosaic.runtime.load(artifact) as loaded:
        for call in program.functions:
            arrays = list(call.inputs)
            changed = int(chance.integers(len(arrays)))
            shape = [max(0, size + int(chance.integers(-1, 3))) for size in arrays[changed].shape]
            arrays[changed] = np.zeros(shape, arrays[changed].dtype)
            try:
                loaded.function(call.name).run(arrays)
            except ArgumentError as error:
                assert "\n" not in str(error), error


def assert_other_sizes_are_told(seeds: range) -> None:
    for seed in seeds:
        program, devices = make_program(Random(seed)), DEVICES[seed % len(DEVICES)]
        if "?" in program.text:
            assert child.outcome(lambda p=program, d=devices, s=seed: call_with_other_sizes(p, d, s)) == "done", seed


def test_calls_with_other_sizes_compute_or_are_refused() -> None:
    assert_other_sizes_are_told(range(24))


@pytest.mark.slow
def test_many_calls_with_other_sizes_compute_or_are_refused() -> None:
    assert_other_sizes_are_told(range(1000, 2000))
