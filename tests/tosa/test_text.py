"""MLIR text: round trips of every kind of constant, both syntaxes, peers, and errors with their position."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tosaic.runtime.errors import ArgumentError, MalformedFileError
from tosaic.tosa import dialect as tosa
from tosaic.tosa import evaluate, read, write
from tosaic.tosa.elements import ElementsAttr, element_type_of
from tosaic.tosa.text import parse, print_module
from xdsl.dialects.builtin import IntegerType, ModuleOp, TensorType, f32

from .builders import constant, function, tensor, zero


def constant_module(array: np.ndarray, type: TensorType | None = None) -> ModuleOp:
    return function([], lambda: tosa.ConstOp(ElementsAttr.from_array(array, type)))


def constant_of(module: ModuleOp) -> np.ndarray:
    return next(operation.array for operation in module.walk() if isinstance(operation, tosa.ConstOp))


def round_trip(array: np.ndarray, type: TensorType | None = None) -> None:
    module = constant_module(array, type)
    printed = print_module(module)
    read_back = parse(printed)
    assert constant_of(read_back).dtype == array.dtype
    assert constant_of(read_back).shape == array.shape
    assert constant_of(read_back).tobytes() == array.tobytes()
    assert print_module(read_back) == printed


DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64"]


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_side=5))))
def test_constants_of_any_type_and_size_round_trip(array: np.ndarray) -> None:
    # The payload of a NaN is not kept by decimal printing.
    round_trip(np.nan_to_num(array) if array.dtype.kind == "f" and np.isnan(array).any() else array)


@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.bfloat16])
@pytest.mark.parametrize("count", [0, 1, 3, 100, 20_000], ids=["empty", "one", "decimal", "hexadecimal", "blob"])
def test_constants_in_every_notation_round_trip(dtype: str, count: int) -> None:
    round_trip(np.arange(count).astype(np.dtype(dtype)))


@pytest.mark.parametrize("width", [4, 48])
def test_odd_widths_round_trip(width: int) -> None:
    array = np.array([[-3, 2], [7, -8]], np.int8 if width == 4 else np.int64)
    round_trip(array, TensorType(IntegerType(width), array.shape))
    if width == 48:
        round_trip(np.arange(-50, 50), TensorType(IntegerType(48), [100]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4028235e38, 0.1])
def test_special_floats_round_trip(value: float) -> None:
    for dtype in (np.float32, ml_dtypes.bfloat16):
        round_trip(np.array([value, 1], np.float32).astype(dtype))
    round_trip(np.full((3, 3), value, np.float32))


def test_large_constants_are_blobs_at_the_end_and_shared_ones_are_written_once() -> None:
    weight = ElementsAttr.from_array(np.arange(10_000, dtype=np.float32))
    printed = print_module(function([], lambda: [tosa.ConstOp(weight).output, tosa.ConstOp(weight).output]))
    body, _, resources = printed.partition("{-#")
    assert body.count("dense_resource<constant_0> : tensor<10000xf32>") == 2
    assert len(body) < 1000
    assert resources.count('constant_0: "0x04000000') == 1


def test_generic_form() -> None:
    def body(x: tosa.ConstOp) -> tosa.TosaOp:
        pooled = tosa.MaxPool2DOp(x, [2, 2], [2, 2], [0, 0, 0, 0], nan_mode="IGNORE")
        return tosa.ReshapeOp(tosa.ClampOp(pooled, 0.0, 6.0), tosa.ConstShapeOp([1, 4]))

    assert (
        print_module(function([tensor("float32", 1, 4, 4, 1)], body))
        == """\
"builtin.module"() ({
  "func.func"() <{sym_name = "main", function_type = (tensor<1x4x4x1xf32>) -> tensor<1x4xf32>}> ({
  ^bb0(%0: tensor<1x4x4x1xf32>):
    %1 = "tosa.max_pool2d"(%0) <{kernel = array<i64: 2, 2>, stride = array<i64: 2, 2>, pad = array<i64: 0, 0, 0, 0>, \
nan_mode = #tosa.nan_mode<IGNORE>}> : (tensor<1x4x4x1xf32>) -> tensor<1x2x2x1xf32>
    %2 = "tosa.clamp"(%1) <{min_val = 0.000000e+00 : f32, max_val = 6.000000e+00 : f32, \
nan_mode = #tosa.nan_mode<PROPAGATE>}> : (tensor<1x2x2x1xf32>) -> tensor<1x2x2x1xf32>
    %3 = "tosa.const_shape"() <{values = dense<[1, 4]> : tensor<2xindex>}> : () -> !tosa.shape<2>
    %4 = "tosa.reshape"(%2, %3) : (tensor<1x2x2x1xf32>, !tosa.shape<2>) -> tensor<1x4xf32>
    "func.return"(%4) : (tensor<1x4xf32>) -> ()
  }) : () -> ()
}) : () -> ()
"""
    )


# What MLIR 22 prints (attributes in braces) and what later versions print (attributes as arguments).
CUSTOM = {
    "braces": """
module {
  func.func @main(%x: tensor<1x4x4x1xf32>) -> tensor<1x4x1xi32> {
    %0 = tosa.clamp %x {max_val = 6.0 : f32, min_val = 0.0 : f32} : (tensor<1x4x4x1xf32>) -> tensor<1x4x4x1xf32>
    %1 = tosa.argmax %0 {axis = 1 : i32, nan_mode = IGNORE} : (tensor<1x4x4x1xf32>) -> tensor<1x4x1xi32>
    return %1 : tensor<1x4x1xi32>
  }
}""",
    "arguments": """
module {
  func.func @main(%x: tensor<1x4x4x1xf32>) -> tensor<1x4x1xi32> {
    %0 = tosa.clamp %x min_val(0.0 : f32) max_val(6.0 : f32) : (tensor<1x4x4x1xf32>) -> tensor<1x4x4x1xf32>
    %1 = tosa.argmax %0 axis(1) nan_mode<IGNORE> : (tensor<1x4x4x1xf32>) -> tensor<1x4x1xi32>
    return %1 : tensor<1x4x1xi32>
  }
}""",
}


def test_both_custom_syntaxes_read_alike() -> None:
    operations = [list(parse(text).walk()) for text in CUSTOM.values()]
    for braces, arguments in zip(*operations, strict=True):
        assert (braces.name, braces.properties) == (arguments.name, arguments.properties)
    assert [operation.name for operation in operations[0]][2:] == ["tosa.clamp", "tosa.argmax", "func.return"]


CONTROL_FLOW = """
module {
  tosa.variable @count = dense<3> : tensor<1xi32>
  func.func @main(%c: tensor<i1>, %x: tensor<1xi32>) -> (tensor<1xi32>, tensor<1xi32>) {
    %start = tosa.variable_read @count : tensor<1xi32>
    %doubled = tosa.while_loop (%i = %start) : (tensor<1xi32>) -> tensor<1xi32> {
      %bound = tosa.greater %x, %i : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi1>
      tosa.yield %bound : tensor<1xi1>
    } do {
    ^bb0(%i: tensor<1xi32>):
      %next = tosa.add %i, %i : (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi32>
      tosa.yield %next : tensor<1xi32>
    }
    tosa.variable_write @count, %doubled : tensor<1xi32>
    %chosen = tosa.cond_if %c (%a = %x, %b = %doubled) : tensor<i1> (tensor<1xi32>, tensor<1xi32>) -> tensor<1xi32> {
    ^bb0(%a: tensor<1xi32>, %b: tensor<1xi32>):
      tosa.yield %a : tensor<1xi32>
    } else {
    ^bb0(%a: tensor<1xi32>, %b: tensor<1xi32>):
      tosa.yield %b : tensor<1xi32>
    }
    %count = tosa.variable_read @count : tensor<1xi32>
    return %chosen, %count : tensor<1xi32>, tensor<1xi32>
  }
}"""


def test_control_flow_and_variables_read_and_run() -> None:
    module = parse(CONTROL_FLOW)
    assert print_module(parse(print_module(module))) == print_module(module)
    for condition, expected in ((True, 20), (False, 24)):
        results = evaluate(module, "main", [np.array(condition), np.array([20], np.int32)])
        assert [array.tolist() for array in results] == [[expected], [24]]


MALFORMED = [
    ("", r"p.mlir:1:1: Could not parse"),
    ("module {\n  func.func @f() {\n    return\n", r"p.mlir:\d+:\d+: "),
    ("module {\n  %0 = tosa.nothing : () -> tensor<1xf32>\n}", r"p.mlir:2:\d+: .*tosa.nothing"),
    ("module {\n  %0 = tosa.const {values = dense<1> : tensor<2xi8>}\n}", r"p.mlir:3:1: "),
    (CUSTOM["braces"].replace("IGNORE", "HOPE"), r"p.mlir:5:\d+: 'HOPE' is not one of PROPAGATE, IGNORE"),
    (CUSTOM["arguments"].replace("axis(1)", "axle(1)"), r"p.mlir:5:\d+: tosa.argmax has no attribute 'axle'"),
    (CUSTOM["braces"].replace("axis = 1", "axis = 4"), r"p.mlir:\d+:\d+ in @main: tosa.argmax: axis 4 must be"),
    (CUSTOM["braces"].replace("%1 = tosa.argmax %0", "%1 = tosa.argmax %9"), r"p.mlir.*9"),
    ('"tosa.const"() <{values = dense_resource<k> : tensor<1xi8>}> : () -> tensor<1xi8>', "resource 'k' is not in"),
    ('"tosa.const"() <{values = dense<"0xAB"> : tensor<2xf32>}> : () -> tensor<2xf32>', "1 bytes .*, expected 8"),
    ('"tosa.const"() <{values = dense<"0xZZ"> : tensor<1xi8>}> : () -> tensor<1xi8>', "p.mlir:1:"),
    ('"tosa.const"() <{values = dense<1.0> : tensor<99999x99999xf32>}> : () -> ()', "a literal of 9999800001 elements"),
    ('module attributes {k = 1 : i4294967295} {}', "p.mlir:1:.*: integer type i4294967295 is too wide"),
    ('"func.func"() <{function_type = () -> ()}> ({}) : () -> ()', "p.mlir:1:1: func.func"),
    (f'module attributes {{k = "{"x" * 100}', "p.mlir:1:24: End of file reached before closing"),
    ('module {}\n{-#\n dialect_resources: { builtin: { k: "0x0', "resource 'k' ends before its closing quote"),
    ('module {}\n{-#\n dialect_resources: { builtin: { k: "0x0" } } #-}', "resource 'k' is not hexadecimal"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_text_is_one_line_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(MalformedFileError, match=reason) as caught:
        parse(text, "p.mlir")
    assert "\n" not in str(caught.value)


def test_files_are_told_apart_by_content(tmp_path: Path) -> None:
    module = function([tensor("float32", 4)], lambda x: tosa.AddOp(x, constant([1, 2, 3, 4], "float32")))
    for format in ("mlir", "tosa"):
        path = tmp_path / f"program.{format}"
        write(module, path, format)
        for source in (path, path.read_bytes()):
            names = [operation.name for operation in read(source).walk() if operation.name.startswith("tosa.")]
            assert sorted(names) == ["tosa.add", "tosa.const"]
    with pytest.raises(ArgumentError, match=r"cannot read .*missing"):
        read(tmp_path / "missing")
    with pytest.raises(MalformedFileError, match="the file is empty"):
        read(b"")
    with pytest.raises(MalformedFileError, match="<bytes>: not MLIR text: byte 0 is not UTF-8"):
        read(b"\xff\xfe")
    with pytest.raises(MalformedFileError, match=r"<bytes>: neither MLIR text nor a \.tosa FlatBuffer"):
        read(b"\x93NUMPY\x01\x00 {-#")


def peer(name: str) -> str:
    """The path of a command of the TOSA tools, or a skip."""
    path = shutil.which(name, path=os.environ.get("TOSAIC_TOSA_TOOLS")) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: set TOSAIC_TOSA_TOOLS (see CONTRIBUTING.md)")
    return path


def test_tosa_opt_accepts_what_is_printed() -> None:
    """Operators of every family, an enum of each kind, constants in every notation."""

    def body(x: tosa.ConstOp, y: tosa.ConstOp) -> list:
        weights = np.arange(9 * 16 * 64, dtype=np.float32).reshape(64, 3, 3, 16)
        none = zero("float32")
        attributes = {"pad": [1, 1, 1, 1], "stride": [1, 1], "dilation": [1, 1], "acc_type": f32}
        conv = tosa.Conv2DOp(x, tosa.ConstOp(weights), constant(np.zeros(64), "float32"), none, none, **attributes)
        resized = tosa.ResizeOp(
            tosa.ClampOp(conv, -0.5, 1e-3),
            tosa.ConstShapeOp([4, 2, 4, 2]),
            tosa.ConstShapeOp([-1, -1]),
            tosa.ConstShapeOp([1, 1]),
            mode="BILINEAR",
        )
        scaled = tosa.RescaleOp(
            y,
            constant(np.full(32, 1 << 30), "int32"),
            constant(np.full(32, 34), "int8"),
            zero("int32"),
            constant([-1], "int8"),
            scale32=True,
            rounding_mode="DOUBLE_ROUND",
            per_channel=True,
            input_unsigned=False,
            output_unsigned=False,
            element_type=IntegerType(8),
        )
        table = tosa.TableOp(scaled, constant(np.arange(-128, 128), "int8"))
        masks = [tosa.ConstOp(np.arange(count) % 3 == 0).output for count in (3, 50)]
        half = tosa.CastOp(resized, element_type_of(np.dtype(np.float16)))
        return [
            half.output,
            tosa.TransposeOp(tosa.PadOp(table, tosa.ConstShapeOp([0, 0, 1, 1]), zero("int8")), perms=[1, 0]).output,
            tosa.ArgMaxOp(resized, axis=3, nan_mode="IGNORE").output,
            *masks,
        ]

    module = function([tensor("float32", 1, 8, 8, 16), tensor("int32", 4, 32)], body)
    completed = subprocess.run([peer("tosa-opt"), "-"], input=print_module(module).encode(), capture_output=True)
    assert completed.returncode == 0, completed.stderr.decode()
    assert print_module(parse(completed.stdout.decode())).count('"tosa.') == print_module(module).count('"tosa.')


def converted(model: Path, folder: Path) -> str:
    """What tosa-converter-for-tflite prints for a model."""
    path = folder / "converted.mlir"
    subprocess.run(
        [peer("tosa-converter-for-tflite"), "--text", str(model), "-o", str(path)], capture_output=True, check=True
    )
    return path.read_text()


@pytest.mark.parametrize("name", ["mediapipe_selfie_segmentation__selfie_segmentation", "pymicro-wakeword__okay_nabu"])
def test_text_of_the_tflite_converter_is_read(name: str, shared_models: Path, tmp_path: Path) -> None:
    text = converted(shared_models / f"{name}.tflite", tmp_path)
    module = parse(text)
    assert sum(operation.name.startswith("tosa.") for operation in module.walk()) == text.count("tosa.") - text.count(
        "!tosa."
    )


def test_a_converted_int8_model_evaluates_to_the_reference_kernels(
    zoo_model: Callable[[str], Path], tmp_path: Path
) -> None:
    """Parser, constants and every meaning in between at once: bit for bit what LiteRT's reference kernels give."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = zoo_model("mobilenet_v3_small_int8")
    interpreter = litert.Interpreter(
        model_path=str(model), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    (detail,) = interpreter.get_input_details()
    image = np.random.default_rng(0).integers(-128, 128, detail["shape"]).astype(np.int8)
    interpreter.set_tensor(detail["index"], image)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    (result,) = evaluate(parse(converted(model, tmp_path)), "main", [image])
    assert result.tolist() == expected.tolist()
