"""What a dispatch costs and what it is, for plans, profiles and, later, placement."""

from __future__ import annotations

from math import prod
from typing import cast

from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.dialects.tensor import PadOp
from xdsl.ir import Operation, SSAValue

from ..tosa.elements import numpy_dtype
from .attention import Stages, is_product, is_reducing
from .dialects import tiled
from .dialects.dispatch import RegionOp, dynamic_dims
from .dialects.linalg import Conv2DNhwcFhwcOp, DepthwiseConv2DNhwcHwcmOp, NamedOp, PoolingNhwcMaxOp, PoolingNhwcSumOp
from .ir import LOOPLESS, byte_size, shape_of, tensor_type
from .rows import Rows
from .strips import Strips

_SHORT_NAMES: dict[type[Operation], str] = {
    Conv2DNhwcFhwcOp: "conv_2d",
    DepthwiseConv2DNhwcHwcmOp: "depthwise",
    PoolingNhwcMaxOp: "max_pool",
    PoolingNhwcSumOp: "sum_pool",
}


def flops(region: RegionOp) -> int:
    """Arithmetic operations of one execution; a multiply-add counts as two, every other scalar operation as one.

    0 where sizes are unknown.
    """
    return 0 if _has_unknown_sizes(region) else sum(_flops(op) for op in region.body.block.ops)


def traffic(region: RegionOp) -> int:
    """Bytes of all operands and results: what must move at least, were nothing in any cache.

    0 where sizes are unknown.
    """
    return 0 if _has_unknown_sizes(region) else sum(byte_size(v.type) for v in (*region.tensors, *region.outputs))


def _has_unknown_sizes(region: RegionOp) -> bool:
    values = [*region.inputs, *(result for op in region.body.block.ops for result in op.results)]
    return dynamic_dims([value.type for value in values]) > 0


def arithmetic_dtype(region: RegionOp) -> str:
    """The numpy name of the type that the root computes on: its first operand's."""
    work = _work(region)
    value = work[0].operands[0] if work else region.outputs[0]
    return numpy_dtype(tensor_type(value).get_element_type()).name


def root_name(region: RegionOp) -> str:
    """One word for what the dispatch does, such as "conv_2d"; fit for the name of a function."""
    work = _work(region)
    if Stages.of(work) is not None:
        return "attention"
    if Rows.of(work) is not None:
        return "rows"
    return _word(work[0]) if work else "copy"


def describe(region: RegionOp) -> str:
    """The dispatch in a line for people, such as "conv_2d 3x3/2 1x8x8x32 f32, weights 1x27x32x1 f32"."""
    work = _work(region)
    if not work:
        return "copy"
    stages = Stages.of(work)
    if stages is not None:
        depth = _size(stages.scores.get_static_loop_ranges()[-1])
        return f"attention {_type(stages.mixed.res[0])}, scores {_type(stages.scores.res[0])}, depth {depth}"
    rows = Rows.of(work)
    if rows is not None:
        reductions = sum(map(is_reducing, rows.generics))
        return f"rows {'x'.join(map(str, rows.shape))}, reductions: {reductions}"
    strips = Strips.of(work)
    if strips is not None:
        return f"{_describe_root(strips.expand)}, in strips {_describe_root(strips.depthwise)}"
    text = _describe_root(work[0])
    return f"{text} + {_body_size(work[1])} element-wise" if len(work) > 1 and isinstance(work[1], GenericOp) else text


def _work(region: RegionOp) -> list[Operation]:
    """The operations of the region that compute or move something: its root, then what was fused behind it."""
    work = [op for op in region.body.block.ops if op.results and not isinstance(op, LOOPLESS)]
    return work[1:] if len(work) > 1 and isinstance(work[0], PadOp) else work


def _word(op: Operation) -> str:
    if isinstance(op, GenericOp):
        reduces = any(iterator.data == IteratorType.REDUCTION for iterator in op.iterator_types)
        return "reduction" if reduces else "elementwise"
    return _SHORT_NAMES.get(type(op)) or op.name.split(".", 1)[1]


def _flops(op: Operation) -> int:
    if isinstance(op, tiled.MatmulOp):
        return 2 * prod(shape_of(op.result)) * shape_of(op.lhs)[-1]
    if isinstance(op, tiled.Conv2DOp):
        return 2 * prod(shape_of(op.result)) * prod(op.kernel.get_values()) * shape_of(op.image)[-1]
    if is_product(op):
        return 2 * prod(cast(GenericOp, op).get_static_loop_ranges())
    if isinstance(op, GenericOp):
        return _body_size(op) * prod(op.get_static_loop_ranges())
    if isinstance(op, NamedOp):
        return 2 * prod(op.iteration_sizes())
    return 0


def _body_size(op: GenericOp) -> int:
    """The operations that each iteration of a generic does."""
    return sum(not isinstance(inner, YieldOp) and inner.name != "arith.constant" for inner in op.body.block.ops)


def _describe_root(op: Operation) -> str:
    result = op.results[0]
    text = f"{_word(op)}{_window(op)} {_type(result)}"
    if isinstance(op, tiled.MatmulOp):
        return f"{text}, k {_size(shape_of(op.lhs)[-1])}, weights {_type(op.rhs)}"
    if isinstance(op, tiled.Conv2DOp):
        return f"{text}, weights {_type(op.filter)}"
    if isinstance(op, GenericOp):
        return f"{_body_size(op)} {text}"
    return text


def _window(op: Operation) -> str:
    """Such as " 3x3/2" for a window of three by three that moves in steps of two."""
    if isinstance(op, tiled.Conv2DOp):
        kernel, stride = op.kernel.get_values(), op.strides.get_values()[0]
    elif isinstance(op, NamedOp) and "strides" in op.properties:
        shape = shape_of(op.inputs[1])
        kernel, stride = shape[:2], op.stride_values[0]  # pyright: ignore[reportAttributeAccessIssue]
    else:
        return ""
    return f" {_size(kernel[0])}x{_size(kernel[1])}" + (f"/{stride}" if stride != 1 else "")


def _type(value: SSAValue) -> str:
    type = tensor_type(value)
    return f"{'x'.join(map(_size, type.get_shape()))} {type.get_element_type()}"


def _size(size: int) -> str:
    return "?" if size == DYNAMIC_INDEX else str(size)
