"""reduce-precision: faster, less exact arithmetic where the user asks for it by name; nothing otherwise.

With "bf16" every contraction of f32 operands rounds both to bf16 and still accumulates in f32: twice the products per
instruction where the target has `vdpbf16ps`, half the weights everywhere. The roundings are ordinary element-wise
operations: those of weights are done at compile time, those of activations fuse into what computes the activation.
"""

from __future__ import annotations

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, AnyFloat, FloatAttr, IndexType, ModuleOp, TensorType, bf16, f32
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.dialects.tensor import EmptyOp, PadOp
from xdsl.dialects.tensor import YieldOp as PadYieldOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap

from ..runtime.errors import ArgumentError
from ..tosa.elements import numpy_dtype
from .dialects.linalg import PlainContraction
from .ir import functions, host_blocks, padding_value, tensor_type
from .sizes import Sizes

PRECISIONS: dict[str, AnyFloat] = {"bf16": bf16}
"""The types by name that contractions may be computed in."""


def reduce_precision(module: ModuleOp, precision: str | None) -> None:
    """Round the operands of f32 contractions to `precision`, in place. Raises ArgumentError for an unknown one."""
    if precision is None:
        return
    if precision not in PRECISIONS:
        raise ArgumentError(f"unknown precision {precision!r}; known ones: {', '.join(PRECISIONS)}")
    for function in functions(module):
        sizes = Sizes()
        for block in host_blocks(function):
            for op in list(block.ops):
                if isinstance(op, PlainContraction):
                    _round_operands(op, PRECISIONS[precision], sizes)


def _round_operands(op: PlainContraction, type: AnyFloat, sizes: Sizes) -> None:
    if any(tensor_type(value).get_element_type() != f32 for value in op.operands):
        return
    for index, value in enumerate(op.inputs):
        op.operands[index] = _rounded(value, type, op, sizes)


def _rounded(value: SSAValue, type: AnyFloat, before: Operation, sizes: Sizes) -> SSAValue:
    """`value` in `type`. What is padded is rounded before, so that the padding stays with its convolution."""
    block = before.parent
    assert block is not None
    if isinstance(value.owner, PadOp) and padding_value(value.owner) is not None:
        return _rounded_pad(value.owner, type, before, sizes)
    tensor = tensor_type(value)
    rank = tensor.get_num_dims()
    body = Block(arg_types=[tensor.get_element_type(), type])
    truncated = arith.TruncFOp(body.args[0], type)
    body.add_ops([truncated, YieldOp(truncated)])
    empty = EmptyOp(sizes.dynamic(value), TensorType(type, tensor.get_shape()))
    identity = AffineMapAttr(AffineMap.identity(rank))
    parallel = [IteratorTypeAttr.parallel()] * rank
    generic = GenericOp([value], [empty.tensor], Region(body), [identity] * 2, parallel, [empty.tensor.type])
    block.insert_ops_before([empty, generic], before)
    return generic.res[0]


def _rounded_pad(pad: PadOp, type: AnyFloat, before: Operation, sizes: Sizes) -> SSAValue:
    """The same padding of the rounded source, with the rounded value."""
    block, value = before.parent, padding_value(pad)
    assert block is not None and isinstance(value, FloatAttr)
    source = _rounded(pad.source, type, before, sizes)
    rounded_value = float(np.asarray(value.value.data).astype(numpy_dtype(type)))
    body = Block(arg_types=[IndexType()] * len(pad.static_low))
    constant = arith.ConstantOp(FloatAttr(rounded_value, type))
    body.add_ops([constant, PadYieldOp(constant.result)])
    result = TensorType(type, tensor_type(pad.result).get_shape())
    rounded = PadOp(source, pad.low, pad.high, Region(body), pad.static_low, pad.static_high, result)
    block.insert_op_before(rounded, before)
    return rounded.result
