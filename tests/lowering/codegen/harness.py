"""Runs emitted code in the test process: assemble, link, map executable, call on numpy arrays between guard pages."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.image import link
from tosaic.lowering.target import Target, resolve_target

Array = np.ndarray[Any, Any]
PAGE = mmap.PAGESIZE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_READ, _WRITE, _EXECUTE = mmap.PROT_READ, mmap.PROT_WRITE, mmap.PROT_EXEC


class Mapping:
    """Anonymous pages, unmapped when dropped."""

    def __init__(self, size: int) -> None:
        self.size = -(-max(size, 1) // PAGE) * PAGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.address = _libc.mmap(None, self.size, _READ | _WRITE, flags, -1, 0)
        assert self.address not in (None, ctypes.c_void_p(-1).value), "mmap failed"

    def protect(self, offset: int, size: int, protection: int) -> None:
        assert _libc.mprotect(self.address + offset, size, protection) == 0, "mprotect failed"

    def __del__(self) -> None:
        _libc.munmap(self.address, self.size)


class Guarded:
    """A writable array with an unreadable page before and after: any access outside of it kills the process.

    With `at_end` the last byte lies against the guard behind, else the first byte against the guard before. `slack`
    readable bytes follow (the arena and the constants promise 64).
    """

    def __init__(self, array: Array, *, at_end: bool = True, slack: int = 0) -> None:
        size = array.nbytes + slack
        pages = -(-max(size, 1) // PAGE) * PAGE
        self._mapping = Mapping(pages + 2 * PAGE)
        offset = PAGE + (pages - size if at_end else 0)
        self.address = self._mapping.address + offset
        raw = (ctypes.c_uint8 * array.nbytes).from_address(self.address)
        self.array = np.ctypeslib.as_array(raw).view(array.dtype).reshape(array.shape)
        self.array[...] = array
        self._mapping.protect(0, PAGE, 0)
        self._mapping.protect(PAGE + pages, PAGE, 0)


class Code:
    """Linked machine code, mapped executable."""

    def __init__(self, *texts: str, target: Target) -> None:
        linked = link([assemble(text, target) for text in texts])
        self.symbols = linked.symbols
        self._mapping = Mapping(len(linked.code))
        ctypes.memmove(self._mapping.address, linked.code, len(linked.code))
        self._mapping.protect(0, self._mapping.size, _READ | _EXECUTE)

    def address(self, name: str) -> int:
        return self._mapping.address + self.symbols[name]

    def call(self, name: str, *arguments: int) -> None:
        """Calls a function of pointers and 64-bit integers."""
        ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(arguments))(self.address(name))(*arguments)


@cache
def targets() -> list[Target]:
    """This machine and every psABI level that it can execute."""
    levels = [resolve_target(name) for name in ("host", "x86-64-v2", "x86-64-v3", "x86-64-v4")]
    return [level for level in levels if set(levels[0].features).issuperset(level.features)]


def run_kernel(
    code: Code,
    name: str,
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    *,
    threads: int = 1,
    scratch_bytes: int = 0,
    at_end: bool = True,
    slack: int = 0,
    scalars: Sequence[int] = (),
) -> list[Array]:
    """Runs a kernel's threads one after the other, last first; every buffer is exact in size and guarded.

    Inputs may end `slack` bytes before their guard, to begin anywhere. `outputs` give shapes, dtypes and the bytes
    found there before; `scalars` are as `Kernel` says.
    """
    buffers = [Guarded(array, at_end=at_end, slack=slack) for array in inputs]
    buffers += [Guarded(array, at_end=at_end) for array in outputs]
    for thread in reversed(range(threads)):
        scratch = Guarded(np.full(-(-max(scratch_bytes, 64) // 64) * 64, 0xA5, np.uint8))
        code.call(name, *[buffer.address for buffer in buffers], *scalars, scratch.address, thread, threads)
    for given, buffer in zip(inputs, buffers, strict=False):
        assert given.tobytes() == buffer.array.tobytes(), "a kernel changed its input"
    return [buffer.array.copy() for buffer in buffers[len(inputs) :]]
