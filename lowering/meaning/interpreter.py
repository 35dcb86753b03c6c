"""Walks functions and blocks, keeping the value of each SSA value while it is still needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import IsTerminator, SymbolTable

from ...runtime.errors import ArgumentError

Array: TypeAlias = np.ndarray[Any, Any]
Values: TypeAlias = Mapping[SSAValue, Array]
Meaning: TypeAlias = Callable[[Any, Sequence[Array], Values], Sequence[Array]]
"""(operation, values of its operands, values that its regions may capture) -> values of its results."""

_MEANINGS: dict[type[Operation], Meaning] = {}
_M = TypeVar("_M", bound=Meaning)


def meaning_of(*operations: type[Operation]) -> Callable[[_M], _M]:
    """Registers the decorated function as the meaning of `operations`."""

    def register(function: _M) -> _M:
        _MEANINGS.update(dict.fromkeys(operations, function))
        return function

    return register


def evaluate(module: ModuleOp, function: str, inputs: Sequence[Array]) -> list[Array]:
    """The results of `function` of `module` for `inputs`, one array per argument.

    Raises `ArgumentError` for an unknown function or a wrong number of inputs, and `NotImplementedError` for an
    operation that has no meaning here.
    """
    operation = SymbolTable.lookup_symbol(module, function)
    if not isinstance(operation, func.FuncOp):
        raise ArgumentError(f"the module has no function {function!r}")
    if len(inputs) != len(operation.body.block.args):
        raise ArgumentError(f"{function!r} takes {len(operation.body.block.args)} inputs, got {len(inputs)}")
    return list(evaluate_block(operation.body.block, inputs, {}))


def evaluate_op(operation: Operation, operands: Sequence[Array], captured: Values | None = None) -> Sequence[Array]:
    """The results of one operation. `captured` holds the values from outside that its regions use, if any."""
    meaning = _MEANINGS.get(type(operation))
    if meaning is None:
        raise NotImplementedError(f"{operation.name} has no meaning at this level")
    with np.errstate(all="ignore"):  # overflow, NaN and division by zero are values, not mistakes of this program
        return meaning(operation, operands, captured or {})


def evaluate_block(
    block: Block, arguments: Sequence[Array], captured: Values, wanted: Sequence[SSAValue] | None = None
) -> Sequence[Array]:
    """The operands of the terminator of `block`, or the `wanted` values, skipping the operations that use those.

    Each value is dropped after its last use, as tensors are big.
    """
    values = {**captured, **dict(zip(block.args, arguments, strict=True))}
    skipped = {use.operation for value in wanted or () for use in value.uses}
    last_uses = _last_uses(block)
    with np.errstate(all="ignore"):
        for operation in block.ops:
            if operation in skipped:
                continue
            if operation.has_trait(IsTerminator):
                return [values[value] for value in (operation.operands if wanted is None else wanted)]
            meaning = _MEANINGS.get(type(operation))
            if meaning is None:
                raise NotImplementedError(f"{operation.name} has no meaning at this level")
            operands = [values[operand] for operand in operation.operands]
            values.update(zip(operation.results, meaning(operation, operands, values), strict=True))
            for value in last_uses.get(operation, ()):
                values.pop(value, None)
    raise ValueError("the block has no terminator")


def _last_uses(block: Block) -> dict[Operation, list[SSAValue]]:
    """The values of `block` to forget after each of its operations."""
    owners: dict[SSAValue, Operation] = {}
    for operation in block.ops:
        for inner in operation.walk():
            owners.update(dict.fromkeys(inner.operands, operation))
    last_uses: dict[Operation, list[SSAValue]] = {}
    for value, operation in owners.items():
        last_uses.setdefault(operation, []).append(value)
    return last_uses
