"""What surrounds the operations on tensors: calls, control flow, and the units of work of devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError
from .evaluator import Array, Scope, evaluate_block, meaning_of
from .records import Operation


@meaning_of("func.call")
def _call(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    callee = operation.attributes["callee"]
    if callee not in scope.functions:
        raise ArgumentError(f"func.call: there is no function {callee!r} with a body")
    return evaluate_block(scope.functions[callee], operands, Scope(functions=scope.functions))


@meaning_of("dispatch.region", "dispatch.segment")
def _region(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    """Sizes of results, which follow the inputs, say nothing new here."""
    (block,) = operation.blocks
    return evaluate_block(block, operands[: len(block.arguments)], Scope(functions=scope.functions))


@meaning_of("dispatch.check")
def _check(operation: Operation, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    condition, *values = operands
    if not condition:
        raise ArgumentError(operation.attributes["message"].format(*(int(value) for value in values)))
    return ()


@meaning_of("scf.for")
def _for(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    lower, upper, step, *carried = operands
    if step <= 0:
        raise ArgumentError(f"scf.for: the step is {int(step)}")
    for index in range(int(lower), int(upper), int(step)):
        carried = list(evaluate_block(operation.blocks[0], [np.asarray(index, lower.dtype), *carried], scope))
    return carried


@meaning_of("scf.if")
def _if(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    then, *otherwise = operation.blocks
    if operands[0]:
        return evaluate_block(then, (), scope)
    return evaluate_block(otherwise[0], (), scope) if otherwise else ()


@meaning_of("scf.while")
def _while(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    before, after = operation.blocks
    carried = operands
    while True:
        goes_on, *carried = evaluate_block(before, carried, scope)
        if not goes_on:
            return carried
        carried = evaluate_block(after, carried, scope)
