"""The first layers of real models, on small images: on the emulated GPU they give the CPU's results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
from tosaic.lowering.ir import functions, shape_of, tensor_type
from tosaic.tosa.dialect.base import TosaOp
from tosaic.tosa.dialect.layout import SliceOp
from tosaic.tosa.dialect.shape import ConstShapeOp
from xdsl.dialects.builtin import FunctionType, ModuleOp, TensorType, i8
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from benchmarks.inputs import smooth_image

_WINDOWS = ("tosa.conv2d", "tosa.depthwise_conv2d", "tosa.max_pool2d", "tosa.transpose_conv2d")


def first_layers(path: Path, windows: int, size: int) -> ModuleOp:
    """A model as far as behind its first `windows` operators that slide one, for images of `size` x `size`."""
    module = tosaic.importers.import_model(path)
    (function,) = functions(module)
    block = function.body.block
    (image,) = block.args
    batch, _, _, channels = shape_of(image)
    small = TensorType(tensor_type(image).get_element_type(), [batch, size, size, channels])
    Rewriter.replace_value_with_new_type(image, small)
    before: dict[SSAValue, Sequence[int]] = {}
    for op in block.ops:
        before |= {value: shape_of(value) for value in op.results if isinstance(value.type, TensorType)}
    result, rest = image, False
    kept = 0
    operations = list(block.ops)
    for op in operations[:-1]:
        kept += op.name in _WINDOWS
        rest |= kept > windows
        if not rest and isinstance(op, TosaOp) and op.operands:
            if isinstance(op, SliceOp):
                cut = np.subtract(before[op.input1], shape_of(op.output))
                kept_size = ConstShapeOp(np.subtract(shape_of(op.input1), cut))
                block.insert_op_before(kept_size, op)
                op.operands[2] = kept_size.output
            op.refresh_types()
            result = op.results[0]
    Rewriter.erase_op(operations.pop())
    for op in reversed(operations):
        if not op.operands and any(result.uses for result in op.results):
            continue
        if result not in op.results and not any(value.uses for value in op.results):
            Rewriter.erase_op(op)
    block.add_op(ReturnOp(result))
    function.function_type = FunctionType.from_lists([small], [result.type])
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "windows", "size"),
    [
        ("mobilenet_v2_f32", 52, 32),
        ("mobilenet_v2_int8", 40, 32),
        ("resnet50_f32", 24, 24),
        ("resnet50_int8", 24, 24),
        ("unet_128_f32", 24, 16),
        ("unet_128_int8", 24, 16),
    ],
)
@pytest.mark.parametrize("capability", ["sm_75", "sm_80"])
def test_first_layers(zoo_model: Callable[[str], Path], name: str, windows: int, size: int, capability: str) -> None:
    results = []
    for device in ("cpu:1", f"cuda-emulator@{capability}"):
        module = first_layers(zoo_model(name), windows, size)
        (function,) = functions(module)
        type = tensor_type(function.body.block.args[0])
        image = smooth_image(np.random.default_rng(0), size, size, type.get_shape()[-1])[None]
        if type.get_element_type() == i8:
            image = np.round(image * 255 - 128).astype(np.int8)
        with tosaic.runtime.load(tosaic.lowering.compile(module, [device])) as program:
            (result,) = program.run([image])
        results.append(result)
    expected, emulated = results
    assert np.unique(expected).size > 10
    if expected.dtype == np.int8:
        np.testing.assert_array_equal(emulated, expected)
    else:
        # Sums of at most 1152 products in different orders, layer by layer: half of the bits of an f32 stay.
        np.testing.assert_allclose(emulated, expected, rtol=0, atol=float(np.abs(expected).max()) * 2**-12)
