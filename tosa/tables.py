"""Integer functions of one i8 tensor as one table: 256 values in, 256 values out, computed here by their meaning.

x * sigmoid(x) of a quantised tensor is a look-up, a product in 32 bits and a rescale back; whatever stands between one
i8 tensor and an i8 function of it, a single look-up does the same. It is taken where it replaces another look-up or two
rescales at least: with byte permutes it costs less than one rescale, without them about as much as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from xdsl.dialects.builtin import IntegerType, i8
from xdsl.ir import Operation, SSAValue

from . import dialect as tosa
from .dialect import ConstOp, TosaOp, constant
from .dialect.types import element_of, shape_of
from .elements import ElementsAttr
from .interpreter import Array, evaluate_operation

_MOST_OPERATIONS = 48
"""Operations looked through: more than any quantised activation is made of."""

_FUNCTIONS = (
    *(tosa.RescaleOp, tosa.TableOp, tosa.ClampOp, tosa.CastOp, tosa.AbsOp, tosa.NegateOp),
    *(tosa.AddOp, tosa.SubOp, tosa.MulOp, tosa.MaximumOp, tosa.MinimumOp),
    *(tosa.LogicalLeftShiftOp, tosa.LogicalRightShiftOp, tosa.ArithmeticRightShiftOp),
)


def tabulate(op: TosaOp) -> Sequence[Operation] | None:
    """A table from the farthest i8 tensor that alone decides an i8 result to there; None where none pays."""
    if element_of(op.results[0]) != i8:
        return None
    source = _source(op)
    if source is None:
        return None
    value, operations = source
    table = ConstOp(ElementsAttr.from_array(_values(value, operations)))
    return [table, tosa.TableOp(value, table.results[0])]


def _source(op: TosaOp) -> tuple[SSAValue, list[TosaOp]] | None:
    """The tensor and the operations that lead from it to the result of `op`, in order; None if it does not pay."""
    operations = _functions_behind(op)
    frontier: set[SSAValue] = {op.results[0]}
    inside: list[TosaOp] = []
    farthest = None
    for operation in reversed(operations):
        if operation.results[0] not in frontier:
            continue
        frontier.discard(operation.results[0])
        inside.append(operation)
        frontier.update(operand for operand in operation.operands if constant(operand) is None)
        if len(frontier) == 1 and _may_be_source(next(iter(frontier)), op) and _pays(inside):
            farthest = next(iter(frontier)), inside[::-1]
    return farthest


def _functions_behind(op: TosaOp) -> list[TosaOp]:
    """Element-wise integer operations that `op` depends on by way of others, operands first, with `op` last."""
    found: dict[Operation, TosaOp] = {}

    def visit(operation: TosaOp) -> None:
        for operand in operation.operands:
            owner = operand.owner
            if owner not in found and isinstance(owner, _FUNCTIONS) and _is_function(owner, op):
                if len(found) >= _MOST_OPERATIONS:
                    return
                visit(owner)
        found[operation] = operation

    if _is_function(op, op):
        visit(op)
    return list(found.values())


def _is_function(operation: TosaOp, last: TosaOp) -> bool:
    """Whether each element of the result, shaped as that of `last`, is an integer function of tensors and scalars."""
    return (
        operation.parent is last.parent
        and _is_integer_like(operation.results[0], last)
        and all(_is_argument(operation, index, last) for index in range(len(operation.operands)))
    )


def _is_argument(operation: TosaOp, index: int, last: TosaOp) -> bool:
    """Whether an operand is a tensor to go through, a constant scalar, or the constant entries of a table."""
    operand = operation.operands[index]
    known = constant(operand)
    if isinstance(operation, tosa.TableOp) and index == 1:
        return known is not None
    return _is_integer_like(operand, last) if known is None else known.size == 1


def _is_integer_like(value: SSAValue, last: TosaOp) -> bool:
    return isinstance(element_of(value), IntegerType) and shape_of(value) == shape_of(last.results[0])


def _may_be_source(value: SSAValue, op: TosaOp) -> bool:
    return element_of(value) == i8 and value.type == op.results[0].type and len(shape_of(value)) > 0


def _pays(operations: list[TosaOp]) -> bool:
    rescales = sum(isinstance(operation, tosa.RescaleOp) for operation in operations)
    tables = any(isinstance(operation, tosa.TableOp) for operation in operations)
    return len(operations) > 1 and (tables or rescales > 1)


def _values(source: SSAValue, operations: list[TosaOp]) -> Array:
    """What `operations` make of -128..127, in one dimension."""
    bytes = np.arange(-128, 128).astype(np.int8)
    rank = len(shape_of(source))
    values: dict[SSAValue, Array] = {source: bytes.reshape([1] * (rank - 1) + [256])}
    for operation in operations:
        values[operation.results[0]] = evaluate_operation(operation, list(_operands(operation, values)))[0]
    return values[operations[-1].results[0]].reshape(256)


def _operands(operation: TosaOp, values: dict[SSAValue, Array]) -> Iterator[Array]:
    for operand in operation.operands:
        array = values[operand] if operand in values else constant(operand)
        assert array is not None
        yield array
