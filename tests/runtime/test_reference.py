"""The device `reference`: what its code must look like, and what happens where it does not fit its plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tosaic.lowering
import tosaic.runtime
import tosaic.tosa
from tosaic.runtime.artifact import Artifact, Image
from tosaic.runtime.device_spec import parse_device
from tosaic.runtime.devices.reference import ReferenceDevice, open_device
from tosaic.runtime.errors import DeviceError, MalformedFileError
from tosaic.runtime.reference.file import SegmentRecord, read, write
from tosaic.runtime.reference.records import Block, Operation, ValueType

PROGRAM = """
func.func @main(%x: tensor<?x3xf32>, %n: f32) -> tensor<?x3xf32> {
  %c = arith.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x3xf32>
  %e = tensor.empty(%d) : tensor<?x3xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>,
      affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%x, %c : tensor<?x3xf32>, tensor<3xf32>) outs(%e : tensor<?x3xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.mulf %a, %b : f32
    %t = arith.addf %s, %n : f32
    linalg.yield %t : f32
  } -> tensor<?x3xf32>
  return %r : tensor<?x3xf32>
}
"""


def compiled() -> Artifact:
    return tosaic.lowering.compile(tosaic.tosa.read(PROGRAM.encode()), ["reference"])


def image_of(artifact: Artifact) -> Image:
    return artifact.variants[0].images[0]


def x() -> np.ndarray:
    return np.arange(6, dtype=np.float32).reshape(2, 3)


def test_it_computes_with_numpy() -> None:
    with tosaic.runtime.load(compiled()) as program:
        expected = x() * np.array([1, 2, 3], np.float32) + np.float32(0.5)
        np.testing.assert_array_equal(program.run([x(), np.float32(0.5)])[0], expected)


def test_code_is_read_as_it_was_written() -> None:
    code = image_of(compiled()).code
    assert write(read(code)) == bytes(code)


def test_it_refuses_the_code_of_others() -> None:
    image = replace(image_of(compiled()), target="x86-64-v3")
    assert ReferenceDevice().lacks(image) == "x86-64-v3 is no code for the device reference"
    assert open_device(parse_device("reference")).lacks(image_of(compiled())) is None


def _first(content: Any) -> dict[str, Any]:
    return content["segments"]["main"]["block"]


def _operation(content: Any, name: str) -> list[Any]:
    operations = list(_first(content)["operations"])
    for operation in operations:
        if operation[0] == name:
            return operation
        operations += [inner for block in operation[5] for inner in block["operations"]]
    raise KeyError(name)


DAMAGE: dict[str, Callable[[Any], object]] = {
    "not of version 1": lambda content: content.update(version=2),
    "has no segments": lambda content: content.pop("segments"),
    "scalars must be element types": lambda content: content["segments"]["main"].update(scalars=["f33"]),
    "there are more scalars than arguments": lambda content: content["segments"]["main"].update(scalars=["f32"] * 9),
    "a block without operations": lambda content: _first(content).update(operations=[]),
    "a block must end in its only terminator": lambda content: _first(content)["operations"].pop(),
    "unknown operation 'os.system'": lambda content: _operation(content, "arith.mulf").__setitem__(0, "os.system"),
    "arith.mulf: an operand is not defined": lambda content: _operation(content, "arith.mulf").__setitem__(1, [0, 999]),
    "arith.mulf: wrong number of operands (1)": lambda content: _operation(content, "arith.mulf")[1].pop(),
    "arith.mulf: results must be values with types": lambda content: _operation(content, "arith.mulf")[3].clear(),
    "arith.mulf: a value is defined twice": lambda content: _operation(content, "arith.mulf").__setitem__(
        2, _operation(content, "arith.addf")[1][:1] and [_operation(content, "linalg.generic")[5][0]["arguments"][0]]
    ),
    "attribute iterators cannot be": lambda content: _operation(content, "linalg.generic")[4].update(iterators=[3]),
    "attribute maps cannot be": lambda content: _operation(content, "linalg.generic")[4].update(maps=[[2, [["d", 7]]]]),
    "must have the attributes": lambda content: _operation(content, "linalg.generic")[4].pop("maps"),
    "attribute offset cannot be -64": lambda content: _operation(content, "tosa.const")[4].update(offset=-64),
}


@pytest.mark.parametrize("problem", DAMAGE)
def test_damaged_code_is_told(problem: str) -> None:
    content = json.loads(bytes(image_of(compiled()).code))
    DAMAGE[problem](content)
    with pytest.raises(MalformedFileError) as refused:
        read(json.dumps(content).encode())
    assert problem in str(refused.value)


@pytest.mark.parametrize("code", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null", b'{"version": 1}'])
def test_what_is_no_code_is_told(code: bytes) -> None:
    with pytest.raises(MalformedFileError, match="code of the reference device"):
        read(code)


def run_block(block: Block, segment_of: Artifact) -> None:
    image = image_of(segment_of)
    image = replace(image, code=write({"main": SegmentRecord([], block)}))
    segment = replace(image.segments[0], scalars=0, inputs=(), outputs=image.segments[0].outputs)
    executable = ReferenceDevice().load(image, b"")
    executable.bind(segment).invoke([], [np.zeros((2, 3), np.float32)])


def test_results_of_another_shape_are_told() -> None:
    empty = Operation("tensor.empty", [], [0], [ValueType("f32", (4, 3))])
    with pytest.raises(DeviceError, match=r"output 0 is \(2, 3\), computed was float32 of shape \(4, 3\)"):
        run_block(Block([], [empty, Operation("dispatch.yield", [0], [], [])]), compiled())


def test_operations_that_do_not_fit_are_told() -> None:
    operations = [
        Operation("tensor.empty", [], [0], [ValueType("f32", (4, 3))]),
        Operation("tensor.empty", [], [1], [ValueType("f32", (5,))]),
        Operation("arith.addf", [0, 1], [2], [ValueType("f32", (4, 3))]),
        Operation("dispatch.yield", [2], [], []),
    ]
    with pytest.raises(DeviceError, match="segment main: its operations do not fit"):
        run_block(Block([], operations), compiled())


def test_constants_beyond_the_end_are_told() -> None:
    constant = Operation("tosa.const", [], [0], [ValueType("f32", (2, 3))], {"offset": 64})
    with pytest.raises(DeviceError, match="a constant at 64 reaches beyond the 0 bytes there are"):
        run_block(Block([], [constant, Operation("dispatch.yield", [0], [], [])]), compiled())


def test_more_memory_than_there_is_is_a_lost_device() -> None:
    empty = Operation("tensor.empty", [], [0], [ValueType("f32", (1 << 40, 1 << 15))])
    with pytest.raises(DeviceError, match="out of memory"):
        run_block(Block([], [empty, Operation("dispatch.yield", [0], [], [])]), compiled())
