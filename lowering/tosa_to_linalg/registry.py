"""Which function lowers which TOSA operator; the files of this package fill the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from xdsl.ir import Operation, SSAValue

from .builder import Builder

Lowering: TypeAlias = Callable[[Any, Builder], SSAValue | Sequence[SSAValue]]
"""(operator, where to build) -> the values that replace its results. Raises `CannotLower` with the reason."""

LOWERINGS: dict[type[Operation], Lowering] = {}

_L = TypeVar("_L", bound=Lowering)


def lowers(*operators: type[Operation]) -> Callable[[_L], _L]:
    """Registers the decorated function as the lowering of `operators`."""

    def register(lowering: _L) -> _L:
        LOWERINGS.update(dict.fromkeys(operators, lowering))
        return lowering

    return register
