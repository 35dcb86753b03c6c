"""What the host hands to dispatches, and what it needs of them, made explicit before dispatches are formed.

- sizes are asked of the arguments of functions and loops, and of the results of loops, once, where these are defined;
  all others follow from how tensors are made;
- equal scalar arithmetic is done once;
- constants are repeated in the blocks of loops and branches that read them, where they belong to their readers;
- a tensor of initial values that the host reads itself, to carry it through a loop or to return it, is computed.
"""

from __future__ import annotations

from xdsl.dialects import arith, func
from xdsl.dialects.builtin import AffineMapAttr, FloatAttr, IndexType, IntegerAttr, IntegerType
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.dialects.tensor import DimOp, EmptyOp
from xdsl.ir import Attribute, Block, Operation, OpResult, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.traits import IsTerminator

from ...tosa.dialect import ConstOp
from ..ir import erase, host_blocks, operands_with_captures, tensor_type
from ..share_scalars import share_scalars
from ..sizes import Sizes, as_value, constant_of
from .clusters import runs_on_host


def settle_host(function: func.FuncOp, sizes: Sizes) -> None:
    """Apply all but the last rewrite above to `function`."""
    blocks = host_blocks(function)
    for block in blocks:
        for op in list(block.ops):
            if isinstance(op, DimOp):
                dim = constant_of(op.index)
                size = op.result if dim is None else as_value(sizes.of(op.source)[dim], op)
                if size is not op.result:
                    op.result.replace_all_uses_with(size)
                    erase(op)
    share_scalars(function)
    for block in blocks[1:]:
        _repeat_constants(block)


def _repeat_constants(block: Block) -> None:
    copies: dict[SSAValue, SSAValue] = {}
    for op in list(block.ops):
        for inner in op.walk():
            for index, value in enumerate(inner.operands):
                producer = value.op if isinstance(value, OpResult) else None
                if not isinstance(producer, ConstOp) or producer.parent is block or op.is_ancestor(producer):
                    continue
                if value not in copies:
                    copy = ConstOp(producer.values)
                    first = block.first_op
                    assert first is not None
                    block.insert_op_before(copy, first)
                    copies[value] = copy.output
                inner.operands[index] = copies[value]


def write_initial_values(block: Block, sizes: Sizes) -> None:
    """Compute, by a generic, what `tensor.empty` or `linalg.fill` makes and the host reads."""
    for op in list(block.ops):
        if not runs_on_host(op) and not op.has_trait(IsTerminator):
            continue
        for value in set(operands_with_captures(op)):
            producer = value.op if isinstance(value, OpResult) else None
            if isinstance(producer, EmptyOp | FillOp):
                _write(value, producer, op, sizes)


def _write(value: SSAValue, producer: EmptyOp | FillOp, reader: Operation, sizes: Sizes) -> None:
    block = reader.parent
    assert block is not None
    type = tensor_type(value)
    empty = EmptyOp(sizes.dynamic(value), type)
    body = Block(arg_types=[type.get_element_type()])
    if isinstance(producer, FillOp):
        scalar = producer.inputs[0]
    else:  # no element of it is ever read before it is written: any will do
        zero = arith.ConstantOp(_zero(type.get_element_type()))
        body.add_op(zero)
        scalar = zero.result
    body.add_op(YieldOp(scalar))
    rank = type.get_num_dims()
    identity = AffineMapAttr(AffineMap.identity(rank))
    parallel = [IteratorTypeAttr.parallel()] * rank
    generic = GenericOp([], [empty.tensor], Region(body), [identity], parallel, [type])
    block.insert_ops_before([empty, generic], reader)
    for use in list(value.uses):
        if use.operation is reader or reader.is_ancestor(use.operation):
            use.operation.operands[use.index] = generic.res[0]


def _zero(type: Attribute) -> IntegerAttr | FloatAttr:
    if isinstance(type, IntegerType | IndexType):
        return IntegerAttr(0, type)
    return FloatAttr(0.0, type)  # pyright: ignore[reportArgumentType, reportCallIssue]
