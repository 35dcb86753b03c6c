"""`.tosa` files: round trips, every type of constant, damaged bytes."""

from __future__ import annotations

import random

import ml_dtypes
import numpy as np
import pytest
from tosaic.runtime.errors import MalformedFileError, TosaicError, UnsupportedError
from tosaic.tosa import dialect as tosa
from tosaic.tosa.elements import ElementsAttr
from tosaic.tosa.flatbuffer import read_flatbuffer, write_flatbuffer
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntegerType, ModuleOp, StringAttr, TensorType, f32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

CONSTANTS = {
    "f32": np.array([1.5, -2.25], np.float32),
    "f16": np.array([1.5, -2.25], np.float16),
    "bf16": np.array([1.5, -2.25], ml_dtypes.bfloat16),
    "i1": np.array([True, False, True]),
    "i8": np.array([[-128, 127]], np.int8),
    "i16": np.array([-32768, 7], np.int16),
    "i32": np.array([-(2**31), 2**31 - 1], np.int32),
}


def function_with(name: str, block: Block, *results: tosa.TosaOp) -> ModuleOp:
    """A module with one function around `block`, its arguments called in0, in1... and its results out0, out1..."""
    values = [op.results[0] for op in results]
    block.add_op(ReturnOp(*values))
    function = FuncOp(name, (list(block.arg_types), [value.type for value in values]), Region(block))

    def identifiers(prefix: str, count: int) -> ArrayAttr[DictionaryAttr]:
        return ArrayAttr(
            DictionaryAttr({"ml_program.identifier": StringAttr(f"{prefix}{index}")}) for index in range(count)
        )

    function.arg_attrs, function.res_attrs = identifiers("in", len(block.args)), identifiers("out", len(values))
    return ModuleOp([function])


def convolution_module() -> ModuleOp:
    """One convolution with a clamp: attributes of every kind, zero points, a shape operand."""
    block = Block(arg_types=[TensorType(f32, [1, 8, 8, 3])])
    weight, bias = tosa.ConstOp(np.ones((4, 3, 3, 3), np.float32)), tosa.ConstOp(np.zeros(4, np.float32))
    zero = tosa.ConstOp(np.zeros(1, np.float32))
    convolution = tosa.Conv2DOp(
        block.args[0], weight, bias, zero, zero, pad=[0, 1, 0, 1], stride=[2, 2], dilation=[1, 1], acc_type=f32
    )
    clamp = tosa.ClampOp(convolution.results[0], 0.0, 6.0)
    shape = tosa.ConstShapeOp([1, 64])
    reshape = tosa.ReshapeOp(clamp, shape)
    block.add_ops([weight, bias, zero, convolution, clamp, shape, reshape])
    return function_with("serving_default", block, reshape)


def assert_round_trip(module: ModuleOp) -> None:
    module.verify()
    assert read_flatbuffer(write_flatbuffer(module)).is_structurally_equivalent(module)


def test_a_convolution_survives_the_round_trip() -> None:
    assert_round_trip(convolution_module())


@pytest.mark.parametrize("array", CONSTANTS.values(), ids=CONSTANTS)
def test_constants_survive_the_round_trip(array: np.ndarray) -> None:
    block, constant = Block(), tosa.ConstOp(array)
    block.add_op(constant)
    assert_round_trip(function_with("main", block, constant))


@pytest.mark.parametrize(("width", "values"), [(4, [-8, 7, -1]), (48, [-(2**47), 2**47 - 1, 5])])
def test_narrow_integers_are_packed(width: int, values: list[int]) -> None:
    type = TensorType(IntegerType(width), [3])
    array = np.array(values, np.int8 if width == 4 else np.int64)
    block, constant = Block(), tosa.ConstOp(ElementsAttr.from_array(array, type))
    block.add_op(constant)
    assert_round_trip(function_with("main", block, constant))


def test_names_of_inputs_and_outputs_are_the_tensors_names() -> None:
    data = write_flatbuffer(convolution_module())
    assert b"in0" in data
    assert b"out0" in data


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "identifier"), (b"\x08\0\0\0TOSA", "reaches outside"), (b"\0" * 64, "identifier")],
)
def test_files_that_are_no_tosa_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedFileError, match=message):
        read_flatbuffer(data, "x.tosa")


def test_what_the_format_cannot_hold_is_listed() -> None:
    block = Block(arg_types=[TensorType(f32, [2])])
    block.add_op(ReturnOp(block.args[0]))
    inner = FuncOp("main", ([TensorType(f32, [2])], [TensorType(f32, [2])]), Region(block))
    block.insert_op_before(FuncOp.external("inner", [], []), block.last_op)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnsupportedError, match=r"func\.func in @main"):
        write_flatbuffer(ModuleOp([inner]))


def test_damaged_files_are_errors_not_crashes() -> None:
    data = write_flatbuffer(convolution_module())
    generator = random.Random(0)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 3)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        if generator.random() < 0.2:
            damaged = damaged[: generator.randrange(len(damaged))]
        try:
            read_flatbuffer(bytes(damaged))
        except TosaicError:
            refused += 1
    assert refused > 300


def test_dynamic_shapes_are_unsupported() -> None:
    module = parse("func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> { return %x : tensor<?x4xf32> }")
    with pytest.raises(UnsupportedError, match="fixed shapes only: import with --shape") as raised:
        write_flatbuffer(module)
    assert raised.value.reasons == ["input 'input_0' of @main has the type tensor<?x4xf32>"]
