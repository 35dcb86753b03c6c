"""Folding, the rules, common subexpressions: each rewrite does what it says and keeps the results of the function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tosaic.importers import import_model
from tosaic.tosa import canonicalize, evaluate
from tosaic.tosa import dialect as tosa
from tosaic.tosa.cse import eliminate_common_subexpressions
from tosaic.tosa.dialect.types import element_of
from tosaic.tosa.elements import numpy_dtype
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType, f16, f32, i8, i32
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from .builders import constant, function, operations, tensor, zero


def random_inputs(module: ModuleOp) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    block = next(op for op in module.ops if isinstance(op, FuncOp)).body.block
    arrays: list[np.ndarray] = []
    for argument in block.args:
        assert isinstance(argument.type, TensorType)
        dtype, shape = numpy_dtype(argument.type.get_element_type()), argument.type.get_shape()
        if dtype.kind == "f":
            arrays.append((4 * generator.standard_normal(shape)).astype(dtype))
        elif dtype == np.bool_:
            arrays.append(generator.integers(0, 2, shape).astype(dtype))
        else:
            limits = np.iinfo(dtype)
            arrays.append(generator.integers(limits.min, limits.max, shape, dtype, endpoint=True))
    return arrays


def canonicalize_keeping_results(module: ModuleOp, name: str, inputs: list[np.ndarray]) -> None:
    before = evaluate(module, name, inputs)
    canonicalize(module)
    module.verify()
    for old, new in zip(before, evaluate(module, name, inputs), strict=True):
        np.testing.assert_array_equal(old, new)


def simplified(module: ModuleOp) -> list[str]:
    """The operators that are left; the results must be the same before and after, and simplifying again no change."""
    canonicalize_keeping_results(module, "main", random_inputs(module))
    left = operations(module)
    canonicalize(module)
    assert operations(module) == left
    return left


F = tensor("float32", 2, 3, 4)
I = tensor("int8", 2, 3, 4)  # noqa: E741
IMAGE = tensor("int8", 1, 4, 4, 2)


def rescale(x: SSAValue, shift: int, input_zp: int, output_zp: int) -> tosa.RescaleOp:
    return tosa.RescaleOp(
        x, constant([1 << 30], "int32"), constant([shift], "int8"),
        constant([input_zp], "int8" if element_of(SSAValue.get(x)) == i8 else "int32"),
        constant([output_zp], "int8"), scale32=True, rounding_mode="DOUBLE_ROUND", per_channel=False,
        input_unsigned=False, output_unsigned=False, element_type=i8,
    )  # fmt: skip


def negate(x: object, dtype: str) -> tosa.NegateOp:
    return tosa.NegateOp(x, zero(dtype), zero(dtype))


def reshape(x: object, *extents: int) -> tosa.ReshapeOp:
    return tosa.ReshapeOp(x, tosa.ConstShapeOp(extents))


def transpose(x: object, *perms: int) -> tosa.TransposeOp:
    return tosa.TransposeOp(x, perms=perms)


def cut(x: object, start: list[int], size: list[int]) -> tosa.SliceOp:
    return tosa.SliceOp(x, tosa.ConstShapeOp(start), tosa.ConstShapeOp(size))


def pooled(x: SSAValue, output_zp: int) -> tosa.AvgPool2DOp:
    zeros = constant([3], "int8"), constant([output_zp], "int8")
    return tosa.AvgPool2DOp(x, *zeros, [1, 1], [1, 1], [0] * 4, acc_type=tensor("int32", 1).get_element_type())


RULES: list[tuple[str, TensorType, Callable[[SSAValue], object], list[str]]] = [
    ("identity", F, lambda x: tosa.IdentityOp(x), []),
    ("cast to own type", F, lambda x: tosa.CastOp(x, f32), []),
    ("cast to another type stays", F, lambda x: tosa.CastOp(x, f16), ["cast"]),
    ("reshape of reshape", F, lambda x: reshape(reshape(x, 6, 4), 24), ["reshape"]),
    ("reshape there and back", F, lambda x: reshape(reshape(x, 6, 4), 2, 3, 4), []),
    ("transpose there and back", F, lambda x: transpose(transpose(x, 2, 0, 1), 1, 2, 0), []),
    ("two transposes", F, lambda x: transpose(transpose(x, 2, 0, 1), 2, 0, 1), ["transpose"]),
    ("transpose of unit dimensions", tensor("int8", 1, 5, 1, 4), lambda x: transpose(x, 0, 2, 1, 3), ["reshape"]),
    ("transpose of one that moves", tensor("int8", 1, 5, 1, 4), lambda x: transpose(x, 0, 3, 2, 1), ["transpose"]),
    ("concat of one", F, lambda x: tosa.ConcatOp([x], axis=1), []),
    ("slice of everything", F, lambda x: cut(x, [0, 0, 0], [2, 3, 4]), []),
    ("slice of slice", F, lambda x: cut(cut(x, [1, 1, 0], [1, 2, 3]), [0, 1, 2], [1, 1, 1]), ["slice"]),
    ("empty pad", I, lambda x: tosa.PadOp(x, tosa.ConstShapeOp([0] * 6), constant([3], "int8")), []),
    ("pad", I, lambda x: tosa.PadOp(x, tosa.ConstShapeOp([0, 0, 1, 0, 0, 0]), constant([3], "int8")), ["pad"]),
    ("single tile", I, lambda x: tosa.TileOp(x, tosa.ConstShapeOp([1, 1, 1])), []),
    ("reverse of one", tensor("int8", 5, 1), lambda x: tosa.ReverseOp(x, axis=1), []),
    ("reverse", tensor("int8", 5, 1), lambda x: tosa.ReverseOp(x, axis=0), ["reverse"]),
    ("sum of one", tensor("float32", 5, 1), lambda x: tosa.ReduceSumOp(x, axis=1), []),
    ("clamp of clamp", F, lambda x: tosa.ClampOp(tosa.ClampOp(x, -1.0, 6.0), 0.0, 9.0), ["clamp"]),
    ("disjoint clamps", F, lambda x: tosa.ClampOp(tosa.ClampOp(x, -5.0, -4.0), 0.0, 9.0), ["clamp"]),
    ("clamp of everything", I, lambda x: tosa.ClampOp(x, -128, 127), []),
    ("clamp of nearly everything", I, lambda x: tosa.ClampOp(x, -127, 127), ["clamp"]),
    ("rescale by one", I, lambda x: rescale(x, 30, 5, 5), []),
    ("rescale that shifts", I, lambda x: rescale(x, 30, 5, 6), ["rescale"]),
    ("rescale that halves", I, lambda x: rescale(x, 31, 5, 5), ["rescale"]),
    ("i8 plus 0", I, lambda x: tosa.AddOp(x, constant([[[0]]], "int8")), []),
    ("0 plus i8", I, lambda x: tosa.AddOp(constant([[[0]]], "int8"), x), []),
    ("f32 plus 0 turns -0 to 0", F, lambda x: tosa.AddOp(x, constant([[[0]]], "float32")), ["add"]),
    ("f32 minus 0", F, lambda x: tosa.SubOp(x, constant([[[0]]], "float32")), []),
    ("0 minus f32", F, lambda x: tosa.SubOp(constant([[[0]]], "float32"), x), ["sub"]),
    ("times 1", F, lambda x: tosa.MulOp(x, constant([[[1]]], "float32"), zero("int8")), []),
    ("1 times", F, lambda x: tosa.MulOp(constant([[[1]]], "float32"), x, zero("int8")), []),
    ("1 times, which broadcasts", tensor("float32", 1),
     lambda x: tosa.MulOp(x, constant([1, 1], "float32"), zero("int8")), ["mul"]),
    ("select by true", F, lambda x: tosa.SelectOp(constant([[[True]]], "bool"), x, constant([[[2]]], "float32")), []),
    ("double negation", F, lambda x: negate(negate(x, "float32"), "float32"), []),
    ("double negation of i8 saturates", I, lambda x: negate(negate(x, "int8"), "int8"), ["negate", "negate"]),
    ("double bitwise_not", I, lambda x: tosa.BitwiseNotOp(tosa.BitwiseNotOp(x)), []),
    ("max_pool of single elements", IMAGE, lambda x: tosa.MaxPool2DOp(x, [1, 1], [1, 1], [0] * 4), []),
    ("avg_pool of single elements", IMAGE, lambda x: pooled(x, 3), []),
    ("avg_pool that moves the zero point", IMAGE, lambda x: pooled(x, 4), ["avg_pool2d"]),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "build", "left"), [case[1:] for case in RULES], ids=[case[0] for case in RULES])
def test_rule(argument: TensorType, build: Callable[[SSAValue], tosa.TosaOp], left: list[str]) -> None:
    assert simplified(function([argument], build)) == left


def test_a_rule_does_not_change_the_type_of_a_dynamic_result() -> None:
    dynamic = TensorType(f32, [DYNAMIC_INDEX, 4])
    module = function([dynamic], lambda x: tosa.CastOp(tosa.IdentityOp(x, result_types=[TensorType(f32, [2, 4])]), f16))
    canonicalize(module)
    module.verify()
    assert operations(module) == ["identity", "cast"]


def test_constants_fold() -> None:
    def body(x: SSAValue) -> tosa.TosaOp:
        doubled = tosa.MulOp(constant([[1, 2]], "float32"), constant([[2]], "float32"), zero("int8"))
        column = tosa.MulShapeOp(tosa.ConstShapeOp([1, 1]), tosa.ConstShapeOp([2, 1]))
        return tosa.AddOp(x, tosa.ReshapeOp(doubled, column, result_types=[x.type]))

    assert simplified(function([tensor("float32", 2, 1)], body)) == ["add"]


@pytest.mark.parametrize(("extent", "left"), [(64, ["matmul"]), (128, ["cast", "matmul"])], ids=["small", "large"])
def test_a_large_weight_keeps_its_narrow_type(extent: int, left: list[str]) -> None:
    """64x64 values of f16 grow to 16 KiB of f32, 128x128 to 64 KiB."""

    def body(x: SSAValue) -> tosa.TosaOp:
        weight = tosa.CastOp(constant(np.ones((1, extent, extent)), "float16"), f32)
        return tosa.MatMulOp(x, weight, zero("float32"), zero("float32"))

    assert simplified(function([tensor("float32", 1, 1, extent)], body)) == left


def test_a_large_constant_folds_where_it_does_not_grow() -> None:
    def body(x: SSAValue) -> tosa.TosaOp:
        weight = tosa.TransposeOp(constant(np.arange(128 * 128).reshape(1, 128, 128), "float32"), perms=[0, 2, 1])
        return tosa.AddOp(x, weight)

    assert simplified(function([tensor("float32", 1, 128, 128)], body)) == ["add"]


def test_equal_operations_and_constants_are_merged() -> None:
    def body(x: SSAValue) -> list[SSAValue]:
        terms = [tosa.AddOp(x, constant([1, 2], "float32")) for _ in range(2)]
        return [tosa.MulOp(*terms, zero("int8")).output, tosa.AddOp(x, constant([1, 3], "float32")).output]

    module = function([tensor("float32", 2)], body)
    assert simplified(module) == ["add", "mul", "add"]
    assert sum(isinstance(operation, tosa.ConstOp) for operation in module.walk()) == 3


def test_operations_that_differ_in_attributes_are_not_merged() -> None:
    module = function([F], lambda x: [tosa.ReduceSumOp(x, axis=axis).output for axis in (0, 1, 0)])
    eliminate_common_subexpressions(module)
    assert operations(module) == ["reduce_sum", "reduce_sum"]


def test_dead_operations_are_removed_but_writes_stay() -> None:
    module = parse("""
      tosa.variable @state = dense<0.0> : tensor<1xf32>
      func.func @main(%x: tensor<1xf32>) -> tensor<1xf32> {
        %dead = tosa.exp %x : (tensor<1xf32>) -> tensor<1xf32>
        %deader = tosa.abs %dead : (tensor<1xf32>) -> tensor<1xf32>
        %kept = tosa.floor %x : (tensor<1xf32>) -> tensor<1xf32>
        tosa.variable_write @state, %kept : tensor<1xf32>
        return %x : tensor<1xf32>
      }""")
    assert simplified(module) == ["variable", "floor", "variable_write"]


@pytest.mark.parametrize("name", ["mobilenet_v2_f16", "mobilenet_v3_small_int8", "bert_mini_int8"])
def test_models_keep_their_results(name: str, zoo_model: Callable[[str], Path]) -> None:
    module = import_model(zoo_model(name))
    function = next(op for op in module.ops if isinstance(op, FuncOp))
    # Zeros and ones are valid images, token ids and masks.
    inputs = [np.abs(array) % 2 for array in random_inputs(module)]
    canonicalize_keeping_results(module, function.sym_name.data, inputs)


def widened(x: SSAValue, zero_point: int) -> SSAValue:
    return tosa.SubOp(tosa.CastOp(x, i32).output, constant([[[zero_point]]], "int32")).output


def swish(x: SSAValue) -> SSAValue:
    """x times a table of x, brought back to i8: as quantised activations come out of importers."""
    entries = constant(np.arange(-128, 128) // 2 + 50, "int8")
    product = tosa.MulOp(widened(x, 3), widened(tosa.TableOp(x, entries).output, -128), zero("int8")).output
    return rescale(product, 38, 0, -100).output


def test_functions_of_one_byte_become_a_table() -> None:
    assert simplified(function([I], swish)) == ["table"]
    assert simplified(function([I], lambda x: rescale(rescale(x, 31, 1, 5), 31, 2, -7))) == ["table"]
    entries = constant(np.arange(255, -1, -1) - 128, "int8")
    assert simplified(function([I], lambda x: tosa.ClampOp(tosa.TableOp(x, entries), -3, 90))) == ["table"]
    # From the last i8 tensor that everything comes from; what else reads it does not matter.
    kept = simplified(function([I, I], lambda x, y: [swish(sum := tosa.MaximumOp(x, y).output), sum]))
    assert kept == ["maximum", "table"]


def test_what_is_no_function_of_one_byte_stays() -> None:
    assert simplified(function([I], lambda x: rescale(x, 31, 1, 5))) == ["rescale"]
    two = simplified(
        function([I, I], lambda x, y: rescale(tosa.AddOp(rescale(x, 31, 1, 5), rescale(y, 31, 1, 5)), 31, 0, 1))
    )
    assert "table" not in two
    ramp = constant(np.arange(24).reshape(2, 3, 4), "int8")
    varying = simplified(function([I], lambda x: rescale(tosa.AddOp(rescale(x, 31, 1, 5), ramp), 31, 0, 1)))
    assert "table" not in varying
