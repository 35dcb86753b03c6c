"""The module that an import makes: names, signatures, shapes, uint8 boundaries, all unsupported operators at once."""

from __future__ import annotations

import numpy as np
import pytest
import tosaic.importers
from ai_edge_litert import schema_py_generated as schema
from tosaic.runtime.errors import ArgumentError, MalformedFileError, UnsupportedError
from xdsl.dialects.builtin import DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from ..fuzz.models import sparse_model
from .tflite_builder import ModelBuilder, assert_same


def functions(module: ModuleOp) -> dict[str, FuncOp]:
    return {op.sym_name.data: op for op in module.ops if isinstance(op, FuncOp)}


def types(function: FuncOp) -> str:
    return str(function.function_type)


def identifiers(attributes: object) -> list[str]:
    names = []
    for entry in getattr(attributes, "data", ()):
        assert isinstance(entry, DictionaryAttr)
        name = entry.data["ml_program.identifier"]
        assert isinstance(name, StringAttr)
        names.append(name.data)
    return names


def flatten(batch: int = -1) -> ModelBuilder:
    """image [batch, 4, 4] -> relu -> scores [batch, 16]."""
    model = ModelBuilder()
    x = model.tensor(np.float32, [batch, 4, 4], name="image_tensor")
    y, z = model.tensor(np.float32, [batch, 4, 4]), model.tensor(np.float32, [batch, 16], name="scores_tensor")
    model.operator("RELU", [x], [y])
    model.operator("RESHAPE", [y, model.constant([-1, 16])], [z], schema.ReshapeOptionsT(newShape=[-1, 16]))
    return model


def test_model_without_signatures() -> None:
    module = tosaic.importers.import_model(flatten(2).build([0], [2]))
    (function,) = functions(module).values()
    assert function.sym_name.data == "main"
    assert identifiers(function.arg_attrs) == ["image_tensor"]
    assert identifiers(function.res_attrs) == ["scores_tensor"]
    assert types(function) == "(tensor<2x4x4xf32>) -> tensor<2x16xf32>"


def test_dynamic_batch_stays_dynamic_until_a_shape_is_given() -> None:
    data = flatten().build([0], [2])
    module = tosaic.importers.import_model(data)
    assert types(functions(module)["main"]) == "(tensor<?x4x4xf32>) -> tensor<?x16xf32>"
    for shapes in ({"image_tensor": (5, 4, 4)}, [(5, 4, 4)]):
        module = tosaic.importers.import_model(data, shapes=shapes)
        assert types(functions(module)["main"]) == "(tensor<5x4x4xf32>) -> tensor<5x16xf32>"


def test_shapes_reach_every_result_even_if_the_file_declares_others() -> None:
    data = flatten(2).build([0], [2])
    module = tosaic.importers.import_model(data, shapes={"image_tensor": (3, 8, 4)})
    assert types(functions(module)["main"]) == "(tensor<3x8x4xf32>) -> tensor<6x16xf32>"


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"picture": (1, 4, 4)}, "there is no input 'picture' to give a shape: the inputs are 'image_tensor'"),
        ({"image_tensor": (0, 4, 4)}, "dimension below 1"),
        ({"image_tensor": (1, 3, 3)}, "does not work with the given shapes"),
        ([(1, 4, 4), (1,)], "2 shapes for 1 inputs"),
    ],
)
def test_impossible_shapes(shapes: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        tosaic.importers.import_model(flatten().build([0], [2]), shapes=shapes)


def test_signatures() -> None:
    model = flatten(1)
    model.signature("serve", {"image": 0}, {"scores": 2})
    model.signature("probe", {"pixels": 0}, {"result": 2})
    data = model.build([0], [2])
    module = tosaic.importers.import_model(data)
    assert list(functions(module)) == ["serve", "probe"]
    assert identifiers(functions(module)["serve"].arg_attrs) == ["image"]
    assert identifiers(functions(module)["probe"].res_attrs) == ["result"]
    assert list(functions(tosaic.importers.import_model(data, signature="probe"))) == ["probe"]
    with pytest.raises(ArgumentError, match="no signature 'train': it has 'serve', 'probe'"):
        tosaic.importers.import_model(data, signature="train")


def test_shapes_by_the_names_of_a_signature() -> None:
    model = flatten()
    model.signature("serve", {"image": 0}, {"scores": 2})
    module = tosaic.importers.import_model(model.build([0], [2]), shapes={"image": (7, 4, 4)})
    assert types(functions(module)["serve"]) == "(tensor<7x4x4xf32>) -> tensor<7x16xf32>"


def test_all_unsupported_operators_are_reported_at_once() -> None:
    """Operators behind an unsupported one are looked at too; what is wrong is told with its tensors."""
    model = ModelBuilder()
    x = model.tensor(np.float32, [2, 4], name="x")
    a, b, c = (model.tensor(np.float32, [2, 4], name=name) for name in "abc")
    model.operator("LSH_PROJECTION", [x], [a])
    model.operator("RELU", [a], [b])
    model.operator("SKIP_GRAM", [b], [c])
    with pytest.raises(UnsupportedError) as error:
        tosaic.importers.import_model(model.build([x], [c]))
    assert [reason.split(":")[0] for reason in error.value.reasons] == [
        "LSH_PROJECTION('x') -> 'a'",
        "SKIP_GRAM('b') -> 'c'",
    ]


def test_uint8_crosses_the_boundary_and_is_marked() -> None:
    model = ModelBuilder()
    quantization = {"scale": 0.5, "zero_point": 128}
    x, y = model.tensor(np.uint8, [2, 3], **quantization), model.tensor(np.uint8, [3, 2], **quantization)
    model.operator("RESHAPE", [x, model.constant([3, 2])], [y], schema.ReshapeOptionsT(newShape=[3, 2]))
    data = model.build([x], [y])
    assert_same(data, [np.array([[0, 1, 127], [128, 254, 255]], np.uint8)])
    function = functions(tosaic.importers.import_model(data))["main"]
    for attributes in (function.arg_attrs, function.res_attrs):
        assert attributes is not None
        assert "ml_program.unsigned" in attributes.data[0].data


def test_shapes_that_the_model_computes_are_known() -> None:
    """SHAPE, STRIDED_SLICE and PACK put a target shape together, as converters do for a flatten."""
    model = ModelBuilder()
    x = model.tensor(np.float32, [2, 3, 4])
    shape, batch = model.tensor(np.int32, [3]), model.tensor(np.int32, [])
    target, y = model.tensor(np.int32, [2]), model.tensor(np.float32, [2, 12])
    model.operator("SHAPE", [x], [shape], schema.ShapeOptionsT(outType=schema.TensorType.INT32))
    operands = [shape, *(model.constant([value]) for value in (0, 1, 1))]
    model.operator("STRIDED_SLICE", operands, [batch], schema.StridedSliceOptionsT(shrinkAxisMask=1))
    model.operator("PACK", [batch, model.constant(12)], [target], schema.PackOptionsT(valuesCount=2))
    model.operator("RESHAPE", [x, target], [y], schema.ReshapeOptionsT(newShape=[2, 12]))
    assert_same(model.build([x], [y]), [np.arange(24, dtype=np.float32).reshape(2, 3, 4)])


def test_sparse_constant() -> None:
    assert_same(sparse_model(), [np.zeros((4, 4), np.float32)])


def test_inputs_and_outputs_have_distinct_names() -> None:
    """Files may leave out names or repeat them; users still need to tell inputs and outputs apart."""
    model = ModelBuilder()
    x, y, z = (model.tensor(np.float32, [2], name="same") for _ in range(3))
    model.operator("ADD", [x, y], [z], schema.AddOptionsT())
    model.graph.tensors[z].name = ""
    (function,) = functions(tosaic.importers.import_model(model.build([x, y], [z, z]))).values()
    assert identifiers(function.arg_attrs) == ["same", "same_1"]
    assert identifiers(function.res_attrs) == ["output_0", "output_1"]


def test_two_signatures_of_one_name() -> None:
    model = flatten(1)
    model.signature("serve", {"image": 0}, {"scores": 2})
    model.signature("serve", {"image": 0}, {"scores": 2})
    with pytest.raises(MalformedFileError, match=r"signature_defs\[1\]\.signature_key.*'serve' occurs twice"):
        tosaic.importers.import_model(model.build([0], [2]))


def test_types_that_tosa_lacks_are_unsupported() -> None:
    """Strings as input, operand and output: each place is reported, none as damage."""
    model = flatten(1)
    text, passed = model.tensor(np.float32, [1], name="text"), model.tensor(np.float32, [1], name="passed")
    for index in (text, passed):
        model.graph.tensors[index].type = schema.TensorType.STRING
    model.operator("RESHAPE", [text], [passed], schema.ReshapeOptionsT(newShape=[1]))
    with pytest.raises(UnsupportedError) as error:
        tosaic.importers.import_model(model.build([0, text], [2, passed]))
    assert error.value.reasons == [
        "input 'text': its type STRING does not exist in TOSA",
        "RESHAPE('text') -> 'passed': tensor 'text' is of type STRING, which TOSA does not have",
        "output 'passed': its type STRING does not exist in TOSA",
    ]
