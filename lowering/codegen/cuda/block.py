"""What threads of a block say and do: who they are, shared memory, barriers, shuffles within a warp.

The words are CUDA's. Indices are i64, as everywhere in kernels; the hardware's registers are 32 bits wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import gcd

from ..arithmetic import i64
from ..emit import Function, Loop
from ..extent import Extent, emit_extent
from ..types import I32, PTR, Value, bits_of, vector_type

WARP = 32
"""Lanes of a warp."""

SHARED = "@shared"
"""The dynamic shared memory of a block, which `ptx.assemble_ptx` declares."""

SHARED_ALIGNMENT = 1024
"""Bytes: what the swizzled tiles of the tensor memory accelerator need."""

_ALL_LANES = Value(I32, "-1", -1)


class SharedMemory:
    """Gives out parts of the dynamic shared memory; `bytes` is what the launch has to ask for."""

    def __init__(self) -> None:
        self.bytes = 0

    def allocate(self, size: int, align: int = 16) -> Value:
        """The generic address of `size` bytes. LLVM sees through it which space that is."""
        begin = -(-self.bytes // align) * align
        self.bytes = begin + size
        base = f"addrspacecast (ptr addrspace(3) {SHARED} to ptr)"
        address = base if begin == 0 else f"getelementptr (i8, ptr {base}, i64 {begin})"
        return Value(PTR, address, multiple=gcd(begin, SHARED_ALIGNMENT))


def thread_index(f: Function) -> Value:
    """Of this thread in its block."""
    return _special(f, "tid.x")


def block_index(f: Function) -> Value:
    """Of this block in the grid."""
    return _special(f, "ctaid.x")


def grid_blocks(f: Function) -> Value:
    """How many blocks the grid has."""
    return _special(f, "nctaid.x")


def lane_index(f: Function) -> Value:
    """Of this thread in its warp."""
    return _special(f, "laneid")


def _special(f: Function, name: str) -> Value:
    return f.cast("zext", f.call(I32, f"llvm.nvvm.read.ptx.sreg.{name}", []), "i64")


def barrier(f: Function) -> None:
    """Waits for all threads of the block; what they wrote to memory before can be read after."""
    f.line("call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)")


def synchronise_warp(f: Function) -> None:
    """Waits for all threads of the warp; what they wrote to memory before can be read after."""
    f.line("call void @llvm.nvvm.bar.warp.sync(i32 -1)")


@contextmanager
def block_tiles(f: Function, total: Extent) -> Iterator[Loop]:
    """for index in range(this block, total, blocks): the tiles of a kernel, right for any number of blocks."""
    with f.loop(block_index(f), emit_extent(f, total), grid_blocks(f)) as loop:
        yield loop


@contextmanager
def grid_threads(f: Function, total: Extent, threads: int) -> Iterator[Loop]:
    """for index in range(total), over all threads of all blocks of `threads`: work of which each does its own."""
    first = f.add(f.mul(block_index(f), i64(threads)), thread_index(f))
    with f.loop(first, emit_extent(f, total), f.mul(grid_blocks(f), i64(threads))) as loop:
        yield loop


@contextmanager
def block_threads(f: Function, total: Extent, threads: int) -> Iterator[Loop]:
    """for index in range(this thread, total, threads): work that the threads of a block share, neighbours next to
    each other."""
    with f.loop(thread_index(f), emit_extent(f, total), i64(threads)) as loop:
        yield loop


def shuffle_xor(f: Function, value: Value, mask: int) -> Value:
    """The scalar that the lane whose index differs in the bits of `mask` holds; the whole warp takes part.

    The hardware moves 32 bits: narrower values travel in as many, wider ones in two steps."""
    width = bits_of(value.type)
    bits = f.bitcast(value, f"i{width}")
    if width <= 32:
        wide = bits if width == 32 else f.cast("zext", bits, I32)
        moved = _shuffle_word(f, wide, mask)
        return f.bitcast(moved if width == 32 else f.cast("trunc", moved, f"i{width}"), value.type)
    halves = f.bitcast(bits, vector_type(I32, 2))
    for half in range(2):
        halves = f.insert(halves, _shuffle_word(f, f.extract(halves, half), mask), half)
    return f.bitcast(halves, value.type)


def _shuffle_word(f: Function, word: Value, mask: int) -> Value:
    arguments = [_ALL_LANES, word, f.const(I32, mask), f.const(I32, WARP - 1)]
    return f.call(I32, "llvm.nvvm.shfl.sync.bfly.i32", arguments)
