"""Dataclasses to and from FlatBuffers, with every offset and length of a read buffer checked before use.

A dataclass is a table whose slots are its fields in order. Fields are scalars (`int`, which is int64, or one of the
narrower types below), `str`, `bytes` ([ubyte]), `Blob` ([ubyte] aligned to 8, read without a copy), another dataclass
(a table), a `OneOf` (a union, which takes two slots), or a tuple of any length of scalars, `str`, tables or structs. A
struct is a dataclass that names its inline form in `STRUCT`, a struct.Struct, and converts with `to_struct()` and
`from_struct(*values)`. A field that has a default may be absent from a file.

The format is that of https://flatbuffers.dev/internals: little endian, a table begins with the signed distance back
to its vtable, which holds the byte offset of each field within the table, 0 for an absent one.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import sys
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from .errors import MalformedFileError
from .record import record

if TYPE_CHECKING:
    import flatbuffers

Record = TypeVar("Record")


@record
class Scalar:
    """A scalar of the FlatBuffer schema: its name in flatbuffers.Builder and its form in `struct`.

    In a vector, `absent` stands for None.
    """

    builder_name: str
    form: struct.Struct
    absent: int | None = None


@record
class OneOf:
    """A union: the record types that its tags name, tag 1 first. No member (tag 0) is None."""

    members: tuple[type, ...]


_INT64_SCALAR = Scalar("Int64", struct.Struct("<q"))
Int32 = Annotated[int, Scalar("Int32", struct.Struct("<i"))]
UInt32 = Annotated[int, Scalar("Uint32", struct.Struct("<I"))]
UInt64 = Annotated[int, Scalar("Uint64", struct.Struct("<Q"))]
Bool = Annotated[bool, Scalar("Bool", struct.Struct("<?"))]
Size = Annotated[int | None, Scalar("Int64", struct.Struct("<q"), absent=-1)]
"""An element of a vector that may be None."""
Blob = Annotated[memoryview, "force_align: 8"]

_SIZE_PREFIX = 4
_VTABLE = struct.Struct("<HH")
"""Bytes of the vtable, and of the table."""
_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")


@record
class Field:
    """A field of a record: `kind` is a Scalar, str, bytes, memoryview, tuple, a OneOf or a dataclass.

    `element` is the kind of a tuple's elements; `default` is dataclasses.MISSING where the field is required.
    """

    slot: int
    name: str
    kind: Any
    element: Any
    default: Any


@functools.cache
def fields_of(record: type) -> tuple[Field, ...]:
    """The fields of a record in the order of their slots."""
    result = []
    slot = 0
    for item in dataclasses.fields(record):
        hint = _hint(item.type, record.__module__)
        is_vector = typing.get_origin(hint) is tuple
        kind = tuple if is_vector else _kind_of(hint)
        element = _kind_of(typing.get_args(hint)[0]) if is_vector else None
        default = 0 if isinstance(kind, Scalar) and item.default is dataclasses.MISSING else item.default
        slot += isinstance(kind, OneOf)
        result.append(Field(slot, item.name, kind, element, default))
        slot += 1
    return tuple(result)


def prepare(record: type) -> None:
    """Find out now what `fields_of` tells of `record` and what is in it, which takes longer than to decode one."""
    for field in fields_of(record):
        kinds = field.kind.members if isinstance(field.kind, OneOf) else (field.kind, field.element)
        for kind in kinds:
            if dataclasses.is_dataclass(kind) and isinstance(kind, type) and not hasattr(kind, "STRUCT"):
                prepare(kind)


@functools.cache
def _hint(hint: Any, module: str) -> Any:
    """What an annotation of a class in `module` says. typing.get_type_hints takes ten times as long for all classes."""
    return eval(hint, vars(sys.modules[module])) if isinstance(hint, str) else hint


def _kind_of(hint: Any) -> Any:
    if typing.get_origin(hint) is not Annotated:
        return _INT64_SCALAR if hint is int else hint
    base, mark = typing.get_args(hint)
    return mark if isinstance(mark, Scalar | OneOf) else base


def encode(record: Any, identifier: bytes, size_prefixed: bool = True) -> bytes:
    """A FlatBuffer with `record` as its root table."""
    import flatbuffers  # Programs that only read do without.

    builder = flatbuffers.Builder(1 << 16)
    root = _encode_table(builder, record)
    if size_prefixed:
        builder.FinishSizePrefixed(root, file_identifier=identifier)
    else:
        builder.Finish(root, file_identifier=identifier)
    return bytes(builder.Output())


def _encode_table(builder: flatbuffers.Builder, record: Any) -> int:
    fields = fields_of(type(record))
    values = []
    for field in fields:
        value = getattr(record, field.name)
        inline = isinstance(field.kind, Scalar) or value is None
        kind = type(value) if isinstance(field.kind, OneOf) else field.kind
        values.append(value if inline else _encode_child(builder, value, kind, field.element))
    builder.StartObject(fields[-1].slot + 1 if fields else 0)
    for field, value in zip(fields, values, strict=True):
        if isinstance(field.kind, Scalar):
            getattr(builder, f"Prepend{field.kind.builder_name}Slot")(field.slot, value, field.default)
        elif value is not None:
            if isinstance(field.kind, OneOf):
                tag = field.kind.members.index(type(getattr(record, field.name))) + 1
                builder.PrependUint8Slot(field.slot - 1, tag, 0)
            builder.PrependUOffsetTRelativeSlot(field.slot, value, 0)
    # Builder shares vtables whose fields have the same offsets, though a vtable also holds the size of its table, which
    # depends on the width of the last field: readers that check bounds, as ours does, would refuse the wider table.
    builder.vtables.clear()
    return builder.EndObject()


def _encode_child(builder: flatbuffers.Builder, value: Any, kind: Any, element: Any) -> int:
    if kind is str:
        return builder.CreateString(value)
    if kind is bytes:
        return builder.CreateByteVector(value)
    if kind is memoryview:
        return _encode_inline(builder, value, 1)
    if kind is not tuple:
        return _encode_table(builder, value)
    if isinstance(element, Scalar):
        form = element.form
        numbers = (element.absent if number is None else number for number in value)
        return _encode_inline(builder, b"".join(map(form.pack, numbers)), form.size)
    if hasattr(element, "STRUCT"):
        form = element.STRUCT
        return _encode_inline(builder, b"".join(form.pack(*v.to_struct()) for v in value), form.size)
    offsets = [builder.CreateString(v) if element is str else _encode_table(builder, v) for v in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _encode_inline(builder: flatbuffers.Builder, data: bytes | memoryview, element_size: int) -> int:
    """A vector of 8-byte aligned elements, copied at once as Builder.CreateByteVector does for single bytes."""
    builder.StartVector(element_size, len(data) // element_size, 8)
    end = builder.Head()
    builder.head = end - len(data)
    builder.Bytes[builder.head : end] = data
    return builder.EndVector()


def table_size(buffer: memoryview) -> int:
    """Bytes that the size-prefixed FlatBuffer at the start of `buffer` says it has, prefix included, unchecked."""
    return _SIZE_PREFIX + _UINT32.unpack_from(buffer)[0]


def decode(buffer: memoryview, record: type[Record], identifier: bytes, size_prefixed: bool = True) -> Record:
    """Read the FlatBuffer that fills `buffer`. Fields beyond those of `record` are ignored.

    Raises MalformedFileError naming the field and the byte where it breaks the format.
    """
    root = _SIZE_PREFIX if size_prefixed else 0
    found = bytes(buffer[root + 4 : root + 8])
    if found != identifier:
        raise MalformedFileError(f"no {identifier.decode()} FlatBuffer: its identifier is {found!r}")
    return _Reader(buffer).table(root, record, "root")


_Path = tuple[Any, str | int] | str
"""Where in a buffer something stands: a field's name or an element's number, behind the path of what it is in."""


def _spell(path: _Path) -> str:
    if isinstance(path, str):
        return path
    inside, last = path
    return f"{_spell(inside)}[{last}]" if isinstance(last, int) else f"{_spell(inside)}.{last}"


@functools.cache
def _offsets(count: int) -> struct.Struct:
    """The offsets of so many fields in a vtable."""
    return struct.Struct(f"<{count}H")


class _Reader:
    """Decodes one buffer. Each element read counts against the buffer's size, so shared subtrees cannot blow up.

    Paths are spelled out only for an error: they would take as long as everything else.
    """

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.size = self.budget = len(buffer)

    def table(self, reference: int, record: type[Record], path: _Path) -> Record:
        position = self.follow(reference, path)
        vtable = position - self.unpack(_INT32, position, path)
        self.check(vtable, 4, path)
        vtable_size, size = _VTABLE.unpack_from(self.buffer, vtable)
        self.check(vtable, vtable_size, path)
        self.check(position, size, path)
        self.spend(4, position, path)
        count = max(vtable_size - 4, 0) // 2
        offsets = _offsets(count).unpack_from(self.buffer, vtable + 4)

        def stored(slot: int, width: int, name: str) -> int | None:
            offset = offsets[slot] if slot < count else 0
            if offset + width > size:
                raise MalformedFileError(f"{_spell((path, name))} lies outside of its table at byte {position}")
            return position + offset if offset else None

        values = []
        for field in fields_of(record):
            kind = field.kind
            where = stored(field.slot, kind.form.size if type(kind) is Scalar else 4, field.name)
            if type(kind) is OneOf:
                tag_at = stored(field.slot - 1, 1, field.name)
                tag = self.buffer[tag_at] if tag_at is not None else 0
                if tag > len(kind.members):
                    raise MalformedFileError(
                        f"{_spell((path, field.name))} at byte {tag_at} has the unknown type {tag}"
                    )
                kind = kind.members[tag - 1] if tag else None
            if where is not None and kind is not None:
                values.append(self.value(where, kind, field.element, (path, field.name)))
            elif field.default is not dataclasses.MISSING:
                values.append(field.default)
            else:
                raise MalformedFileError(f"{_spell((path, field.name))} is missing from the table at byte {position}")
        return record(*values)

    def value(self, position: int, kind: Any, element: Any, path: _Path) -> Any:
        if type(kind) is Scalar:
            return kind.form.unpack_from(self.buffer, position)[0]  # inside of the table, whose bounds were checked
        if kind is str:
            return self.string(position, path)
        if kind in (bytes, memoryview):
            data = self.vector(position, 1, path)[0]
            return bytes(data) if kind is bytes else data
        if kind is not tuple:
            return self.table(position, kind, path)
        if type(element) is Scalar:
            data = self.vector(position, element.form.size, path)[0]
            numbers = tuple(value for (value,) in element.form.iter_unpack(data))
            if element.absent is None:
                return numbers
            return tuple(None if value == element.absent else value for value in numbers)
        if hasattr(element, "STRUCT"):
            rows = element.STRUCT.iter_unpack(self.vector(position, element.STRUCT.size, path)[0])
            return tuple(self.convert(element.from_struct, row, path) for row in rows)
        data, start = self.vector(position, 4, path)
        numbers = range(len(data) // 4)
        if element is str:
            return tuple([self.string(start + 4 * number, (path, number)) for number in numbers])
        return tuple([self.table(start + 4 * number, element, (path, number)) for number in numbers])

    def string(self, reference: int, path: _Path) -> str:
        try:
            return str(self.vector(reference, 1, path)[0], "utf-8")
        except ValueError as error:
            raise MalformedFileError(f"{_spell(path)} has a value that is not allowed: {error}") from None

    def vector(self, reference: int, element_size: int, path: _Path) -> tuple[memoryview, int]:
        """The bytes of the vector that the offset at `reference` leads to, and their position."""
        start = self.follow(reference, path)
        size = self.unpack(_UINT32, start, path) * element_size
        self.check(start + 4, size, path)
        self.spend(size, start, path)
        return self.buffer[start + 4 : start + 4 + size], start + 4

    def spend(self, size: int, position: int, path: _Path) -> None:
        self.budget -= size
        if self.budget < 0:
            raise MalformedFileError(
                f"{_spell(path)} at byte {position} overlaps others: there is more to read than bytes"
            )

    def follow(self, reference: int, path: _Path) -> int:
        return reference + self.unpack(_UINT32, reference, path)

    def unpack(self, form: struct.Struct, position: int, path: _Path) -> int:
        self.check(position, form.size, path)
        return form.unpack_from(self.buffer, position)[0]

    def check(self, position: int, size: int, path: _Path) -> None:
        if position < 0 or position + size > self.size:
            raise MalformedFileError(
                f"{_spell(path)} at byte {position} reaches outside of the table's {self.size} bytes"
            )

    def convert(self, function: Callable[..., Any], arguments: tuple[Any, ...], path: _Path) -> Any:
        try:
            return function(*arguments)
        except ValueError as error:
            raise MalformedFileError(f"{_spell(path)} has a value that is not allowed: {error}") from None
