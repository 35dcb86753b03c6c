"""Element-wise work that reads an operand across its result, a transpose: tiles turned in shared memory.

Read as the result is written, neighbouring threads would read elements a row apart, a sector of 32 bytes for each: of
f32 eight times the bytes, of i8 32 times. So a block takes a square of the result. First it reads the operand's square
as that lies in memory, a warp 32 neighbours, and leaves it in shared memory; then it computes the result's rows, a warp
32 neighbours again. Rows in shared memory are a 32-bit word longer than a square's, so that a warp that reads a column
meets every bank once. What is moved is then the floor: each element read and written once, in whole sectors.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..access import Access, Tensor
from ..arithmetic import i64
from ..extent import emit_extent, product
from ..kernel import Grid, KernelContext
from ..lanes import Compute, Lanes
from ..nest import Nest
from ..types import Value, byte_size
from .block import SharedMemory, barrier, block_tiles, thread_index
from .outer_product import ceil_div
from .predicated import under
from .sliding import split_index

_SIDE = 32
"""Of a square, in elements: a warp's lanes, and a sector of the narrowest ones."""

_ROWS = 4
"""Rows of a square that a block has in hands at once."""

THREADS = _SIDE * _ROWS
"""Of a block, as of all element-wise work."""

_LEAST = 8
"""Iterations below which a loop is no side of a square: too few of its neighbours would be there."""


def across_loop(nest: Nest, inputs: int) -> int | None:
    """The loop along which an operand lies contiguous in memory, where it does not along the innermost loop and all
    results do; None where that is not so, or loops are short."""
    if len(nest.sizes) < 2 or any(access.strides[-1] != 1 or access.quasi for access in nest.accesses[inputs:]):
        return None
    last = len(nest.sizes) - 1
    for access in nest.accesses[:inputs]:
        if is_turned(access) and _is_long(nest, last) and _is_long(nest, access.strides.index(1)):
            return access.strides.index(1)
    return None


def is_turned(access: Access) -> bool:
    """Whether it is contiguous along another loop than the innermost, which it does walk."""
    return (
        access.tensor.fill is None and not access.quasi and access.strides[-1] not in (-1, 0, 1) and 1 in access.strides
    )


def _is_long(nest: Nest, loop: int) -> bool:
    size = nest.sizes[loop]
    return not isinstance(size, int) or size >= _LEAST


def emit_turned(context: KernelContext, nest: Nest, inputs: int, compute: Compute, across: int) -> Grid:
    """Runs `compute` over all iterations, in squares of the loops `across` and the innermost one; the grid is what
    that needs."""
    f, last = context.f, len(nest.sizes) - 1
    reads, writes = nest.accesses[:inputs], nest.accesses[inputs:]
    memory = SharedMemory()
    turned = {
        number: memory.allocate(_SIDE * _pitch(access))
        for number, access in enumerate(reads)
        if is_turned(access) and access.strides[across] == 1
    }
    counts = [ceil_div(f, size, _SIDE) if loop in (across, last) else size for loop, size in enumerate(nest.sizes)]
    total = product(counts)
    height, width = (emit_extent(f, nest.sizes[loop]) for loop in (across, last))
    thread = thread_index(f)
    column, first = f.urem(thread, i64(_SIDE)), f.udiv(thread, i64(_SIDE))
    with block_tiles(f, total) as loop:
        corner = split_index(f, loop.index, counts)
        top, left = (f.mul(corner[each], i64(_SIDE)) for each in (across, last))

        def at(row: Value, place: Value) -> list[Value]:
            indices = list(corner)
            indices[across], indices[last] = row, place
            return indices

        barrier(f)  # what the square before left has been read
        for step in range(0, _SIDE, _ROWS):
            line = f.add(first, i64(step))
            row, place = f.add(top, column), f.add(left, line)
            there = f.and_(f.icmp("slt", row, height), f.icmp("slt", place, width))
            with under(f, there):
                for number, buffer in turned.items():
                    value = reads[number].load(f, at(row, place), None, 1)
                    _square(reads[number], buffer).store(f, value, [line, column], None, 1)
        barrier(f)
        for step in range(0, _SIDE, _ROWS):
            line = f.add(first, i64(step))
            row, place = f.add(top, line), f.add(left, column)
            there = f.and_(f.icmp("slt", row, height), f.icmp("slt", place, width))
            with under(f, there):
                indices = at(row, place)
                values = [
                    _square(access, turned[number]).load(f, [column, line], None, 1)
                    if number in turned
                    else access.load(f, indices, None, 1)
                    for number, access in enumerate(reads)
                ]
                _store(context, writes, compute(Lanes(indices, last, 1), values), indices)
    return Grid(THREADS, total if isinstance(total, int) else 0, memory.bytes)


def _store(context: KernelContext, writes: Sequence[Access], results: Sequence[Value], indices: list[Value]) -> None:
    for access, result in zip(writes, results, strict=True):
        access.store(context.f, result, indices, None, 1)


def _pitch(access: Access) -> int:
    """Bytes from a row of a square to the next: those of its elements and a word of 32 bits, or one element."""
    size = byte_size(access.tensor.element)
    return _SIDE * size + max(size, 4)


def _square(access: Access, buffer: Value) -> Access:
    """The square at `buffer`, by row and column."""
    size = byte_size(access.tensor.element)
    return Access(Tensor(buffer, (), access.tensor.element), (_pitch(access) // size, 1), 0)
