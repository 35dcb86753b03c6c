"""Which operations share a dispatch, case by case."""

from __future__ import annotations

import numpy as np
from tosaic.lowering import pipeline
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.ir import functions, regions, tensor_type
from tosaic.lowering.target import resolve_target
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa import dialect as tosa
from xdsl.dialects.builtin import IntegerType, ModuleOp, f16, f32, i8, i32
from xdsl.ir import SSAValue

from .programs import Program

RNG = np.random.default_rng(0)
SCALARS = ("arith.constant", "tensor.empty", "linalg.fill", "dispatch.yield")


def dispatches(module: ModuleOp) -> list[RegionOp]:
    options = pipeline.Options((DeviceSpec("cpu"),), {"cpu": resolve_target("x86-64-v3")})
    pipeline.run(module, options, stop_after="form-dispatches")
    (function,) = functions(module)
    return regions(function)


def work(region: RegionOp) -> list[str]:
    """The names of the operations of a region that do something."""
    return [op.name for op in region.body.block.ops if op.name not in SCALARS]


def body(region: RegionOp) -> list[str]:
    """The names of the scalar operations of the region's last generic."""
    generic = [op for op in region.body.block.ops if op.name == "linalg.generic"][-1]
    return [op.name for op in generic.regions[0].block.ops]


def test_a_value_with_several_users_becomes_one_more_result() -> None:
    program = Program(np.float32, (1, 4, 4, 8))
    first = program.narrow(program.conv2d(RNG, program.inputs[0], 8, 3))
    second = program.add(tosa.ClampOp(first, 0.0, 1.0))
    third = program.conv2d(RNG, first, 8, 3)
    (head, tail) = dispatches(program.finish(second, third))
    assert len(head.outputs) == 2
    assert work(head) == ["tensor.pad", "linalg.conv_2d_nhwc_fhwc", "linalg.generic"]
    assert len(tail.outputs) == 1


def test_a_depthwise_convolution_is_collapsed_inside() -> None:
    program = Program(np.float32, (1, 4, 4, 8))
    (region,) = dispatches(program.finish(program.narrow(program.depthwise(RNG, program.inputs[0], 2))))
    assert work(region) == [
        "tensor.pad",
        "linalg.depthwise_conv_2d_nhwc_hwcm",
        "tensor.collapse_shape",
        "linalg.generic",
    ]


def test_the_collapse_of_a_depthwise_convolution_is_not_joined_with_others() -> None:
    program = Program(np.float32, (1, 4, 4, 8))
    rows = program.reshape(program.depthwise(RNG, program.inputs[0]), 1, 16, 8)
    (region,) = dispatches(program.finish(program.narrow(rows)))
    assert work(region)[-2:] == ["tensor.collapse_shape", "linalg.generic"]
    assert len(tensor_type(region.outputs[0]).get_shape()) == 4


def test_a_pad_goes_into_every_convolution_that_reads_it() -> None:
    program = Program(np.float32, (1, 4, 4, 8))
    padded = program.add(tosa.PadOp(program.inputs[0], program.shape(0, 0, 1, 1, 1, 1, 0, 0), program.scalar(3)))
    results = [_unpadded(program, padded) for _ in range(2)]
    assert [work(region)[0] for region in dispatches(program.finish(*results))] == ["tensor.pad", "tensor.pad"]


def test_a_pad_of_the_channels_is_a_dispatch_of_its_own() -> None:
    program = Program(np.float32, (1, 4, 4, 8))
    padded = program.add(tosa.PadOp(program.inputs[0], program.shape(0, 0, 0, 0, 0, 0, 0, 3), program.scalar(3)))
    pad, convolution = dispatches(program.finish(_unpadded(program, padded)))
    assert work(pad) == ["tensor.pad"]
    assert work(convolution)[0] == "linalg.conv_2d_nhwc_fhwc"


def _unpadded(program: Program, value: SSAValue) -> SSAValue:
    channels = tensor_type(value).get_shape()[3]
    return program.add(
        tosa.Conv2DOp(
            value,
            program.weights(RNG, 4, 3, 3, channels),
            program.constant(np.zeros(4, np.float32)),
            program.scalar(0),
            program.scalar(0),
            pad=[0, 0, 0, 0],
            stride=[1, 1],
            dilation=[1, 1],
            acc_type=f32,
        )
    )


def test_weights_are_read_in_the_type_they_are_stored_in() -> None:
    program = Program(np.float32, (1, 1, 1, 8))
    stored = program.constant(RNG.standard_normal((4, 8)).astype(np.float16))
    weights = program.reshape(program.add(tosa.CastOp(stored, element_type=f32)), 4, 1, 1, 8)
    convolution = tosa.Conv2DOp(
        program.inputs[0],
        weights,
        program.constant(np.zeros(4, np.float32)),
        program.scalar(0),
        program.scalar(0),
        pad=[0, 0, 0, 0],
        stride=[1, 1],
        dilation=[1, 1],
        acc_type=f32,
    )
    (region,) = dispatches(program.finish(program.add(convolution)))
    assert tensor_type(region.inputs[1]).get_element_type() == f16


def test_zero_point_corrections_do_not_keep_a_matmul_from_its_consumers() -> None:
    program = Program(np.int8, (1, 6, 5), (1, 5, 7))
    left, right = program.inputs
    product = program.add(tosa.MatMulOp(left, right, program.scalar(3), program.scalar(-4)))
    *sums, matmul = dispatches(program.finish(program.narrow(product)))
    assert [work(region)[0] for region in sums] == ["linalg.generic"] * len(sums)
    assert work(matmul) == ["linalg.batch_matmul", "linalg.generic"]
    assert "tosa.apply_scale" in body(matmul)


def _requantised(program: Program, value: SSAValue, source: IntegerType, result: IntegerType, shift: int) -> SSAValue:
    return program.add(
        tosa.RescaleOp(
            value,
            program.constant(np.array([1 << 30], np.int32)),
            program.constant(np.array([shift], np.int8)),
            program.constant(np.zeros(1, np.int32 if source == i32 else np.int8)),
            program.constant(np.zeros(1, np.int32 if result == i32 else np.int8)),
            scale32=True,
            rounding_mode="DOUBLE_ROUND",
            per_channel=False,
            input_unsigned=False,
            output_unsigned=False,
            element_type=result,
        )
    )


def test_sums_are_requantised_where_they_are_computed() -> None:
    """Not where a shortcut is added to others: it would be stored as i32."""
    program = Program(np.int8, (1, 4, 4, 8))
    branches = [_requantised(program, program.conv2d(RNG, program.inputs[0], 6, 3), i32, i8, 38) for _ in range(2)]
    wide = [_requantised(program, branch, i8, i32, 25) for branch in branches]
    total = _requantised(program, program.add(tosa.AddOp(*wide)), i32, i8, 38)
    first, second = dispatches(program.finish(total))
    for region in (first, second):
        assert work(region) == ["tensor.pad", "linalg.conv_2d_nhwc_fhwc", "linalg.generic"]
        assert tensor_type(region.outputs[0]).get_element_type() == i8
    assert body(first).count("tosa.apply_scale") == 1
    assert body(second).count("tosa.apply_scale") == 4


def test_a_reduction_widens_what_it_reads_itself() -> None:
    program = Program(np.int8, (1, 4, 4, 8))
    narrow = _requantised(program, program.conv2d(RNG, program.inputs[0], 6, 3), i32, i8, 38)
    wide = program.add(tosa.CastOp(narrow, element_type=i32))
    total = program.add(tosa.ReduceSumOp(wide, axis=1))
    scaled = _requantised(program, program.add(tosa.AddOp(wide, total)), i32, i8, 35)
    convolution, reduction, addition = dispatches(program.finish(scaled))
    assert [tensor_type(value).get_element_type() for value in convolution.outputs] == [i8]
    assert tensor_type(reduction.inputs[0]).get_element_type() == i8
    assert tensor_type(addition.inputs[0]).get_element_type() == i8


def test_a_contraction_waits_for_the_padded_shortcut_that_is_added_to_it() -> None:
    program = Program(np.float32, (1, 4, 4, 4))
    convolved = program.conv2d(RNG, program.inputs[0], 6, 1)
    shortcut = program.add(tosa.PadOp(program.inputs[0], program.shape(0, 0, 0, 0, 0, 0, 0, 2), program.scalar(0)))
    pad, contraction = dispatches(program.finish(program.add(tosa.AddOp(convolved, shortcut))))
    assert work(pad) == ["tensor.pad"]
    assert work(contraction) == ["linalg.matmul", "linalg.generic"]


def test_constants_with_one_value_become_scalars() -> None:
    program = Program(np.float32, (2, 3))
    twos = program.constant(np.full((2, 3), 2, np.float32))
    (region,) = dispatches(program.finish(program.add(tosa.AddOp(program.inputs[0], twos))))
    assert len(region.inputs) == 1
    assert body(region) == ["arith.constant", "arith.addf", "linalg.yield"]


def test_a_transposition_is_not_part_of_an_epilogue() -> None:
    program = Program(np.float32, (1, 4, 4, 4))
    convolved = program.conv2d(RNG, program.inputs[0], 4, 3)
    transposed = program.add(tosa.TransposeOp(convolved, [0, 2, 1, 3]))
    convolution, transposition = dispatches(program.finish(transposed))
    assert work(convolution)[-1] == "linalg.generic"
    assert body(transposition) == ["linalg.yield"]


def test_element_wise_operations_on_a_path_around_a_contraction_do_not_close_a_cycle() -> None:
    """a -> conv -> add and a -> add: the addition may only run after the convolution, so it is not fused into `a`."""
    program = Program(np.float32, (1, 4, 4, 4))
    start = program.add(tosa.AbsOp(program.inputs[0]))
    around = program.conv2d(RNG, start, 4, 3)
    result = program.add(tosa.AddOp(start, around))
    first, second = dispatches(program.finish(result))
    assert work(first) == ["linalg.generic"]
    assert work(second) == ["tensor.pad", "linalg.conv_2d_nhwc_fhwc", "linalg.generic"]


def test_what_reads_a_contraction_through_several_reshapes_fuses_with_it() -> None:
    program = Program(np.float32, (1, 6, 8))
    image = program.reshape(program.inputs[0], 1, 1, 6, 8)
    hidden = program.reshape(program.conv2d(RNG, image, 4, 1), 1, 6, 4)
    squared = program.add(tosa.MulOp(hidden, hidden, program.scalar(0, np.int8)))
    (region,) = dispatches(program.finish(program.reshape(program.add_up(squared, hidden), 3, 2, 4)))
    assert work(region) == ["linalg.matmul", "linalg.generic"]
