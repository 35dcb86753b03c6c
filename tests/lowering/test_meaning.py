"""The numpy meanings against definitions that are too slow or too literal to be used themselves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from tosaic.lowering.dialects import linalg
from tosaic.lowering.dialects.encoding import LayoutAttr, SetOp, UnsetOp
from tosaic.lowering.dialects.scalar import ApplyScaleOp
from tosaic.lowering.dialects.tiled import Conv2DOp, MatmulOp
from tosaic.lowering.meaning import Array, evaluate, evaluate_op
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa.elements import element_type_of
from xdsl.context import Context
from xdsl.dialects import arith, math, tensor
from xdsl.dialects.arith import Arith
from xdsl.dialects.builtin import (
    Builtin,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    TensorType,
    f32,
    i1,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.dialects.func import Func
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import Tensor
from xdsl.dialects.test import TestOp as AnyOp
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.parser import Parser


def value(type: Attribute) -> SSAValue:
    """Something of this type that no one computed."""
    return AnyOp(result_types=[type]).results[0]


def values_of(*arrays: Array) -> list[SSAValue]:
    return [value(TensorType(element_type_of(array.dtype), array.shape)) for array in arrays]


def parse(text: str) -> ModuleOp:
    context = Context()
    for dialect in (Builtin, Func, Arith, Tensor, linalg.Linalg):
        context.load_dialect(dialect)
    module = Parser(context, text).parse_module()
    module.verify()
    return module


def run(text: str, *inputs: Array) -> list[Array]:
    return evaluate(parse(text), "main", inputs)


def integers(seed: int, dtype: Any, *shape: int) -> Array:
    limits = np.iinfo(dtype)
    return np.asarray(np.random.default_rng(seed).integers(limits.min, limits.max, shape, dtype, endpoint=True))


seeds = st.integers(0, 2**32 - 1)


# linalg.generic


def literally(operation: GenericOp, operands: Sequence[Array], body: Any) -> list[Array]:
    """The definition of `linalg.generic`: a loop nest in order, `body(point, *elements)` in Python."""
    maps = [attribute.data for attribute in operation.indexing_maps]
    outputs = [array.copy() for array in operands[len(operation.inputs) :]]
    operands = [*operands[: len(operation.inputs)], *outputs]
    extents = operation.get_static_loop_ranges()
    for point in itertools.product(*(range(extent) for extent in extents)):
        places = [map.eval(point, []) for map in maps]
        results = body(point, *(array[place] for array, place in zip(operands, places, strict=True)))
        for output, place, result in zip(outputs, places[len(operation.inputs) :], results, strict=True):
            output[place] = result
    return outputs


@pytest.mark.parametrize(
    ("maps", "iterators", "shapes"),
    [
        (["(i, j) -> (i, j)", "(i, j) -> (j)", "(i, j) -> (i, j)"], "pp", [(3, 4), (4,), (3, 4)]),
        (["(i, j) -> (j, i)", "(i, j) -> (0, j)", "(i, j) -> (j, i)"], "pp", [(4, 3), (1, 4), (4, 3)]),
        (["(i, j) -> (i, -j + 3)", "(i, j) -> ()", "(i, j) -> (i, j)"], "pp", [(3, 4), (), (3, 4)]),
        (["(i, j) -> (i * 2 + j)", "(i, j) -> (j)", "(i, j) -> (i)"], "pr", [(9,), (3,), (4,)]),
        (["(i, j) -> (i, j)", "(i, j) -> (i, j)", "(i, j) -> (0, j)"], "rp", [(3, 4), (3, 4), (1, 4)]),
        (["(i, j, k) -> (i, k)", "(i, j, k) -> (k, j)", "(i, j, k) -> (j, i)"], "ppr", [(2, 5), (5, 3), (3, 2)]),
        (["(i, j) -> (i floordiv 2, j)", "(i, j) -> (j mod 2)", "(i, j) -> (i, j)"], "pp", [(2, 4), (2,), (4, 4)]),
        (["(i, j) -> (i, j)", "(i, j) -> (i)", "(i, j) -> ()"], "rr", [(3, 4), (3,), ()]),
    ],
)
def test_generic_is_a_loop_nest(maps: list[str], iterators: str, shapes: list[tuple[int, ...]]) -> None:
    types = ["x".join([*map(str, shape), "i32"]) for shape in shapes]
    kinds = ", ".join({"p": '"parallel"', "r": '"reduction"'}[kind] for kind in iterators)
    module = parse(
        f"""
        func.func @main(%a: tensor<{types[0]}>, %b: tensor<{types[1]}>, %c: tensor<{types[2]}>) -> tensor<{types[2]}> {{
          %r = linalg.generic {{indexing_maps = [{", ".join(f"affine_map<{m}>" for m in maps)}],
                                iterator_types = [{kinds}]}}
              ins(%a, %b : tensor<{types[0]}>, tensor<{types[1]}>) outs(%c : tensor<{types[2]}>) {{
          ^bb0(%x: i32, %y: i32, %z: i32):
            %p = arith.muli %x, %y : i32
            %s = arith.addi %z, %p : i32
            linalg.yield %s : i32
          }} -> tensor<{types[2]}>
          return %r : tensor<{types[2]}>
        }}
        """
    )
    operands = [integers(seed, np.int16, *shape).astype(np.int32) for seed, shape in enumerate(shapes)]
    (generic,) = (op for op in module.walk() if isinstance(op, GenericOp))
    with np.errstate(over="ignore"):
        expected = literally(generic, operands, lambda _, x, y, z: [z + x * y])
    np.testing.assert_array_equal(evaluate(module, "main", operands)[0], expected[0])


ARGMAX = """
func.func @main(%a: tensor<3x5xi32>, %at: tensor<3xi32>, %best: tensor<3xi32>) -> (tensor<3xi32>, tensor<3xi32>) {
  %r:2 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>,
      affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<3x5xi32>) outs(%at, %best : tensor<3xi32>, tensor<3xi32>) {
  ^bb0(%x: i32, %p: i32, %m: i32):
    %j = linalg.index 1 : index
    %k = arith.index_cast %j : index to i32
    %c = arith.cmpi sgt, %x, %m : i32
    %q = arith.select %c, %k, %p : i32
    %n = arith.select %c, %x, %m : i32
    linalg.yield %q, %n : i32, i32
  } -> (tensor<3xi32>, tensor<3xi32>)
  return %r#0, %r#1 : tensor<3xi32>, tensor<3xi32>
}
"""


def test_a_reduction_that_numpy_does_not_know_is_taken_step_by_step() -> None:
    numbers = integers(1, np.int32, 3, 5)
    module = parse(ARGMAX)
    least = np.full(3, np.iinfo(np.int32).min, np.int32)
    at, best = evaluate(module, "main", [numbers, np.zeros(3, np.int32), least])
    np.testing.assert_array_equal(at, numbers.argmax(1))
    np.testing.assert_array_equal(best, numbers.max(1))


def test_bodies_read_tensors_around_them() -> None:
    text = """
    func.func @main(%table: tensor<10xf32>, %i: tensor<2x3xi32>) -> tensor<2x3xf32> {
      %e = tensor.empty() : tensor<2x3xf32>
      %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
          iterator_types = ["parallel", "parallel"]} ins(%i : tensor<2x3xi32>) outs(%e : tensor<2x3xf32>) {
      ^bb0(%x: i32, %y: f32):
        %k = arith.index_cast %x : i32 to index
        %v = tensor.extract %table[%k] : tensor<10xf32>
        linalg.yield %v : f32
      } -> tensor<2x3xf32>
      return %r : tensor<2x3xf32>
    }
    """
    table, indices = np.arange(10, dtype=np.float32) ** 2, np.array([[1, 9, 0], [3, 3, 7]], np.int32)
    np.testing.assert_array_equal(run(text, table, indices)[0], table[indices])


# scalars


def scalar(operation: type[Operation] | Any, *operands: Any, **named: Any) -> Array:
    """One operation on scalars, built from numpy scalars."""
    arrays = [np.asarray(operand) for operand in operands]
    built = operation(*(value(element_type_of(array.dtype)) for array in arrays), **named)
    return evaluate_op(built, arrays)[0]


@pytest.mark.parametrize(
    ("operation", "a", "b", "expected"),
    [
        (arith.AddiOp, 127, 1, -128),
        (arith.SubiOp, -128, 1, 127),
        (arith.MuliOp, 100, 3, 44),
        (arith.DivSIOp, -7, 2, -3),
        (arith.FloorDivSIOp, -7, 2, -4),
        (arith.CeilDivSIOp, -7, 2, -3),
        (arith.CeilDivSIOp, 7, 2, 4),
        (arith.DivUIOp, -2, 2, 127),
        (arith.RemSIOp, -7, 2, -1),
        (arith.RemUIOp, -1, 16, 15),
        (arith.MaxUIOp, -1, 1, -1),
        (arith.MinUIOp, -1, 1, 1),
        (arith.MaxSIOp, -1, 1, 1),
        (arith.ShRSIOp, -16, 2, -4),
        (arith.ShRUIOp, -16, 2, 60),
        (arith.ShLIOp, 65, 1, -126),
        (arith.XOrIOp, -1, 85, -86),
    ],
)
def test_signless_arithmetic_wraps(operation: Any, a: int, b: int, expected: int) -> None:
    result = scalar(operation, np.int8(a), np.int8(b))
    assert result.dtype == np.int8
    assert result == expected


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [("eq", False), ("ne", True), ("slt", True), ("sge", False), ("ult", False), ("uge", True), ("ugt", True)],
)
def test_integer_comparisons(predicate: str, expected: bool) -> None:
    assert scalar(lambda a, b: arith.CmpiOp(a, b, predicate), np.int8(-1), np.int8(1)) == expected


@pytest.mark.parametrize("predicate", ["oeq", "one", "ogt", "ole", "ord", "ueq", "une", "ugt", "ule", "uno"])
def test_nan_makes_unordered_comparisons_true(predicate: str) -> None:
    result = scalar(lambda a, b: arith.CmpfOp(a, b, predicate), np.float32(np.nan), np.float32(1))
    assert result == predicate.startswith("u")


@pytest.mark.parametrize(("width", "expected"), [(1, True), (4, -5), (8, 123), (16, 123), (48, 123)])
def test_truncation_keeps_the_low_bits(width: int, expected: int) -> None:
    operation = arith.TruncIOp(value(i64), IntegerType(width))
    assert evaluate_op(operation, [np.int64((1 << 60) + 123)])[0] == expected


def test_a_48_bit_truncation_keeps_its_sign() -> None:
    operation = arith.TruncIOp(value(i64), IntegerType(48))
    assert evaluate_op(operation, [np.int64((1 << 48) - 1)])[0] == -1


def test_extensions() -> None:
    assert evaluate_op(arith.ExtSIOp(value(i8), i32), [np.int8(-1)])[0] == -1
    assert evaluate_op(arith.ExtUIOp(value(i8), i32), [np.int8(-1)])[0] == 255
    assert evaluate_op(arith.ExtSIOp(value(i1), i32), [np.bool_(True)])[0] == -1
    assert evaluate_op(arith.ExtUIOp(value(i1), i32), [np.bool_(True)])[0] == 1
    assert evaluate_op(arith.UIToFPOp(value(i8), f32), [np.int8(-1)])[0] == 255


def test_constants() -> None:
    assert evaluate_op(arith.ConstantOp(IntegerAttr(-3, i8)), [])[0].dtype == np.int8
    assert evaluate_op(arith.ConstantOp(IntegerAttr(1, i1)), [])[0] == np.bool_(True)
    assert evaluate_op(arith.ConstantOp(FloatAttr(0.1, f32)), [])[0] == np.float32(0.1)
    assert evaluate_op(arith.ConstantOp(IntegerAttr(7, IndexType())), [])[0].dtype == np.int64


def test_rounding_functions() -> None:
    numbers = np.array([0.5, 1.5, -0.5, -2.5, 0.49999997], np.float32)
    assert evaluate_op(math.RoundEvenOp(value(f32)), [numbers])[0].tolist() == [0, 2, 0, -2, 0]
    assert evaluate_op(math.RoundOp(value(f32)), [numbers])[0].tolist() == [1, 2, -1, -3, 0]


def test_bfloat16_arithmetic_stays_bfloat16() -> None:
    numbers = np.array([1.0, 2.5], bfloat16)
    assert scalar(arith.AddfOp, numbers[0], numbers[1]).dtype == bfloat16
    assert scalar(math.ExpOp, numbers[0]).dtype == bfloat16


@settings(max_examples=200, deadline=None)
@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(2, 62), st.booleans())
def test_apply_scale_in_unbounded_integers(number: int, multiplier: int, shift: int, double_round: bool) -> None:
    mode = "DOUBLE_ROUND" if double_round else "SINGLE_ROUND"
    operation = ApplyScaleOp(value(i32), value(i32), value(i8), mode)
    rounding = 1 << (shift - 1)
    if double_round and shift > 31:
        rounding += (1 << 30) if number >= 0 else -(1 << 30)
    expected = (number * multiplier + rounding) >> shift
    if -(2**31) <= expected < 2**31:
        operands = [np.int32(number), np.int32(multiplier), np.int8(shift)]
        assert evaluate_op(operation, operands)[0] == expected


# contractions


@pytest.mark.parametrize("depth", [1, 7, 1023, 1025, 70000])
def test_integer_contractions_are_exact_at_any_depth(depth: int) -> None:
    """Around the depths at which the arithmetic changes from f32 to f64."""
    lhs, rhs = integers(depth, np.int8, 2, depth), integers(depth + 1, np.int8, depth, 3)
    lhs[0], rhs[:, 0] = -128, -128
    init = integers(depth + 2, np.int32, 2, 3)
    operation = linalg.MatmulOp(*values_of(lhs, rhs, init))
    with np.errstate(over="ignore"):
        expected = (init.astype(np.int64) + lhs.astype(np.int64) @ rhs.astype(np.int64)).astype(np.int32)
    np.testing.assert_array_equal(evaluate_op(operation, [lhs, rhs, init])[0], expected)


@settings(max_examples=40, deadline=None)
@given(*[st.integers(1, 9)] * 3, *[st.integers(1, 4)] * 3, st.booleans(), seeds)
def test_packed_contractions_are_contractions(
    m: int, n: int, k: int, m0: int, n0: int, k0: int, batched: bool, seed: int
) -> None:
    """unpack(mmt4d(pack(lhs), pack(rhs))) = lhs rhs, and so is tiled.matmul of rows and pack(rhs)."""
    batch = [2] if batched else []
    first = len(batch)
    lhs, rhs = integers(seed, np.int8, *batch, m, k), integers(seed + 1, np.int8, *batch, k, n)
    expected = lhs.astype(np.int32) @ rhs.astype(np.int32)
    packed_lhs = pack(lhs, [first, first + 1], [m0, k0], list(range(first + 2)))
    packed_rhs = pack(rhs, [first + 1, first], [n0, k0], [*range(first), first + 1, first])
    init = np.zeros([*batch, -(-m // m0), -(-n // n0), m0, n0], np.int32)
    kind = linalg.BatchMmt4dOp if batched else linalg.Mmt4dOp
    tiles = evaluate_op(kind(*values_of(packed_lhs, packed_rhs, init)), [packed_lhs, packed_rhs, init])[0]
    rows = np.zeros([*batch, m, n], np.int32)
    tiles_value, rows_value = values_of(tiles, rows)
    unpack = linalg.UnpackOp(tiles_value, rows_value, inner_dims_pos=[first, first + 1], inner_tiles=[m0, n0])
    unpack.verify()
    np.testing.assert_array_equal(evaluate_op(unpack, [tiles, rows])[0], expected)

    for offset in (0, 128):
        lhs_value, rhs_value, result = values_of(lhs, packed_rhs, expected)
        tiled = MatmulOp(lhs_value, rhs_value, result.type, rows=4, lhs_offset=offset)
        shifted = (lhs.astype(np.int32) + offset) @ rhs.astype(np.int32)
        np.testing.assert_array_equal(evaluate_op(tiled, [lhs, packed_rhs])[0], shifted)


def pack(array: Array, dims: list[int], tiles: list[int], outer: list[int], padding: int = 0) -> Array:
    shape = [-(-extent // dict(zip(dims, tiles, strict=True)).get(dim, 1)) for dim, extent in enumerate(array.shape)]
    dest = np.zeros([*(shape[dim] for dim in outer), *tiles], array.dtype)
    source_value, dest_value = values_of(array, dest)
    filler = value(element_type_of(array.dtype))
    operation = linalg.PackOp(
        source_value, dest_value, inner_dims_pos=dims, inner_tiles=tiles, outer_dims_perm=outer, padding_value=filler
    )
    operation.verify()
    return evaluate_op(operation, [array, dest, np.asarray(padding, array.dtype)])[0]


@settings(max_examples=40, deadline=None)
@given(st.data(), st.lists(st.integers(1, 6), min_size=1, max_size=3), seeds)
def test_packing_by_its_definition(data: st.DataObject, shape: list[int], seed: int) -> None:
    """packed[outer, inner] = source[outer * tile + inner], or the padding beyond the edge."""
    array = integers(seed, np.int8, *shape)
    rank = len(shape)
    dims = data.draw(st.permutations(range(rank)))[: data.draw(st.integers(1, rank))]
    tiles = [data.draw(st.integers(1, 4)) for _ in dims]
    outer = data.draw(st.permutations(range(rank)))
    packed = pack(array, dims, tiles, outer, padding=77)
    for place in np.ndindex(packed.shape):
        position = [0] * rank
        for axis, dim in enumerate(outer):
            position[dim] = place[axis]
        for i, (dim, tile) in enumerate(zip(dims, tiles, strict=True)):
            position[dim] = position[dim] * tile + place[rank + i]
        inside = all(index < extent for index, extent in zip(position, shape, strict=True))
        assert packed[place] == (array[tuple(position)] if inside else 77)


def test_tiled_convolution_is_a_padded_convolution() -> None:
    image, filter = integers(2, np.int8, 2, 7, 6, 3), integers(3, np.int8, 5, 3, 2, 3)
    pad, pad_value = [1, 2, 0, 1], -9
    padded = np.pad(image, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=pad_value)
    for offset in (0, 128):
        expected = np.zeros((2, 4, 5, 5), np.int32)
        for n, y, x, f in np.ndindex(expected.shape):
            window = padded[n, 2 * y : 2 * y + 3, x : x + 3 : 2].astype(np.int32) + offset
            expected[n, y, x, f] = (window * filter[f]).sum()
        tiles = pack(filter.reshape(5, -1), [0, 1], [4, 4], [0, 1])
        image_value, tiles_value, result = values_of(image, tiles, expected)
        operation = Conv2DOp(
            image_value,
            tiles_value,
            result.type,
            kernel=[3, 2],
            strides=[2, 1],
            dilations=[1, 2],
            pad=pad,
            rows=4,
            pad_value=IntegerAttr(pad_value, i8),
            lhs_offset=offset,
        )
        np.testing.assert_array_equal(evaluate_op(operation, [image, tiles])[0], expected)


# tensors, functions and errors


def test_encodings_change_no_value() -> None:
    numbers = integers(4, np.int8, 3, 4)
    plain, encoded = TensorType(i8, [3, 4]), TensorType(i8, [3, 4], LayoutAttr.of([0, 1], [8, 1], [0, 1]))
    assert evaluate_op(SetOp(value(plain), encoded), [numbers])[0] is numbers
    assert evaluate_op(UnsetOp(value(encoded), plain), [numbers])[0] is numbers


def test_insert_slice_writes_a_strided_box() -> None:
    source, dest = integers(5, np.int16, 2, 3), integers(6, np.int16, 5, 7)
    source_value, dest_value = values_of(source, dest)
    operation = tensor.InsertSliceOp.from_static_parameters(source_value, dest_value, [1, 0], [2, 3], [2, 3])
    expected = dest.copy()
    expected[1:5:2, 0:7:3] = source
    np.testing.assert_array_equal(evaluate_op(operation, [source, dest])[0], expected)


def test_extents_known_at_run_time() -> None:
    text = """
    func.func @main(%x: tensor<?x3xi32>) -> tensor<?x3xi32> {
      %zero = arith.constant 0 : index
      %n = tensor.dim %x, %zero : tensor<?x3xi32>
      %e = tensor.empty(%n) : tensor<?x3xi32>
      %seven = arith.constant 7 : i32
      %f = linalg.fill ins(%seven : i32) outs(%e : tensor<?x3xi32>) -> tensor<?x3xi32>
      return %f : tensor<?x3xi32>
    }
    """
    np.testing.assert_array_equal(run(text, np.zeros((5, 3), np.int32))[0], np.full((5, 3), 7, np.int32))


IDENTITY = "func.func @main(%x: tensor<2xi16>) -> tensor<2xi16> { return %x : tensor<2xi16> }"


def test_unknown_function_and_wrong_inputs_are_refused() -> None:
    module = parse(IDENTITY)
    with pytest.raises(ArgumentError, match="'other'"):
        evaluate(module, "other", [])
    with pytest.raises(ArgumentError, match="takes 1 inputs, got 0"):
        evaluate(module, "main", [])


def test_an_operation_without_meaning_is_named() -> None:
    with pytest.raises(NotImplementedError, match=r"test\.op"):
        evaluate_op(AnyOp(result_types=[i16]), [])
