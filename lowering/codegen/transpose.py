"""Turning small square tiles: rows read along one loop become rows along another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .arithmetic import i64
from .emit import Function
from .types import Value, vector_type


def transpose_registers(f: Function, rows: Sequence[Value]) -> list[Value]:
    """N vectors of N lanes as a matrix, transposed in log2 N rounds of interleaving (N a power of two).

    Each round interleaves row i with row i + N / 2, which rotates the bits of the element index (row, lane) by one;
    after log2 N rounds row and lane have changed places.
    """
    count = len(rows)
    half = count // 2
    low = [lane // 2 + (count if lane % 2 else 0) for lane in range(count)]
    high = [half + lane for lane in low]
    current = list(rows)
    for _ in range(count.bit_length() - 1):
        pairs = [(current[i], current[i + half]) for i in range(half)]
        current = [f.shuffle(a, b, picks) for a, b in pairs for picks in (low, high)]
    return current


def turn_tile(
    f: Function,
    element: str,
    side: int,
    source: Callable[[Value, Value], Value],
    destination: Callable[[Value, Value], Value],
    rows: Value,
    columns: Value,
    full: tuple[int, int],
) -> None:
    """Copies the tile of `rows` x `columns` (at most `full`) elements so that rows of the destination are contiguous.

    `source(row, column)` and `destination(row, column)` are addresses; the source is contiguous along its row index,
    the destination along its column index. Whole tiles go in squares of `side`, the others by elements.
    """
    whole = f.and_(f.icmp("eq", rows, i64(full[0])), f.icmp("eq", columns, i64(full[1])))
    fast, slow, done = f.label("squares"), f.label("elements"), f.label("turned")
    f.branch_if(whole, fast, slow)
    f.place(fast)
    with f.loop(0, full[0], side) as row, f.loop(0, full[1], side) as column:
        type = vector_type(element, side)
        lines = [f.load(type, source(row.index, f.add(column.index, i64(i)))) for i in range(side)]
        for i, line in enumerate(transpose_registers(f, lines)):
            f.store(line, destination(f.add(row.index, i64(i)), column.index))
    f.branch(done)
    f.place(slow)
    with f.loop(0, rows) as row, f.loop(0, columns) as column:
        f.store(f.load(element, source(row.index, column.index)), destination(row.index, column.index))
    f.branch(done)
    f.place(done)
