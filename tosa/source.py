"""Where in a file an operation was read from, for errors of any phase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from xdsl.dialects.builtin import ArrayAttr, CallSiteLoc, FileLineColLoc, FusedLoc, ModuleOp, NameLoc
from xdsl.ir import Attribute, Operation, OpResult


def source_of(operation: Operation) -> str | None:
    """Its "file:line:column", or that of what is nearest to it where a rewrite made it; None if nothing tells."""
    for near in _neighbours(operation):
        if (place := _place(near.location)) is not None:
            return place
    return None


def described(operation: Operation) -> str:
    """The name of `operation`, with its source in front where that is known: what errors call it."""
    source = source_of(operation)
    hint = next((result.name_hint for result in operation.results if result.name_hint), None)
    name = f"{operation.name} %{hint}" if hint else operation.name
    return f"{source}: {name}" if source else name


def _neighbours(operation: Operation) -> Iterator[Operation]:
    yield operation
    for result in operation.results:
        yield from (use.operation for use in result.uses)
    yield from (operand.op for operand in operation.operands if isinstance(operand, OpResult))
    around = operation.parent_op()
    while around is not None and not isinstance(around, ModuleOp):
        yield around
        around = around.parent_op()


def _place(location: Attribute) -> str | None:
    match location:
        case FileLineColLoc():
            return f"{location.filename.data}:{location.line.data}:{location.column.data}"
        case NameLoc():
            return _place(location.location)
        case CallSiteLoc():
            return _place(location.callee)
        case FusedLoc():
            return next(
                (place for inner in cast("ArrayAttr", location.locations) if (place := _place(inner)) is not None), None
            )
        case _:
            return None
