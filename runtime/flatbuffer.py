"""Dataclasses to and from FlatBuffers, with every offset and length of a read buffer checked before use.

A dataclass is a table whose slots are its fields in order. Fields are `int` (int64), `str`, `bytes` ([ubyte]), another
dataclass (a table), or a tuple of any length of `int`, `str`, a table or a struct. A struct is a dataclass that names
its inline form in `STRUCT`, a struct.Struct, and converts with `to_struct()` and `from_struct(*values)`.

The format is that of https://flatbuffers.dev/internals: little endian, a table begins with the signed distance back
to its vtable, which holds the byte offset of each field within the table, 0 for an absent one.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import flatbuffers

from .errors import MalformedFileError

Record = TypeVar("Record")

_SIZE_PREFIX = 4
_IDENTIFIER = slice(8, 12)
_INT16 = struct.Struct("<H")
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_INT64 = struct.Struct("<q")


@functools.cache
def fields_of(record: type) -> tuple[tuple[str, Any, Any], ...]:
    """(name, kind, element) per field, where kind is int, str, bytes, tuple or a dataclass; element is for tuples."""
    hints = typing.get_type_hints(record)
    result = []
    for item in dataclasses.fields(record):
        hint = hints[item.name]
        if typing.get_origin(hint) is tuple:
            result.append((item.name, tuple, typing.get_args(hint)[0]))
        else:
            result.append((item.name, hint, None))
    return tuple(result)


def encode(record: Any, identifier: bytes) -> bytes:
    """A size-prefixed FlatBuffer with `record` as its root table."""
    builder = flatbuffers.Builder(1 << 16)
    builder.FinishSizePrefixed(_encode_table(builder, record), file_identifier=identifier)
    return bytes(builder.Output())


def _encode_table(builder: flatbuffers.Builder, record: Any) -> int:
    fields = fields_of(type(record))
    values = [
        getattr(record, name) if kind is int else _encode_child(builder, getattr(record, name), kind, element)
        for name, kind, element in fields
    ]
    builder.StartObject(len(fields))
    for slot, ((_, kind, _), value) in enumerate(zip(fields, values, strict=True)):
        if kind is int:
            builder.PrependInt64Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _encode_child(builder: flatbuffers.Builder, value: Any, kind: Any, element: Any) -> int:
    if kind is str:
        return builder.CreateString(value)
    if kind is bytes:
        return builder.CreateByteVector(value)
    if kind is not tuple:
        return _encode_table(builder, value)
    if element is int:
        return _encode_inline(builder, struct.pack(f"<{len(value)}q", *value), 8)
    if hasattr(element, "STRUCT"):
        form = element.STRUCT
        return _encode_inline(builder, b"".join(form.pack(*v.to_struct()) for v in value), form.size)
    offsets = [builder.CreateString(v) if element is str else _encode_table(builder, v) for v in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _encode_inline(builder: flatbuffers.Builder, data: bytes, element_size: int) -> int:
    """A vector of 8-byte aligned elements, copied at once as Builder.CreateByteVector does for single bytes."""
    builder.StartVector(element_size, len(data) // element_size, 8)
    end = builder.Head()
    builder.head = end - len(data)
    builder.Bytes[builder.head : end] = data
    return builder.EndVector()


def table_size(buffer: memoryview) -> int:
    """Bytes that the size-prefixed FlatBuffer at the start of `buffer` says it has, prefix included, unchecked."""
    return _SIZE_PREFIX + _UINT32.unpack_from(buffer)[0]


def decode(buffer: memoryview, record: type[Record], identifier: bytes) -> Record:
    """Read the size-prefixed FlatBuffer that fills `buffer`. Fields beyond those of `record` are ignored.

    Raises MalformedFileError naming the field and the byte where it breaks the format.
    """
    if bytes(buffer[_IDENTIFIER]) != identifier:
        raise MalformedFileError(
            f"no {identifier.decode()} FlatBuffer: its identifier is {bytes(buffer[_IDENTIFIER])!r}"
        )
    return _Reader(buffer).table(_SIZE_PREFIX, record, "root")


class _Reader:
    """Decodes one buffer. Each element read counts against the buffer's size, so shared subtrees cannot blow up."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.budget = len(buffer)

    def table(self, reference: int, record: type[Record], path: str) -> Record:
        position = self.follow(reference, path)
        vtable = position - self.unpack(_INT32, position, path)
        vtable_size = self.unpack(_INT16, vtable, path)
        size = self.unpack(_INT16, vtable + 2, path)
        self.check(vtable, vtable_size, f"{path} (vtable)")
        self.check(position, size, path)
        values = []
        for slot, (name, kind, element) in enumerate(fields_of(record)):
            entry = 4 + 2 * slot
            offset = self.unpack(_INT16, vtable + entry, path) if entry + 2 <= vtable_size else 0
            field_path = f"{path}.{name}"
            if offset + (8 if kind is int else 4) > size:
                raise MalformedFileError(f"{field_path} lies outside of its table at byte {position}")
            if offset:
                values.append(self.value(position + offset, kind, element, field_path))
            elif kind is int:
                values.append(0)
            else:
                raise MalformedFileError(f"{field_path} is missing from the table at byte {position}")
        return record(*values)

    def value(self, position: int, kind: Any, element: Any, path: str) -> Any:
        if kind is int:
            return self.unpack(_INT64, position, path)
        if kind is str:
            return self.string(position, path)
        if kind is bytes:
            return bytes(self.vector(position, 1, path)[0])
        if kind is not tuple:
            return self.table(position, kind, path)
        if element is int:
            return tuple(value for (value,) in _INT64.iter_unpack(self.vector(position, 8, path)[0]))
        if hasattr(element, "STRUCT"):
            rows = element.STRUCT.iter_unpack(self.vector(position, element.STRUCT.size, path)[0])
            return tuple(self.convert(element.from_struct, row, path) for row in rows)
        data, start = self.vector(position, 4, path)
        positions = range(start, start + len(data), 4)
        if element is str:
            return tuple(self.string(p, f"{path}[{i}]") for i, p in enumerate(positions))
        return tuple(self.table(p, element, f"{path}[{i}]") for i, p in enumerate(positions))

    def string(self, reference: int, path: str) -> str:
        return self.convert(lambda data: str(data, "utf-8"), (self.vector(reference, 1, path)[0],), path)

    def vector(self, reference: int, element_size: int, path: str) -> tuple[memoryview, int]:
        """The bytes of the vector that the offset at `reference` leads to, and their position."""
        start = self.follow(reference, path)
        size = self.unpack(_UINT32, start, path) * element_size
        self.check(start + 4, size, path)
        self.budget -= size
        if self.budget < 0:
            raise MalformedFileError(f"{path} at byte {start} overlaps others: more elements than the table has bytes")
        return self.buffer[start + 4 : start + 4 + size], start + 4

    def follow(self, reference: int, path: str) -> int:
        return reference + self.unpack(_UINT32, reference, path)

    def unpack(self, form: struct.Struct, position: int, path: str) -> int:
        self.check(position, form.size, path)
        return form.unpack_from(self.buffer, position)[0]

    def check(self, position: int, size: int, path: str) -> None:
        if position < 0 or position + size > len(self.buffer):
            raise MalformedFileError(
                f"{path} at byte {position} reaches outside of the table's {len(self.buffer)} bytes"
            )

    def convert(self, function: Callable[..., Any], arguments: tuple[Any, ...], path: str) -> Any:
        try:
            return function(*arguments)
        except ValueError as error:
            raise MalformedFileError(f"{path} has a value that is not allowed: {error}") from None
