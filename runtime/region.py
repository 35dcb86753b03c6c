"""Memory for constants that the file does not hold byte for byte: pages of the file where it does, filled ones between.

An anonymous mapping as large as the constants; over those of its pages that plain extents fill, the file's own pages
are mapped, which costs neither a copy nor memory that other processes could not share. For that to be possible the
distance from an address to its byte's place in the file must be a multiple of a page: the constants are shifted so for
the first of the large extents, and who writes the file places the others alike (`congruent`).
"""

from __future__ import annotations

import ctypes
import mmap

from .artifact import SLACK
from .extents import PLAIN, Extent, places

PAGE = mmap.PAGESIZE

MAPPED = 1 << 17
"""Bytes: smaller plain extents are copied, in less time than mapping them and reading through the mapping takes."""

_MAP_FIXED = 0x10
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)


def shift_of(extents: tuple[Extent, ...]) -> int:
    """How many bytes behind a page's beginning the constants start, so that large extents can be mapped."""
    return next(((e.offset - begin) % PAGE for e, begin in places(extents) if _is_large(e)), 0)


def congruent(offset: int, begin: int, shift: int) -> int:
    """The first place from `offset` on for an extent of the constants from byte `begin` on that can then be mapped."""
    return offset + (begin + shift - offset) % PAGE


def _is_large(extent: Extent) -> bool:
    return extent.coding == PLAIN and extent.length >= MAPPED


def reserve(length: int, shift: int) -> memoryview:
    """Zeros for `length` bytes of constants, and SLACK behind. Raises OSError where memory is short."""
    mapping = mmap.mmap(-1, shift + length + SLACK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return memoryview(mapping)[shift : shift + length]


def place_plain(region: memoryview, begin: int, extent: Extent, data: memoryview, descriptor: int | None) -> None:
    """Fill `region` from byte `begin` on with a plain extent of the file `data`, mapping what pages of it can be."""
    first = last = begin
    if descriptor is not None and _is_large(extent):
        address = ctypes.addressof(ctypes.c_char.from_buffer(region, begin))
        if (address - extent.offset) % PAGE == 0:
            first, last = begin + -address % PAGE, begin + extent.length - (address + extent.length) % PAGE
            at, offset = address + first - begin, extent.offset + first - begin
            flags = mmap.MAP_PRIVATE | _MAP_FIXED
            if _LIBC.mmap(at, last - first, mmap.PROT_READ, flags, descriptor, offset) != at:
                first = last = begin
    for start, end in ((begin, first), (last, begin + extent.length)):
        region[start:end] = data[extent.offset + start - begin : extent.offset + end - begin]
