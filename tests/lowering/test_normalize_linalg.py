"""What normalize-linalg leaves: the forms that later phases rely on, of every program written by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tosaic.tosa
from tosaic.lowering import meaning, tosa_to_linalg
from tosaic.lowering.dialects.linalg import NamedOp, StructuredOp
from tosaic.lowering.dump import readable
from tosaic.lowering.ir import functions, host_blocks
from tosaic.lowering.normalize_linalg import normalize_linalg
from tosaic.lowering.normalize_linalg.accumulators import filled_with, least
from tosaic.lowering.verification import Verifier
from tosaic.tosa.dialect.types import element_of
from tosaic.tosa.source import source_of
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation
from xdsl.ir.affine import AffineMap

TESTS = Path(__file__).parent.parent
PROGRAMS = sorted((TESTS / "programs").glob("*.mlir"))
KNOWN = {
    *(f"linalg.{name}" for name in ("fill", "matmul", "batch_matmul", "conv_2d_nhwc_fhwc", "generic", "mmt4d")),
    *(f"linalg.{name}" for name in ("depthwise_conv_2d_nhwc_hwcm", "pooling_nhwc_max", "pooling_nhwc_sum")),
    *(f"linalg.{name}" for name in ("batch_mmt4d", "pack", "unpack")),
    *(f"tensor.{name}" for name in ("empty", "pad", "concat", "extract_slice", "insert_slice", "collapse_shape")),
    *(f"tensor.{name}" for name in ("expand_shape", "extract", "from_elements", "dim")),
    *("tosa.const", "dispatch.check", "func.return"),
}


def normalized(text: str | bytes) -> ModuleOp:
    module = tosaic.tosa.read(text.encode() if isinstance(text, str) else text, "p.mlir")
    tosa_to_linalg.run(module)
    normalize_linalg(module)
    Verifier().verify(module)
    return module


def all_operations(module: ModuleOp) -> list[Operation]:
    return [op for function in functions(module) for block in host_blocks(function) for op in block.ops]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_are_in_the_forms_that_later_phases_know(path: Path) -> None:
    module = normalized(path.read_bytes())
    for function in functions(module):
        types = [*function.function_type.inputs, *function.function_type.outputs]
        assert all(isinstance(type, TensorType) for type in types)
    for op in all_operations(module):
        assert not isinstance(op, func.CallOp | StructuredOp)
        if op.dialect_name() in ("arith", "math"):
            assert not any(isinstance(type, TensorType) for type in op.result_types), op.name
        elif op.dialect_name() != "scf":
            assert op.name in KNOWN
        if isinstance(op, GenericOp):
            assert_settled(op)
        elif isinstance(op, NamedOp):
            neutral = least(element_of(op.result)) if op.name == "linalg.pooling_nhwc_max" else 0
            assert filled_with(op.init, neutral), op.name


def assert_settled(op: GenericOp) -> None:
    """Inputs are tensors; a parallel generic writes its first output in order and reads none."""
    assert all(isinstance(value.type, TensorType) for value in op.inputs)
    if any(iterator.data is not IteratorType.PARALLEL for iterator in op.iterator_types):
        return
    outputs = op.body.block.args[len(op.inputs) :]
    assert not any(argument.uses for argument in outputs)
    first = op.indexing_maps.data[len(op.inputs)].data
    assert first == AffineMap.identity(first.num_dims)


GENERIC_MATMUL = """
func.func @main(%a: tensor<{lhs}xf32>, %b: tensor<{rhs}xf32>, %c: tensor<{out}xf32>) -> tensor<{out}xf32> {{
  %0 = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{iterators}], doc = "a product"}}
      ins(%a, %b : tensor<{lhs}xf32>, tensor<{rhs}xf32>) outs(%c : tensor<{out}xf32>) attrs = {{my.hint = 7 : i64}} {{
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %1 = arith.mulf %x, %y : f32
    %2 = arith.addf %sum, %1 : f32
    linalg.yield %2 : f32
  }} -> tensor<{out}xf32>
  return %0 : tensor<{out}xf32>
}}
"""
EXTENTS = {"m": 3, "n": 4, "k": 5, "b": 2, "l": 6}
ORDERS = [
    *itertools.product(("mk", "km"), ("kn", "nk"), ("mn", "nm"), ("mnk", "kmn", "nkm")),
    *itertools.product(("bmk", "bkm"), ("bkn", "bnk"), ("bmn", "bnm"), ("bmnk", "kbmn")),
    *itertools.product(("k",), ("kn", "nk"), ("n",), ("nk", "kn")),
    *itertools.product(("mk", "km"), ("k",), ("m",), ("mk",)),
    ("bk", "bkn", "bn", "bnk"),
    ("k", "k", "", "k"),
    ("kl", "kln", "n", "nkl"),
    ("bmkl", "nkl", "bmn", "bmnkl"),
]


@pytest.mark.parametrize(("lhs", "rhs", "out", "loops"), ORDERS)
def test_a_product_in_any_order_is_one_matmul(lhs: str, rhs: str, out: str, loops: str) -> None:
    text = GENERIC_MATMUL.format(
        **{
            name: "x".join(str(EXTENTS[loop]) for loop in order)
            for name, order in (("lhs", lhs), ("rhs", rhs), ("out", out))
        },
        maps=", ".join(f"affine_map<({', '.join(loops)}) -> ({', '.join(order)})>" for order in (lhs, rhs, out)),
        iterators=", ".join('"parallel"' if loop in out else '"reduction"' for loop in loops),
    ).replace("<xf32>", "<f32>")
    module = normalized(text)
    names = [op.name for op in all_operations(module) if op.dialect_name() == "linalg" and op.name != "linalg.fill"]
    batched = "b" in lhs and "b" in rhs
    assert names == ["linalg.batch_matmul" if batched else "linalg.matmul", "linalg.generic"]
    arrays = [
        np.random.default_rng(index).integers(-3, 4, [EXTENTS[loop] for loop in order]).astype(np.float32)
        for index, order in enumerate((lhs, rhs, out))
    ]
    expected = arrays[2] + np.einsum(f"{lhs},{rhs}->{out}", *arrays[:2])
    np.testing.assert_array_equal(meaning.evaluate(module, "main", arrays)[0], expected)


def test_hints_stay_on_what_they_stand_on() -> None:
    text = GENERIC_MATMUL.format(
        lhs="3x5",
        rhs="5x4",
        out="3x4",
        maps="affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>",
        iterators='"parallel", "parallel", "reduction"',
    )
    hinted = {op.name: op for op in all_operations(normalized(text)) if "my.hint" in op.attributes}
    assert {"linalg.matmul", "linalg.generic"} == hinted.keys()
    assert [source_of(op) for op in hinted.values()] == ["p.mlir:3:3"] * 2


def test_unsigned_products_are_cast_so() -> None:
    text = """func.func @main(%a: tensor<2x3xi8>, %b: tensor<3x2xi8>, %c: tensor<2x2xi32>) -> tensor<2x2xi32> {
      %0 = linalg.matmul {cast = #linalg.type_fn<cast_unsigned>}
        ins(%a, %b : tensor<2x3xi8>, tensor<3x2xi8>) outs(%c : tensor<2x2xi32>) -> tensor<2x2xi32>
      return %0 : tensor<2x2xi32>
    }"""
    module = normalized(text)
    a, b, c = np.full((2, 3), -1, np.int8), np.full((3, 2), 2, np.int8), np.ones((2, 2), np.int32)
    expected = c + a.view(np.uint8).astype(np.int32) @ b.astype(np.int32)
    np.testing.assert_array_equal(meaning.evaluate(module, "main", [a, b, c])[0], expected)


def test_a_size_that_its_type_forgot_is_known_again_where_it_is_reshaped() -> None:
    text = """func.func @main(%x: tensor<?xf64>) -> tensor<f64> {
      %one = arith.constant 1 : index
      %part = tensor.extract_slice %x[2] [%one] [1] : tensor<?xf64> to tensor<?xf64>
      %zero = arith.constant 0.0 : f64
      %empty = tensor.empty() : tensor<f64>
      %init = linalg.fill ins(%zero : f64) outs(%empty : tensor<f64>) -> tensor<f64>
      %square = linalg.dot ins(%part, %part : tensor<?xf64>, tensor<?xf64>) outs(%init : tensor<f64>) -> tensor<f64>
      return %square : tensor<f64>
    }"""
    (square,) = meaning.evaluate(normalized(text), "main", [np.array([1.0, 2.0, 3.0])])
    assert square == 9


@pytest.mark.parametrize(
    "path", sorted((TESTS / "lowering/goldens/tosa_to_linalg").glob("*.mlir")), ids=lambda p: p.stem
)
def test_lowered_models_are_in_these_forms_already(path: Path) -> None:
    module = tosaic.tosa.read(path)
    tosa_to_linalg.run(module)
    before = sorted(op.name for op in all_operations(module) if op.dialect_name() == "linalg")
    normalize_linalg(module)
    assert sorted(op.name for op in all_operations(module) if op.dialect_name() == "linalg") == before
    assert readable(module)
