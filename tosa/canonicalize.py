"""Simplification of whole modules: folding, the rules, dead code and common subexpressions, until nothing changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.traits import is_side_effect_free

from .cse import eliminate_common_subexpressions
from .dialect import TosaOp
from .fold import fold
from .rules import RULES, Replacement


def canonicalize(module: ModuleOp) -> None:
    """Simplify `module` in place; the results of its functions stay the same, to the bit for integers."""
    simplify(module)
    # Merging equal operations can make operands equal but enables no rule that compares them, so once is enough.
    eliminate_common_subexpressions(module)


def simplify(module: ModuleOp) -> None:
    """Fold, apply the rules and remove dead operations until none is left."""
    pending = _Worklist(module.walk())
    while (operation := pending.pop()) is not None:
        if operation.parent is None or not isinstance(operation, TosaOp) or not is_side_effect_free(operation):
            continue
        if all(not result.uses for result in operation.results):
            pending.extend(operand.owner for operand in operation.operands)
            operation.detach()
            operation.erase()
            continue
        if (constants := fold(operation)) is not None:
            _replace(operation, constants, [constant.results[0] for constant in constants], pending)
            continue
        for rule in RULES.get(type(operation), ()):
            replacement = rule(operation)
            if replacement is not None and _applies(operation, replacement):
                operations = [] if isinstance(replacement, SSAValue) else replacement
                value = replacement if isinstance(replacement, SSAValue) else replacement[-1].results[0]
                _replace(operation, operations, [value], pending)
                break


def _applies(operation: TosaOp, replacement: Replacement) -> bool:
    """A value of another type (a static shape for a dynamic one) cannot stand in: its users declare their types."""
    return not isinstance(replacement, SSAValue) or replacement.type == operation.results[0].type


class _Worklist:
    """Operations to look at, each at most once at a time, in order."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._queue = deque(operations)
        self._queued = set(self._queue)

    def pop(self) -> Operation | None:
        if not self._queue:
            return None
        operation = self._queue.popleft()
        self._queued.discard(operation)
        return operation

    def extend(self, owners: Iterable[Operation | Block]) -> None:
        for owner in owners:
            if isinstance(owner, Operation) and owner not in self._queued:
                self._queue.append(owner)
                self._queued.add(owner)


def _replace(operation: Operation, new: Iterable[Operation], values: list[SSAValue], pending: _Worklist) -> None:
    """Put `new` where `operation` is and let its users use `values`; look again at everything around."""
    block = operation.parent
    assert block is not None
    for other in new:
        block.insert_op_before(other, operation)
        other.attributes |= operation.attributes
        pending.extend([other])
    for result, value in zip(operation.results, values, strict=True):
        pending.extend(use.operation for use in result.uses)
        if value.name_hint is None:
            value.name_hint = result.name_hint
        result.replace_all_uses_with(value)
    pending.extend(operand.owner for operand in operation.operands)
    operation.detach()
    operation.erase()
