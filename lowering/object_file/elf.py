"""Puts contents into the sections of a relocatable ELF object: LLVM leaves them as placeholders of a byte.

Format: System V ABI, ELF-64 Object File Format.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

_ALLOCATED, _EXECUTABLE = 0x2, 0x4
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")


@dataclass(frozen=True)
class Contents:
    """Read-only bytes at a multiple of `alignment`."""

    data: bytes
    alignment: int
    executable: bool


def fill_sections(data: bytes, contents: Mapping[str, Contents]) -> bytes:
    """The object `data` with the sections of the given names replaced. Every name must be that of one section."""
    result = bytearray(data)
    (table,) = struct.unpack_from("<Q", data, 40)
    entry_size, count, names_index = struct.unpack_from("<HHH", data, 58)
    (names,) = struct.unpack_from("<Q", data, table + names_index * entry_size + 24)
    missing = set(contents)
    for index in range(count):
        place = table + index * entry_size
        header = list(_SECTION_HEADER.unpack_from(data, place))
        start = names + header[0]
        name = data[start : data.index(b"\0", start)].decode()
        if name not in missing:
            continue
        missing.remove(name)
        given = contents[name]
        result.extend(bytes(-len(result) % given.alignment))
        flags = _ALLOCATED | (_EXECUTABLE if given.executable else 0)
        header[2], header[4], header[5], header[8] = flags, len(result), len(given.data), given.alignment
        _SECTION_HEADER.pack_into(result, place, *header)
        result.extend(given.data)
    assert not missing, f"no section {', '.join(missing)}"
    return bytes(result)
