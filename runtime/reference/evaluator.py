"""Runs blocks of operations, keeping each value while it is still needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np

from .records import Block, Operation

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass
class Scope:
    """What an operation may see besides its operands: the values that its blocks use, and the functions it may call."""

    values: dict[int, Array] = field(default_factory=dict)
    functions: Mapping[str, Block] = field(default_factory=dict)

    def inner(self, more: Mapping[int, Array]) -> Scope:
        return Scope({**self.values, **more}, self.functions)


Meaning: TypeAlias = Callable[[Operation, Sequence[Array], Scope], Sequence[Array]]

_MEANINGS: dict[str, Meaning] = {}
_M = TypeVar("_M", bound=Meaning)

TERMINATORS = frozenset({"func.return", "linalg.yield", "tensor.yield", "scf.yield", "scf.condition", "dispatch.yield"})


def meaning_of(*names: str) -> Callable[[_M], _M]:
    """Registers the decorated function as the meaning of the operations called `names`."""

    def register(function: _M) -> _M:
        _MEANINGS.update(dict.fromkeys(names, function))
        return function

    return register


def known_operations() -> frozenset[str]:
    return frozenset(_MEANINGS)


def evaluate_operation(operation: Operation, operands: Sequence[Array], scope: Scope) -> Sequence[Array]:
    """The results of one operation. Raises NotImplementedError for one without a meaning."""
    meaning = _MEANINGS.get(operation.name)
    if meaning is None:
        raise NotImplementedError(f"{operation.name} has no meaning at this level")
    with np.errstate(all="ignore"):  # overflow, NaN and division by zero are values, not mistakes of this program
        return meaning(operation, operands, scope)


def evaluate_block(
    block: Block, arguments: Sequence[Array], scope: Scope, wanted: Sequence[int] | None = None
) -> Sequence[Array]:
    """What `block` yields, or the `wanted` values, leaving out the operations that make what it yields."""
    scope = scope.inner(dict(zip(block.arguments, arguments, strict=True)))
    values = scope.values
    left_out = frozenset(block.yielded if wanted is not None else ())
    kept = frozenset(wanted or ())
    with np.errstate(all="ignore"):
        for operation, dead in zip(block.operations, block.last_uses, strict=True):
            if operation.name in TERMINATORS:
                break
            if left_out and not left_out.isdisjoint(operation.results):
                continue
            meaning = _MEANINGS.get(operation.name)
            if meaning is None:
                raise NotImplementedError(f"{operation.name} has no meaning at this level")
            operands = [values[operand] for operand in operation.operands]
            values.update(zip(operation.results, meaning(operation, operands, scope), strict=True))
            for value in dead:
                if value not in kept:
                    values.pop(value, None)
    return [values[value] for value in (block.yielded if wanted is None else wanted)]
