"""const-eval: everything that depends on constants only is computed now, with the numpy meaning of the operations.

Weights are packed, zero-point corrections summed, tables built; the originals disappear unless something else reads
them. Equal constants of a function become one.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import numpy as np
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.dialects.tensor import CollapseShapeOp, ExpandShapeOp
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

from ..tosa.dialect import ConstOp
from ..tosa.elements import ArrayData, ElementsAttr
from .dialects.dispatch import RegionOp
from .ir import constant_array, erase, erase_dead, functions, host_blocks
from .meaning import Array, evaluate_op

TRANSFER = "device.transfer"
"""Constants need none: they are in the artifact for every device."""


def const_eval(module: ModuleOp) -> None:
    """Replace constant regions and views of every function by constants, in place."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for function in functions(module):
            computed = _begin(function, threads)
            for op, results in computed.items():
                _replace(op, results.result())
    for function in functions(module):
        for block in host_blocks(function):
            _deduplicate(block)
        for block in reversed(host_blocks(function)):
            erase_dead(block)


def _begin(function: FuncOp, threads: ThreadPoolExecutor) -> dict[Operation, Future[list[Array]]]:
    """What is constant, in program order, with its results to come. Who waits for another began after it."""
    computed: dict[Operation, Future[list[Array]]] = {}
    for block in host_blocks(function):
        for op in block.ops:
            if isinstance(op, RegionOp | CollapseShapeOp | ExpandShapeOp) or op.name == TRANSFER:
                operands = [_operand(value, computed) for value in op.operands]
                known = [operand for operand in operands if operand is not None]
                if len(known) == len(operands):
                    computed[op] = threads.submit(_evaluate, op, known)
    return computed


_Operand = Array | tuple[Future[list[Array]], int]
"""An array, or which result of what is being computed."""


def _operand(value: SSAValue, computed: Mapping[Operation, Future[list[Array]]]) -> _Operand | None:
    if isinstance(value, OpResult) and value.op in computed:
        return computed[value.op], value.index
    return constant_array(value)


def _evaluate(op: Operation, operands: Sequence[_Operand]) -> list[Array]:
    arrays = [each[0].result()[each[1]] if isinstance(each, tuple) else each for each in operands]
    return [np.asarray(array, order="C") for array in evaluate_op(op, arrays)]


def _replace(op: Operation, arrays: Sequence[Array]) -> None:
    block = op.parent
    assert block is not None
    for result, array in zip(op.results, arrays, strict=True):
        constant = ConstOp(_elements(array, result.type))
        block.insert_op_before(constant, op)
        result.replace_all_uses_with(constant.output)
    erase(op)


def _elements(array: Array, type: Attribute) -> ElementsAttr:
    return ElementsAttr.from_array(array, cast("TensorType[Attribute]", type))


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
