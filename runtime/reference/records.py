"""Operations as plain values: what the compiler's IR becomes to be evaluated, and what an artifact holds of it.

A value is a number, unique in its function with all nested blocks. Names and operands are those of MLIR; attributes
are what `schema` says, in Python's numbers, strings and lists. An affine map is `[dims, results]`, an expression an
integer, `["d", position]`, or `[operator, left, right]` with "+", "*", "mod", "floordiv" or "ceildiv".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np

from ..artifact import numpy_dtype

_FLOATS = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}


@cache
def width_of(element: str) -> int:
    """The bits of an integer type, 64 for index; 0 for floats."""
    return 64 if element == "index" else int(element[1:]) if element[0] == "i" else 0


@cache
def dtype_of(element: str) -> np.dtype[Any]:
    """The dtype that holds one element; i4 is held in int8, i48 in int64, i1 in bool.

    Raises DeviceError for bf16 where the package ml_dtypes is not installed.
    """
    if element in _FLOATS:
        return numpy_dtype(_FLOATS[element])
    width = width_of(element)
    return np.dtype(np.bool_) if width == 1 else np.dtype(f"int{next(s for s in (8, 16, 32, 64) if s >= width)}")


@dataclass(frozen=True)
class ValueType:
    """A tensor, or with `shape` None a scalar. `element` is spelled as in MLIR; an unknown size is None."""

    element: str
    shape: tuple[int | None, ...] | None

    @property
    def dtype(self) -> np.dtype[Any]:
        return dtype_of(self.element)


@dataclass(eq=False)
class Operation:
    """One operation. `types` are those of `results`."""

    name: str
    operands: Sequence[int]
    results: Sequence[int]
    types: Sequence[ValueType]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    blocks: Sequence[Block] = ()


@dataclass(eq=False)
class Block:
    """Operations in order; the last one's operands are what the block yields."""

    arguments: Sequence[int]
    operations: Sequence[Operation]

    @property
    def yielded(self) -> Sequence[int]:
        return self.operations[-1].operands

    @cached_property
    def uses(self) -> dict[int, int]:
        """How often this block's own operations read a value."""
        uses: dict[int, int] = {}
        for operation in self.operations:
            for operand in operation.operands:
                uses[operand] = uses.get(operand, 0) + 1
        return uses

    @cached_property
    def maker(self) -> dict[int, Operation]:
        """The operation of this block that makes a value."""
        return {result: operation for operation in self.operations for result in operation.results}

    @cached_property
    def last_uses(self) -> list[tuple[int, ...]]:
        """For each operation the values of this block that nothing reads any more behind it: tensors are big."""
        last: dict[int, int] = dict.fromkeys(self.arguments, -1)
        for position, operation in enumerate(self.operations):
            last.update(dict.fromkeys(operation.results, position))
            for value in used_by(operation):
                if value in last:
                    last[value] = position
        dead: list[list[int]] = [[] for _ in self.operations]
        for value, position in last.items():
            if position >= 0:
                dead[position].append(value)
        return [tuple(values) for values in dead]


def used_by(operation: Operation) -> list[int]:
    """The operands of `operation` and of all operations inside it."""
    values = list(operation.operands)
    for block in operation.blocks:
        for inner in block.operations:
            values += used_by(inner)
    return values
