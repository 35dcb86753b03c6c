"""const-eval: everything that depends on constants only is computed now, with the numpy meaning of the operations.

Weights are packed, zero-point corrections summed, tables built; the originals disappear unless something else reads
them. Equal constants of a function become one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.tensor import CollapseShapeOp, ExpandShapeOp
from xdsl.ir import Attribute, Block, Operation

from ..tosa.dialect import ConstOp
from ..tosa.elements import ArrayData, ElementsAttr
from .dialects.dispatch import RegionOp
from .ir import constant_array, erase, erase_dead, functions, host_blocks
from .meaning import Array, evaluate_op

TRANSFER = "device.transfer"
"""Constants need none: they are in the artifact for every device."""


def const_eval(module: ModuleOp) -> None:
    """Replace constant regions and views of every function by constants, in place."""
    for function in functions(module):
        for block in host_blocks(function):
            for op in list(block.ops):
                if isinstance(op, RegionOp | CollapseShapeOp | ExpandShapeOp) or op.name == TRANSFER:
                    _evaluate(op)
            _deduplicate(block)
        for block in reversed(host_blocks(function)):
            erase_dead(block)


def _evaluate(op: Operation) -> None:
    operands = [constant_array(value) for value in op.operands]
    arrays = [array for array in operands if array is not None]
    if len(arrays) != len(operands):
        return
    block = op.parent
    assert block is not None
    for result, array in zip(op.results, evaluate_op(op, arrays), strict=True):
        constant = ConstOp(_elements(array, result.type))
        block.insert_op_before(constant, op)
        result.replace_all_uses_with(constant.output)
    erase(op)


def _elements(array: Array, type: Attribute) -> ElementsAttr:
    return ElementsAttr.from_array(np.asarray(array, order="C"), cast("TensorType[Attribute]", type))


def _deduplicate(block: Block) -> None:
    """Use one constant where several have the same type and bytes."""
    by_type: dict[Attribute, list[ConstOp]] = defaultdict(list)
    for op in block.ops:
        if isinstance(op, ConstOp):
            by_type[op.output.type].append(op)
    for constants in by_type.values():
        known: dict[ArrayData, ConstOp] = {}
        for op in constants if len(constants) > 1 else ():
            first = known.setdefault(op.values.storage, op)  # in program order: the first is there for all users
            if first is not op:
                op.output.replace_all_uses_with(first.output)
                erase(op)
