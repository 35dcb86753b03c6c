"""Proves that a FlatBuffer can be read without leaving it: every offset, length, vtable and vector, table-driven.

The accessors of the `tflite` package trust the bytes they are given. After `verify` has passed, whatever they follow
from fields that `schema.TABLES` lists lies inside the file. What the values mean is checked in `reader.py`.

Source of the format: https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import re
import struct

from .errors import FieldError
from .schema import TABLES, Field, Kind, union_member

FILE_IDENTIFIER = b"TFL3"

# A table may be shared by any number of offsets, so a small file can describe a huge graph. Real models have fewer than
# a hundred thousand tables.
_MAX_VISITS = 5_000_000

_U16 = struct.Struct("<H")
_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")


class Verifier:
    """Verifies one buffer; `locate` then tells where a field is stored."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._size = len(data)
        self._seen: set[tuple[str, int]] = set()
        self._visits = 0

    def verify(self) -> None:
        """Raises FieldError on the first field that points outside of the file or overlaps its end."""
        if self._size == 0:
            raise FieldError("", "the file is empty")
        if self._size < 8 or bytes(self._data[4:8]) != FILE_IDENTIFIER:
            raise FieldError("", f"not a TFLite model: expected the identifier {FILE_IDENTIFIER.decode()}", 4)
        self._table("Model", self._follow(0, ""), "")

    def locate(self, path: str) -> int | None:
        """The byte position where the field called `path` is stored, or None where the file leaves it out.

        Understands paths of table fields and indices, such as `subgraphs[0].tensors[3].shape[1]`.
        """
        table, position = "Model", _U32.unpack_from(self._data, 0)[0]
        for name, index in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
            field = TABLES[table].get(name)
            stored = field and self._stored(position, field)
            if field is None or stored is None:
                return None
            if index:
                start = stored + _U32.unpack_from(self._data, stored)[0] + 4
                stored = start + int(index) * field.size
            position = stored
            if field.kind in (Kind.TABLE, Kind.TABLES) and (index or field.kind is Kind.TABLE):
                table, position = field.element, stored + _U32.unpack_from(self._data, stored)[0]
        return position

    def _stored(self, table: int, field: Field) -> int | None:
        """Where `field` of the verified table at `table` is stored inline."""
        vtable = table - _I32.unpack_from(self._data, table)[0]
        if field.slot + 2 > _U16.unpack_from(self._data, vtable)[0]:
            return None
        offset = _U16.unpack_from(self._data, vtable + field.slot)[0]
        return table + offset if offset else None

    def _table(self, name: str, position: int, path: str) -> None:
        self._visits += 1
        if self._visits > _MAX_VISITS:
            raise FieldError(path, "the file refers to its tables too many times to be a model", position)
        if (name, position) in self._seen:
            return
        self._seen.add((name, position))
        self._need(position, 4, path, "a table")
        vtable = position - _I32.unpack_from(self._data, position)[0]
        if vtable < 0:
            raise FieldError(path, f"its vtable lies before the file, at {vtable}", position)
        self._need(vtable, 4, path, "a vtable")
        vtable_bytes, table_bytes = _U16.unpack_from(self._data, vtable)[0], _U16.unpack_from(self._data, vtable + 2)[0]
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise FieldError(path, f"a vtable of {vtable_bytes} bytes for a table of {table_bytes}", vtable)
        self._need(vtable, vtable_bytes, path, "a vtable")
        self._need(position, table_bytes, path, "a table")
        for field in TABLES[name].values():
            if field.slot + 2 > vtable_bytes:
                break
            offset = _U16.unpack_from(self._data, vtable + field.slot)[0]
            if offset == 0:
                continue
            where = f"{path}.{field.name}" if path else field.name
            inline_bytes = field.size if field.kind is Kind.SCALAR else 4
            if offset < 4 or offset + inline_bytes > table_bytes:
                raise FieldError(where, f"stored outside of its table of {table_bytes} bytes", position + offset)
            if field.kind is Kind.UNION:
                self._union(field, position, vtable, position + offset, where)
            elif field.kind not in (Kind.SCALAR, Kind.UNREAD):
                self._reference(field, position + offset, where)

    def _union(self, field: Field, position: int, vtable: int, stored: int, path: str) -> None:
        """Follows a union whose tag, the field before it, has been verified."""
        tag = _U16.unpack_from(self._data, vtable + field.slot - 2)[0]
        member = union_member(field.element, self._data[position + tag]) if tag else None
        if member is not None:
            self._table(member, self._follow(stored, path), path)

    def _reference(self, field: Field, stored: int, path: str) -> None:
        target = self._follow(stored, path)
        if field.kind is Kind.TABLE:
            self._table(field.element, target, path)
            return
        self._need(target, 4, path, "a vector")
        length = _U32.unpack_from(self._data, target)[0]
        self._need(target + 4, length * (1 if field.kind is Kind.STRING else field.size), path, f"{length} elements")
        if field.kind is Kind.TABLES:
            for index in range(length):
                element = target + 4 + 4 * index
                self._table(field.element, self._follow(element, path), f"{path}[{index}]")

    def _follow(self, stored: int, path: str) -> int:
        """The target of the offset stored at `stored`, which has been checked to lie in the file."""
        target = stored + _U32.unpack_from(self._data, stored)[0]
        if target == stored or target + 4 > self._size:
            raise FieldError(path, f"points to byte {target} of a file of {self._size} bytes", stored)
        return target

    def _need(self, position: int, count: int, path: str, what: str) -> None:
        if position + count > self._size:
            raise FieldError(path, f"{what} of {count} bytes reaches past the end of the file ({self._size})", position)
