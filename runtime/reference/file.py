"""The code of the device `reference`: the segments of a program as JSON.

    {"version": 1, "segments": {NAME: {"scalars": [element...], "block": BLOCK}}}
    BLOCK = {"arguments": [VALUE...], "operations": [OPERATION...]}
    OPERATION = [name, [operand...], [result...], [[element, shape or null]...], {attribute: value}, [BLOCK...]]

`scalars` are the types of the last arguments of the segment's block, which a call's table holds; in front of them are
its tensors. Tensor constants say their `offset` in the artifact's constants. Reading proves the form of every
operation, and that each value is made before it is used, within a block or around it; what is left to go wrong is that
shapes do not fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import MalformedFileError
from .evaluator import TERMINATORS
from .records import Block, Operation, ValueType
from .schema import FORMS, is_element, is_integer, is_list_of, is_optional, is_size

VERSION = 1

_MOST_NESTED = 64
"""Blocks within blocks; the deepest that the compiler makes is a generic in a region in a segment."""


@dataclass(frozen=True)
class SegmentRecord:
    """A segment: `block` takes tensors, and then scalars of the element types `scalars`."""

    scalars: Sequence[str]
    block: Block


def write(segments: Mapping[str, SegmentRecord]) -> bytes:
    """The segments by name as they stand in an image."""
    written = {name: {"scalars": record.scalars, "block": _block(record.block)} for name, record in segments.items()}
    return json.dumps({"version": VERSION, "segments": written}, separators=(",", ":")).encode()


def _block(block: Block) -> dict[str, Any]:
    return {"arguments": list(block.arguments), "operations": [_operation(each) for each in block.operations]}


def _operation(operation: Operation) -> list[Any]:
    types = [[type.element, type.shape] for type in operation.types]
    blocks = [_block(block) for block in operation.blocks]
    return [operation.name, operation.operands, operation.results, types, operation.attributes, blocks]


def read(code: bytes | bytearray | memoryview) -> dict[str, SegmentRecord]:
    """The segments by name. Raises MalformedFileError saying what is wrong and where."""
    try:
        return _segments(json.loads(bytes(code)))
    except (ValueError, RecursionError) as error:
        raise MalformedFileError(f"code of the reference device: {str(error) or type(error).__name__}") from None


def _segments(content: Any) -> dict[str, SegmentRecord]:
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise MalformedFileError(f"code of the reference device: not of version {VERSION}")
    segments = content.get("segments")
    if not isinstance(segments, dict):
        raise MalformedFileError("code of the reference device: has no segments")
    return {name: _Reader(name).segment(segment) for name, segment in segments.items()}


class _Reader:
    """Reads one segment; `place` says where in it, for errors."""

    def __init__(self, segment: str) -> None:
        self.place = f"segment {segment!r}"

    def fail(self, what: str) -> MalformedFileError:
        return MalformedFileError(f"code of the reference device: {self.place}: {what}")

    def segment(self, content: Any) -> SegmentRecord:
        if not isinstance(content, dict) or not _ELEMENTS(content.get("scalars")):
            raise self.fail("scalars must be element types")
        block = self.block(content.get("block"), set(), 0)
        if len(content["scalars"]) > len(block.arguments):
            raise self.fail("there are more scalars than arguments")
        return SegmentRecord(content["scalars"], block)

    def block(self, content: Any, known: set[int], depth: int) -> Block:
        if depth > _MOST_NESTED:
            raise self.fail("blocks are nested too deep")
        if not isinstance(content, dict) or not _VALUES(content.get("arguments")):
            raise self.fail("a block without arguments")
        operations = content.get("operations")
        if not isinstance(operations, list) or not operations:
            raise self.fail("a block without operations")
        known = known.copy()
        self._define(content["arguments"], known)
        records = [self.operation(each, known, depth) for each in operations]
        if [record.name in TERMINATORS for record in records] != [False] * (len(records) - 1) + [True]:
            raise self.fail("a block must end in its only terminator")
        return Block(content["arguments"], records)

    def operation(self, content: Any, known: set[int], depth: int) -> Operation:
        if not isinstance(content, list) or len(content) != 6:
            raise self.fail("an operation must have six parts")
        name, operands, results, types, attributes, blocks = content
        form = FORMS.get(name) if isinstance(name, str) else None
        if form is None and not (isinstance(name, str) and name in TERMINATORS):
            raise self.fail(f"unknown operation {name!r}")
        place, self.place = self.place, f"{self.place}, {name}"
        if not _VALUES(operands) or not known.issuperset(operands):
            raise self.fail("an operand is not defined")
        if not _VALUES(results) or not _TYPES(types) or len(types) != len(results):
            raise self.fail("results must be values with types")
        if not isinstance(attributes, dict) or not isinstance(blocks, list):
            raise self.fail("attributes must be an object, and blocks an array")
        if form is not None:
            least, most = form.operands
            if not least <= len(operands) <= most or not results:
                raise self.fail(f"wrong number of operands ({len(operands)}) or results")
            if attributes.keys() != form.attributes.keys() or len(blocks) != form.blocks:
                raise self.fail(f"must have the attributes {sorted(form.attributes)} and {form.blocks} blocks")
            for attribute, test in form.attributes.items():
                if not test(attributes[attribute]):
                    raise self.fail(f"attribute {attribute} cannot be {str(attributes[attribute])[:80]}")
        elif results or blocks:
            raise self.fail("a terminator has no results")
        isolated = name == "dispatch.region"
        inner = [self.block(each, set() if isolated else known, depth + 1) for each in blocks]
        self._define(results, known)
        self.place = place
        return Operation(name, operands, results, [_type(*type) for type in types], attributes, inner)

    def _define(self, values: list[int], known: set[int]) -> None:
        if len(set(values)) != len(values) or not known.isdisjoint(values):
            raise self.fail("a value is defined twice")
        known.update(values)


def _is_type(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and is_element(value[0]) and _SHAPE(value[1])


_ELEMENTS = is_list_of(is_element)
_VALUES = is_list_of(lambda value: is_integer(value) and value >= 0)
_SHAPE = is_optional(lambda value: is_list_of(is_optional(is_size))(value) and len(value) <= 32)
_TYPES = is_list_of(_is_type)


def _type(element: str, shape: list[int | None] | None) -> ValueType:
    return ValueType(element, None if shape is None else tuple(shape))
