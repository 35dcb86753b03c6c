"""Integer extensions are repeated for each reader: to convert again costs less than to store wide elements."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Block, SSAValue

from ..ir import tensor_type
from .elementwise import identity_operands, is_elementwise

_WIDENINGS = (arith.ExtSIOp, arith.ExtUIOp)


def repeat_widenings(block: Block) -> None:
    """Gives every use of an integer extension an extension of its own."""
    for op in list(block.ops):
        if not isinstance(op, GenericOp) or not is_widening(op):
            continue
        for use in list(op.res[0].uses)[1:]:
            copy = op.clone()
            block.insert_op_after(copy, op)
            use.operation.operands[use.index] = copy.res[0]


def is_widening(op: GenericOp) -> bool:
    """Whether `op` is an integer extension of each element and nothing else."""
    if len(op.inputs) != 1 or len(op.res) != 1 or not is_elementwise(op) or identity_operands(op) != [0]:
        return False
    conversion = op.body.block.first_op
    return isinstance(conversion, _WIDENINGS) and conversion.next_op is op.body.block.last_op


def element_bits(value: SSAValue) -> int:
    """Bits of an element of an integer tensor; 0 for others."""
    element = tensor_type(value).get_element_type()
    return element.width.data if isinstance(element, IntegerType) else 0
