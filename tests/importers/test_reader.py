"""Malformed files are refused with the field that is wrong and where it is stored."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tflite
import tosaic.importers
from ai_edge_litert import schema_py_generated as schema
from tosaic.importers.tflite.reader import read_model
from tosaic.importers.tflite.schema import TABLES
from tosaic.importers.tflite.verifier import Verifier
from tosaic.runtime.errors import ArgumentError, MalformedFileError

from .tflite_builder import ModelBuilder


def addition() -> ModelBuilder:
    """y = x + constant."""
    model = ModelBuilder()
    x, y = model.tensor(np.float32, [2, 3], name="x"), model.tensor(np.float32, [2, 3], name="y")
    constant = model.constant(np.ones((2, 3)), np.float32, name="constant")
    model.operator("ADD", [x, constant], [y], schema.AddOptionsT())
    return model


def refused(model: ModelBuilder, inputs: tuple[int, ...] = (0,), outputs: tuple[int, ...] = (1,)) -> str:
    """The message with which the model is refused: one line that begins with the file and the field."""
    with pytest.raises(MalformedFileError) as error:
        tosaic.importers.import_model(model.build(inputs, outputs))
    message = str(error.value)
    assert "\n" not in message
    return message


def patched(data: bytes, path: str, value: int, size: int = 4) -> bytes:
    """`data` with another value in the field called `path`."""
    position = Verifier(data).locate(path)
    assert position is not None
    return data[:position] + value.to_bytes(size, "little") + data[position + size :]


def test_views_of_a_valid_model(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(addition().build([0], [1]))
    graph = read_model(path).subgraphs[0]
    (operator,) = graph.operators
    assert operator.name == "ADD"
    assert [tensor.name for tensor in operator.inputs if tensor] == ["x", "constant"]
    constant = operator.input(1).data
    assert constant is not None
    np.testing.assert_array_equal(constant, np.ones((2, 3), np.float32))


def test_results_without_a_type_take_that_of_the_operands() -> None:
    """As in LiteRT, whose own test models declare int8 sums as float32."""
    model = ModelBuilder()
    parameters = {"scale": 0.1, "zero_point": 3}
    x, z = (model.tensor(np.uint8, [2, 3], name=name, **parameters) for name in ("x", "z"))
    y = model.tensor(np.float32, [2, 3], name="y", **parameters)
    for inputs, output in (([x, x], y), ([y, x], z)):
        model.operator("ADD", inputs, [output], schema.AddOptionsT())
    graph = read_model(model.build([x], [z])).subgraphs[0]
    result = graph.operators[0].output()
    assert result.type_name == "UINT8"
    assert result.zero_point == 3 - 128


def test_constants_are_views_of_the_mapped_file(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(addition().build([0], [1]))
    constant = read_model(path).subgraphs[0].operators[0].input(1).data
    assert constant is not None
    assert not constant.flags.owndata
    assert not constant.flags.writeable


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\x00", "not a TFLite model"),
        (b"builtin.module {}", "not a TFLite model"),
        (b"\x10\x00\x00\x00TFL3", "byte 16 of a file of 8 bytes"),
        (struct.pack("<I4s", 0, b"TFL3"), "byte 0 of a file of 8 bytes"),
    ],
)
def test_files_that_are_no_models(data: bytes, message: str) -> None:
    with pytest.raises(MalformedFileError, match=message):
        tosaic.importers.import_model(data)


def test_missing_file() -> None:
    with pytest.raises(ArgumentError, match=r"cannot read missing\.tflite: No such file"):
        tosaic.importers.import_model("missing.tflite")


def test_every_truncation_is_refused() -> None:
    """LiteRT's builder writes from the end, so there is no tail that a model can do without."""
    data = addition().build([0], [1])
    for length in range(len(data)):
        with pytest.raises(MalformedFileError):
            tosaic.importers.import_model(data[:length])


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", 4, r"version \(byte \d+\): schema version 4, not 3"),
        ("subgraphs[0].operators[0].inputs[1]", 99, r"inputs\[1\] \(byte \d+\): there is no tensor 99"),
        ("subgraphs[0].operators[0].outputs[0]", 0, r"outputs\[0\] \(byte \d+\): tensor 'x' already has a value"),
        ("subgraphs[0].operators[0].inputs[0]", 1, r"tensor 'y' is neither constant nor produced by an earlier"),
        ("subgraphs[0].inputs[0]", 7, r"subgraphs\[0\]\.inputs\[0\] \(byte \d+\): there is no tensor 7"),
        ("subgraphs[0].tensors[0].shape[1]", 0xFFFFFFFE, r"shape\[1\] \(byte \d+\): negative dimension -2"),
        ("subgraphs[0].tensors[0].shape[1]", 0x7FFFFFFF, None),
        (
            "subgraphs[0].tensors[2].shape[1]",
            4,
            r"buffer \(byte \d+\): 24 bytes for \[2, 4\] of FLOAT32, which take 32",
        ),
        ("subgraphs[0].tensors[2].buffer", 50, r"there is no buffer 50"),
    ],
)
def test_wrong_values(path: str, value: int, message: str | None) -> None:
    with pytest.raises(MalformedFileError, match=message):
        tosaic.importers.import_model(patched(addition().build([0], [1]), path, value))


def test_overflowing_dimensions() -> None:
    model = addition()
    model.graph.tensors[0].shape = [0x7FFFFFFF] * 4
    assert "overflow" in refused(model)


def test_operator_code_out_of_range() -> None:
    model = addition()
    model.graph.operators[0].opcodeIndex = 3
    assert "subgraphs[0].operators[0].opcode_index" in refused(model)


def test_cycle() -> None:
    """Two operators that use each other's results: whichever is first lacks an operand."""
    model = ModelBuilder()
    x, y, z = (model.tensor(np.float32, [2], name=name) for name in "xyz")
    model.operator("ADD", [x, z], [y], schema.AddOptionsT())
    model.operator("ADD", [x, y], [z], schema.AddOptionsT())
    assert "subgraphs[0].operators[0].inputs[1]" in refused(model, (x,), (z,))


def test_output_that_nothing_produces() -> None:
    model = addition()
    lost = model.tensor(np.float32, [2], name="lost")
    assert "subgraphs[0].outputs[0]" in refused(model, (0,), (lost,))


def test_missing_operand_and_options_of_another_operator() -> None:
    model = addition()
    model.graph.operators[0].inputs = [0]
    assert "ADD lacks operand 1" in refused(model)
    model = addition()
    model.graph.operators[0].builtinOptionsType = schema.BuiltinOptions.PadOptions
    model.graph.operators[0].builtinOptions = schema.PadOptionsT()
    assert "ADD carries PadOptions, not AddOptions" in refused(model)


@pytest.mark.parametrize("stride", [0, -1])
def test_strides_that_go_nowhere(stride: int) -> None:
    model = ModelBuilder()
    x, y = model.tensor(np.float32, [1, 4, 4, 1]), model.tensor(np.float32, [1, 4, 4, 1])
    options = schema.Pool2DOptionsT(strideW=stride, strideH=1, filterWidth=1, filterHeight=1)
    model.operator("MAX_POOL_2D", [x], [y], options)
    assert "MAX_POOL_2D" in refused(model, (x,), (y,))


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"scale": float("nan")}, r"scale\[0\]"),
        ({"scale": 0.0}, r"scale\[0\]"),
        ({"scale": 1.0, "zero_point": 128}, r"zero_point\[0\]"),
        ({"scale": [1.0, 2.0], "axis": 0}, "2 scales for dimension 0"),
        ({"scale": [1.0, 2.0], "axis": 5}, "no dimension 5"),
    ],
)
def test_wrong_quantization(quantization: dict, message: str) -> None:
    model = ModelBuilder()
    x, y = model.tensor(np.int8, [3, 2], **quantization), model.tensor(np.int8, [6], scale=1.0)
    model.operator("RESHAPE", [x, model.constant([6])], [y], schema.ReshapeOptionsT(newShape=[6]))
    with pytest.raises(MalformedFileError, match=message):
        tosaic.importers.import_model(model.build([x], [y]))


def test_constant_behind_the_flatbuffer() -> None:
    """Models above 2 GiB keep their buffers behind the FlatBuffer, found by offset and size."""
    model = addition()
    values = np.arange(6, dtype=np.float32)
    model.model.buffers[1] = schema.BufferT(offset=1 << 40, size=values.nbytes)
    data = model.build([0], [1])
    data = patched(data, "buffers[1].offset", len(data), size=8) + values.tobytes()
    constant = read_model(data).subgraphs[0].operators[0].input(1).data
    np.testing.assert_array_equal(constant, values.reshape(2, 3))
    with pytest.raises(MalformedFileError, match=r"buffers\[1\]\.offset"):
        tosaic.importers.import_model(data[:-1])


def test_union_tag_without_a_union() -> None:
    """The tag of absent options is read as well, so it is verified by itself."""
    data = addition().build([0], [1])
    graph = tflite.Model.GetRootAs(data).Subgraphs(0)
    operator = graph and graph.Operators(0)
    assert operator is not None
    table = operator._tab.Pos
    vtable = table - struct.unpack_from("<i", data, table)[0]
    damaged = bytearray(data)
    struct.pack_into("<HH", damaged, vtable + TABLES["Operator"]["builtin_options_type"].slot, 0x3000, 0)
    with pytest.raises(MalformedFileError, match=r"operators\[0\]\.builtin_options_type"):
        tosaic.importers.import_model(bytes(damaged))
