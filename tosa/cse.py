"""Common subexpressions: of equal operations in a block the first one stays."""

from __future__ import annotations

from collections.abc import Hashable

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation
from xdsl.traits import is_side_effect_free

from .dialect import ConstOp

_SAMPLE_BYTES = 64


def eliminate_common_subexpressions(module: ModuleOp) -> None:
    """Merge equal operations that have no side effects and no regions, block by block."""
    for operation in list(module.walk()):
        for region in operation.regions:
            for block in region.blocks:
                _merge(block)


def _merge(block: Block) -> None:
    sampled: dict[Hashable, int] = {}
    for operation in block.ops:
        if isinstance(operation, ConstOp):
            sampled[_sample(operation)] = sampled.get(_sample(operation), 0) + 1
    known: dict[Hashable, Operation] = {}
    for operation in list(block.ops):
        if operation.regions or not operation.results or not is_side_effect_free(operation):
            continue
        # Hashing a constant reads all of it: only those that another one resembles are hashed.
        if isinstance(operation, ConstOp) and sampled[_sample(operation)] == 1:
            continue
        first = known.setdefault(_key(operation), operation)
        if first is not operation:
            for result, same in zip(operation.results, first.results, strict=True):
                result.replace_all_uses_with(same)
            operation.detach()
            operation.erase()


def _sample(operation: ConstOp) -> Hashable:
    flat = operation.array.reshape(-1)
    return operation.values.type, flat[: _SAMPLE_BYTES // flat.itemsize].tobytes()


def _key(operation: Operation) -> Hashable:
    return (
        type(operation),
        tuple(operation.operands),
        tuple(result.type for result in operation.results),
        frozenset(operation.properties.items()),
        frozenset(operation.attributes.items()),
    )
