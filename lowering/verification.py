"""Verification after every phase, at the price of what the phase changed."""

from __future__ import annotations

from typing import NamedTuple

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from .ir import CONTROL_FLOW, functions, operands_with_captures


class Verifier:
    """Verifies a module again and again while it is rewritten.

    Whether an operation is valid depends on what it says itself with the types of its operands, on what its regions
    hold, and for the last of a block on the operation around it. Where all of these are what they were when it was
    found valid, it is not verified again. Attributes, types among them, are immutable: to compare them is to compare
    references, mostly.
    """

    def __init__(self) -> None:
        self._seen: dict[Operation, tuple[_Itself, _Contents]] = {}

    def verify(self, module: ModuleOp) -> None:
        """Raise VerifyException unless every operation is valid and uses values only after they are defined."""
        before, self._seen = self._seen, {}
        self._verify(module, before, around=False)
        for function in functions(module):
            _verify_order(function.body.block, set())

    def _verify(self, op: Operation, before: dict[Operation, tuple[_Itself, _Contents]], around: bool) -> bool:
        """Whether `op` or something in it changed; `around` says whether the operation around it did itself."""
        now = _Itself.of(op), _contents(op)
        then = before.get(op)
        itself = then is None or then[0] != now[0]
        changed = itself or then is None or then[1] != now[1]
        for _, _, operations in now[1]:
            for inner in operations:
                changed |= self._verify(inner, before, itself)
        if changed or (around and now[0].is_last):
            _verify_blocks(op)
            op.verify(verify_nested_ops=False)
        self._seen[op] = now
        return changed


_Contents = tuple[tuple[Block, tuple[Attribute, ...], tuple[Operation, ...]], ...]
"""The blocks in the regions of an operation, the types of their arguments, and their operations."""


class _Itself(NamedTuple):
    """What the validity of an operation depends on, but for the operation around it and its regions."""

    around: Operation | None
    is_last: bool
    operands: tuple[SSAValue, ...]
    types: tuple[Attribute, ...]
    properties: dict[str, Attribute]
    attributes: dict[str, Attribute]

    @staticmethod
    def of(op: Operation) -> _Itself:
        types = (*op.operand_types, *op.result_types)
        is_last = op.next_op is None
        return _Itself(op.parent_op(), is_last, tuple(op.operands), types, dict(op.properties), dict(op.attributes))


def _contents(op: Operation) -> _Contents:
    return tuple((block, tuple(block.arg_types), tuple(block.ops)) for region in op.regions for block in region.blocks)


def _verify_blocks(op: Operation) -> None:
    """As `Block.verify`, but for the operations in it."""
    for region in op.regions:
        for block in region.blocks:
            if block.is_empty:
                block.verify()
            if block.parent is not region or any(inner.parent is not block for inner in block.ops):
                raise VerifyException(f"a block of {op.name}, or an operation in it, says that it is elsewhere")


def _verify_order(block: Block, around: set[SSAValue]) -> None:
    """Raise VerifyException where an operation uses a value, also in its regions, that no operation before defines.

    `around` are the values of the blocks around that are defined already.
    """
    defined = {*around, *block.args}
    for op in block.ops:
        for value in operands_with_captures(op):
            if value not in defined:
                raise VerifyException(f"{op.name} uses a value of type {value.type} before it is defined")
        if isinstance(op, CONTROL_FLOW):
            for region in op.regions:
                for inner in region.blocks:
                    _verify_order(inner, defined)
        defined.update(op.results)
