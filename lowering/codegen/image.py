"""Links relocatable ELF objects into one block of position-independent code with nothing left to resolve.

The block holds instructions and read-only data and is mapped as it is, read and execute, at a page boundary. Only
PC-relative relocations can occur in it; anything that would need a loader (an absolute address, writable data, a
symbol from elsewhere) is an error here, at compile time. Format: System V ABI, ELF-64 Object File Format.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .relocations import PAIRED, RELOCATIONS

_ALLOCATED, _WRITABLE = 0x2, 0x1
_SECTION_RELA, _SECTION_NOBITS, _SECTION_SYMTAB = 4, 8, 2
_UNDEFINED = 0
_GLOBAL_OR_WEAK = (1, 2)
_FUNCTION = 2

_PAGE = 4096


class LinkError(Exception):
    """Object code that cannot stand alone; the text names the symbol or relocation. A bug of code generation."""


@dataclass(frozen=True)
class LinkedCode:
    """`code` is position-independent; `symbols` maps function names to offsets in it."""

    code: bytes
    symbols: dict[str, int]


@dataclass(frozen=True)
class _Section:
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


@dataclass(frozen=True)
class _Symbol:
    name: str
    kind: int
    is_global: bool
    section: int
    value: int


class _Object:
    """The sections and symbols of one ELF object."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        if data[:6] != b"\x7fELF\x02\x01":
            raise LinkError("not a little-endian 64-bit ELF object")
        (self.machine,) = struct.unpack_from("<H", data, 18)
        if self.machine not in RELOCATIONS:
            raise LinkError(f"relocations of ELF machine {self.machine} are not known")
        (table,) = struct.unpack_from("<Q", data, 40)
        entry_size, count, names_index = struct.unpack_from("<HHH", data, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * entry_size) for i in range(count)]
        names = headers[names_index][4]
        self.sections = [
            _Section(self._string(names + h[0]), h[1], h[2], h[4], h[5], h[6], h[7], max(h[8], 1)) for h in headers
        ]
        self.symbols = self._read_symbols()

    def _string(self, offset: int) -> str:
        return self.data[offset : self.data.index(b"\0", offset)].decode()

    def _read_symbols(self) -> list[_Symbol]:
        symbols = []
        for section in self.sections:
            if section.type == _SECTION_SYMTAB:
                strings = self.sections[section.link].offset
                for name, info, _, index, value, _ in struct.iter_unpack("<IBBHQQ", self.bytes_of(section)):
                    text = self._string(strings + name)
                    symbols.append(_Symbol(text, info & 15, info >> 4 in _GLOBAL_OR_WEAK, index, value))
        return symbols

    def bytes_of(self, section: _Section) -> bytes:
        return self.data[section.offset : section.offset + section.size]


def link(objects: Sequence[bytes]) -> LinkedCode:
    """Lays out the code and constants of all objects and resolves every reference among them. Raises LinkError."""
    parsed = [_Object(data) for data in objects]
    code = bytearray()
    placements: list[dict[int, int]] = []
    for part in parsed:
        placements.append(_place_sections(part, code))
    defined: dict[str, int] = {}
    for part, places in zip(parsed, placements, strict=True):
        for symbol in part.symbols:
            if symbol.section in places and (symbol.is_global or symbol.kind == _FUNCTION):
                if symbol.name in defined:
                    raise LinkError(f"{symbol.name} is defined twice")
                defined[symbol.name] = places[symbol.section] + symbol.value
    for part, places in zip(parsed, placements, strict=True):
        _relocate(part, places, defined, code)
    return LinkedCode(bytes(code), defined)


def _place_sections(part: _Object, code: bytearray) -> dict[int, int]:
    """Appends the sections that are needed at run time to `code`; returns section index -> offset."""
    places = {}
    for index, section in enumerate(part.sections):
        if not section.flags & _ALLOCATED or not section.size:
            continue
        if section.flags & _WRITABLE or section.type == _SECTION_NOBITS:
            raise LinkError(f"section {section.name} is writable: an image holds code and constants only")
        # A page is as much alignment as the mapping can promise.
        code.extend(bytes(-len(code) % min(max(section.alignment, 64), _PAGE)))
        places[index] = len(code)
        code.extend(part.bytes_of(section))
    return places


def _relocate(part: _Object, places: dict[int, int], defined: dict[str, int], code: bytearray) -> None:
    known, paired = RELOCATIONS[part.machine], PAIRED.get(part.machine, ())
    for section in part.sections:
        if section.type != _SECTION_RELA or section.info not in places:
            continue
        base = places[section.info]
        distances: dict[int, int] = {}
        entries = [
            (base + offset, part.symbols[info >> 32], info & 0xFFFFFFFF, addend)
            for offset, info, addend in struct.iter_unpack("<QQq", part.bytes_of(section))
        ]
        for position, symbol, kind, addend in entries:
            if kind not in known:
                where = f"{symbol.name or part.sections[symbol.section].name}, in {section.name}"
                raise LinkError(f"relocation type {kind} against {where} is not relative to the code")
            if kind not in paired:
                value = _address(symbol, places, defined) + addend
                distances[position] = value - position
                known[kind](code, position, value)
        for position, symbol, kind, _ in entries:
            if kind in paired:
                known[kind](code, position, distances[_address(symbol, places, defined)])


def _address(symbol: _Symbol, places: dict[int, int], defined: dict[str, int]) -> int:
    if symbol.section in places:
        return places[symbol.section] + symbol.value
    if symbol.section == _UNDEFINED and symbol.name in defined:
        return defined[symbol.name]
    raise LinkError(f"undefined symbol {symbol.name}: an image must be complete in itself")
