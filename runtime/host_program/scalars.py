"""Scalars of host programs: numpy arrays without dimensions, whose meaning is that of `tosaic.runtime.reference`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..device import Array
from ..reference.evaluator import Scope, evaluate_operation
from ..reference.records import Operation, ValueType, dtype_of
from .instructions import Scalar

_SCOPE = Scope()


def number(type: str, value: int) -> Array:
    """A scalar from an integer's value or a float's bits."""
    dtype = dtype_of(type)
    if dtype.kind == "b":
        return np.asarray(bool(value & 1))
    return np.asarray(value, np.int64).reshape(1).view(dtype)[0:1].reshape(()).copy()


def scalar_function(instruction: Scalar) -> Callable[[Sequence[Array]], Array]:
    """What an instruction computes."""
    attributes = {"predicate": instruction.predicate, "element": instruction.of}
    operation = Operation(instruction.name, (), (), (ValueType(instruction.type, None),), attributes)

    def compute(operands: Sequence[Array]) -> Array:
        (result,) = evaluate_operation(operation, operands, _SCOPE)
        return result

    return compute
