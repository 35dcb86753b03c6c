"""Operators: the complete set, construction from plain values, shape inference, and what does not verify."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tosaic.tosa import dialect as tosa
from tosaic.tosa.elements import ArrayData
from xdsl.dialects.builtin import DYNAMIC_INDEX, IntegerType, TensorType, bf16, f16, f32, i1, i8, i16, i32
from xdsl.ir import Attribute, Block, Operation
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from .builders import constant, zero

# The operators of TOSA 1.0, by the names that MLIR gives them.
SPECIFICATION = """
argmax avg_pool2d conv2d conv3d depthwise_conv2d fft2d matmul max_pool2d rfft2d transpose_conv2d
clamp erf sigmoid tanh
add arithmetic_right_shift bitwise_and bitwise_or bitwise_xor intdiv logical_and logical_left_shift logical_right_shift
logical_or logical_xor maximum minimum mul pow sub table
abs bitwise_not ceil clz cos exp floor log logical_not negate reciprocal rsqrt sin select
equal greater greater_equal
reduce_all reduce_any reduce_max reduce_min reduce_product reduce_sum
concat pad reshape reverse slice tile transpose gather scatter resize cast rescale const identity custom
cond_if while_loop yield variable variable_read variable_write
add_shape assert_equal_shape concat_shape const_shape dim div_ceil_shape div_floor_shape exp2_shape log2_ceil_shape
log2_floor_shape max_shape min_shape mod_shape mul_shape slice_shape sub_shape
"""


def values(*types: Attribute) -> tuple:
    return Block(arg_types=types).args


def t(element: Attribute, *shape: int) -> TensorType:
    return TensorType(element, shape)


def test_every_operator_of_the_specification_is_defined() -> None:
    assert sorted(operation.name.removeprefix("tosa.") for operation in tosa.OPERATIONS) == sorted(
        SPECIFICATION.split()
    )


def test_only_state_and_control_flow_may_have_side_effects() -> None:
    impure = {operation.name for operation in tosa.OPERATIONS if not operation.has_trait(Pure)}
    names = "custom cond_if while_loop yield variable variable_read variable_write assert_equal_shape"
    assert impure == {f"tosa.{name}" for name in names.split()}


def conv(input: TensorType, weight: TensorType, bias: TensorType, **attributes: object) -> tosa.Conv2DOp:
    x, w, b = values(input, weight, bias)
    zeros = [constant([0], "int8" if input.get_element_type() == i8 else "float32")] * 2
    defaults = {"pad": [0] * 4, "stride": [1, 1], "dilation": [1, 1], "acc_type": i32}
    return tosa.Conv2DOp(x, w, b, *zeros, **(defaults | attributes))


INFERENCE: list[tuple[str, Callable[[], Operation], Attribute]] = [
    (
        "conv2d, same padding, stride 2",
        lambda: conv(t(f32, 1, 9, 9, 3), t(f32, 8, 3, 3, 3), t(f32, 8), pad=[1, 1, 1, 1], stride=[2, 2], acc_type=f32),
        t(f32, 1, 5, 5, 8),
    ),
    ("conv2d of i8 gives i32", lambda: conv(t(i8, 2, 4, 4, 3), t(i8, 8, 1, 1, 3), t(i32, 1)), t(i32, 2, 4, 4, 8)),
    (
        "conv2d keeps a dynamic batch",
        lambda: conv(t(f32, DYNAMIC_INDEX, 4, 4, 3), t(f32, 8, 3, 3, 3), t(f32, 8), acc_type=f32),
        t(f32, DYNAMIC_INDEX, 2, 2, 8),
    ),
    (
        "depthwise_conv2d multiplies channels",
        lambda: tosa.DepthwiseConv2DOp(
            *values(t(f32, 1, 5, 5, 3), t(f32, 3, 3, 3, 2), t(f32, 6)),
            zero("float32"),
            zero("float32"),
            pad=[0] * 4,
            stride=[1, 1],
            dilation=[2, 2],
            acc_type=f32,
        ),
        t(f32, 1, 1, 1, 6),
    ),
    (
        "transpose_conv2d",
        lambda: tosa.TransposeConv2DOp(
            *values(t(f32, 1, 4, 4, 3), t(f32, 5, 3, 3, 3), t(f32, 5)),
            zero("float32"),
            zero("float32"),
            out_pad=[-1, 0, 0, 2],
            stride=[2, 2],
            acc_type=f32,
        ),
        t(f32, 1, 8, 11, 5),
    ),
    (
        "matmul of bf16 gives f32",
        lambda: tosa.MatMulOp(*values(t(bf16, 2, 3, 4), t(bf16, 2, 4, 5), t(bf16, 1), t(bf16, 1))),
        t(f32, 2, 3, 5),
    ),
    (
        "matmul of i16 gives i48",
        lambda: tosa.MatMulOp(*values(t(i16, 2, 3, 4), t(i16, 2, 4, 5)), zero("int16"), zero("int16")),
        t(IntegerType(48), 2, 3, 5),
    ),
    ("add broadcasts", lambda: tosa.AddOp(*values(t(f32, 4, 1, 3), t(f32, 1, 5, 3))), t(f32, 4, 5, 3)),
    (
        "add broadcasts a dynamic extent",
        lambda: tosa.AddOp(*values(t(f32, DYNAMIC_INDEX, 1), t(f32, 1, 5))),
        t(f32, DYNAMIC_INDEX, 5),
    ),
    ("comparison gives i1", lambda: tosa.GreaterOp(*values(t(i32, 4), t(i32, 1))), t(i1, 4)),
    ("mul of i8 gives i32", lambda: tosa.MulOp(*values(t(i8, 4), t(i8, 4)), zero("int8")), t(i32, 4)),
    ("table of i16 gives i32", lambda: tosa.TableOp(*values(t(i16, 4), t(i16, 513))), t(i32, 4)),
    ("argmax removes its axis", lambda: tosa.ArgMaxOp(*values(t(f32, 4, 5, 6)), axis=1), t(i32, 4, 6)),
    ("reduction keeps its axis", lambda: tosa.ReduceSumOp(*values(t(f32, 4, 5, 6)), axis=1), t(f32, 4, 1, 6)),
    ("concat", lambda: tosa.ConcatOp(values(t(f32, 2, 5), t(f32, 3, 5)), axis=0), t(f32, 5, 5)),
    (
        "pad",
        lambda: tosa.PadOp(*values(t(i8, 2, 5)), tosa.ConstShapeOp([1, 0, 2, 3]), zero("int8")),
        t(i8, 3, 10),
    ),
    (
        "reshape infers the extent of -1",
        lambda: tosa.ReshapeOp(*values(t(i8, 2, 6)), tosa.ConstShapeOp([3, -1])),
        t(i8, 3, 4),
    ),
    ("transpose", lambda: tosa.TransposeOp(*values(t(i8, 2, 3, 4)), perms=[2, 0, 1]), t(i8, 4, 2, 3)),
    ("tile", lambda: tosa.TileOp(*values(t(i8, 2, 3)), tosa.ConstShapeOp([3, 2])), t(i8, 6, 6)),
    (
        "resize of i8, bilinear, gives i32",
        lambda: tosa.ResizeOp(
            *values(t(i8, 1, 3, 3, 2)),
            tosa.ConstShapeOp([4, 2, 4, 2]),
            tosa.ConstShapeOp([0, 0]),
            tosa.ConstShapeOp([0, 2]),
            mode="BILINEAR",
        ),
        t(i32, 1, 5, 6, 2),
    ),
    ("gather", lambda: tosa.GatherOp(*values(t(f16, 2, 9, 4), t(i32, 2, 3))), t(f16, 2, 3, 4)),
    ("cast", lambda: tosa.CastOp(*values(t(f16, 2, 9)), f32), t(f32, 2, 9)),
    ("rfft2d", lambda: tosa.RFFT2DOp(*values(t(f32, 2, 8, 16))), t(f32, 2, 8, 9)),
    ("shapes add", lambda: tosa.AddShapeOp(*values(tosa.ShapeType(3), tosa.ShapeType(3))), tosa.ShapeType(3)),
    ("shapes join", lambda: tosa.ConcatShapeOp(values(tosa.ShapeType(3), tosa.ShapeType(1))), tosa.ShapeType(4)),
]


@pytest.mark.parametrize(("build", "expected"), [case[1:] for case in INFERENCE], ids=[case[0] for case in INFERENCE])
def test_inference(build: Callable[[], Operation], expected: Attribute) -> None:
    operation = build()
    assert operation.results[0].type == expected
    operation.verify()


def rescale(source: TensorType, target: Attribute, **attributes: object) -> tosa.RescaleOp:
    multiplier, shift = constant([1 << 30], "int32"), constant([30], "int8")
    names = {i8: "int8", i16: "int16", i32: "int32"}
    defaults: dict = {
        "scale32": True,
        "rounding_mode": "SINGLE_ROUND",
        "per_channel": False,
        "input_unsigned": False,
        "output_unsigned": False,
    }
    zeros = zero(names[source.get_element_type()]), zero(names[target])
    operation = tosa.RescaleOp(
        *values(source), multiplier, shift, *zeros, **(defaults | attributes), element_type=target
    )
    operation.verify()
    return operation


def slice_outside() -> Operation:
    return tosa.SliceOp(*values(t(i8, 4)), tosa.ConstShapeOp([2]), tosa.ConstShapeOp([3]))


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (lambda: conv(t(f32, 1, 9, 9, 3), t(f32, 8, 3, 3, 4), t(f32, 8)), "tosa.conv2d: input channels .* differ: 3 and 4"),
    (lambda: conv(t(f32, 1, 8, 8, 3), t(f32, 8, 3, 3, 3), t(f32, 8), stride=[2, 2]), "must be a multiple of stride 2"),
    (lambda: conv(t(f32, 1, 9, 9, 3), t(f32, 8, 3, 3, 3), t(f32, 7)), "output channels .* differ: 8 and 7"),
    (lambda: conv(t(f32, 1, 9, 9, 3), t(f32, 8, 3, 3, 3), t(f32, 8), stride=[0, 1]), "stride must be at least 1"),
    (lambda: conv(t(f32, 9, 9, 3), t(f32, 8, 3, 3, 3), t(f32, 8)), "input must have rank 4"),
    (lambda: tosa.AddOp(*values(t(f32, 2), t(f32, 3))), "do not broadcast"),
    (lambda: tosa.AddOp(*values(t(f32, 2), t(f32, 1, 2))), "must have the same rank"),
    (lambda: tosa.AddOp(*values(t(f32, 2), t(i32, 2))), "one element type"),
    (lambda: tosa.SigmoidOp(*values(t(i8, 2))), "needs floating-point operands, got i8"),
    (lambda: tosa.LogicalAndOp(*values(t(i8, 2), t(i8, 2))), "needs i1"),
    (lambda: tosa.ReduceSumOp(*values(t(f32, 2)), axis=1), "axis 1 must be at least 0 and less than the rank 1"),
    (lambda: tosa.ReduceAllOp(*values(t(f32, 2)), axis=0), "is not defined for f32"),
    (lambda: tosa.TransposeOp(*values(t(i8, 2, 3)), perms=[1, 1]), "must be a permutation"),
    (lambda: tosa.ReshapeOp(*values(t(i8, 2, 3)), tosa.ConstShapeOp([4])), r"cannot reshape tensor<2x3xi8> to \[4\]"),
    (lambda: tosa.ConcatOp(values(t(i8, 2, 3), t(i8, 2, 4)), axis=0), "extents 1 of the operands differ: 3 and 4"),
    (slice_outside, "start 2 and size 3 lie outside"),
    (lambda: tosa.PadOp(*values(t(i8, 2)), tosa.ConstShapeOp([-1, 0]), zero("int8")), "must not be negative"),
    (lambda: tosa.TableOp(*values(t(i8, 2), t(i8, 255))), "256 i8 entries"),
    (lambda: tosa.ClampOp(*values(t(i8, 2)), min_val=3, max_val=2), "must not be greater"),
    (lambda: tosa.GatherOp(*values(t(i8, 2, 3, 4), t(i32, 3, 3))), "batches .* differ: 2 and 3"),
    (lambda: tosa.NegateOp(*values(t(f32, 2)), constant([1], "float32"), zero("float32")), "must be 0 for f32, got 1"),
    (lambda: rescale(t(i8, 4), i8, input_unsigned=True, output_unsigned=True), "input_unsigned cannot hold"),
    (lambda: rescale(t(i8, 4), i32, output_unsigned=True), "output_unsigned cannot hold from i8 to i32"),
    (lambda: rescale(t(i8, 4), i8, scale32=False), "multiplier must be i16"),
    (lambda: rescale(t(i8, 4, 2), i8, per_channel=True), "multiplier must have 2 elements"),
    (
        lambda: tosa.MaxPool2DOp(*values(t(i8, 1, 4, 4, 1)), [2, 2], [1, 1], [2, 0, 0, 0]),
        "must be less than the kernel",
    ),
    (lambda: tosa.ConstOp(np.zeros(3, np.int8), result_types=[t(i8, 4)]).verify(), "operands make it tensor<3xi8>"),
]


@pytest.mark.parametrize(("build", "reason"), REFUSALS, ids=[case[1] for case in REFUSALS])
def test_refusal_names_the_reason(build: Callable[[], object], reason: str) -> None:
    with pytest.raises(VerifyException, match=reason):
        build()


def test_constructor_refuses_unknown_and_missing_names() -> None:
    (x,) = values(t(f32, 2))
    with pytest.raises(TypeError, match=r"unknown or given twice: \['axes'\]"):
        tosa.ReduceSumOp(x, axes=1)
    with pytest.raises(TypeError, match=r"needs operands \['input2'\]"):
        tosa.AddOp(x)


def test_attributes_read_back_as_plain_values() -> None:
    operation = conv(t(f32, 1, 9, 9, 3), t(f32, 8, 3, 3, 3), t(f32, 8), pad=[1, 1, 0, 0], acc_type=f32)
    assert operation.plain("pad") == (1, 1, 0, 0)
    assert operation.plain("acc_type") == f32
    assert operation.plain("local_bound") is False
    assert tosa.ReduceMaxOp(*values(t(f32, 2)), axis=0).plain("nan_mode") == "PROPAGATE"


def test_constants_that_are_alike_where_they_are_sampled_differ() -> None:
    """Large arrays are compared by a sample first, and by all of their bytes where that is equal."""
    array = np.zeros(100_000, np.float32)
    other = array.copy()
    other[777] = 1
    one, two, same = (ArrayData(each) for each in (array, other, array.copy()))
    assert one.sample == two.sample and one != two
    assert one == same and hash(one) == hash(same)
    assert one.has_bytes_of(ArrayData(array.reshape(100, -1).view(np.int32))) and not one.has_bytes_of(two)
