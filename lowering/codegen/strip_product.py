"""One step of a strip: a few broadcast rows times some registers of columns, read where they lie in rows of k.

Where one instruction adds up k0 products (`vpdpbusd`, `pmaddwd`), k0 rows of the right side are interleaved in
registers. `vpdpbusd` multiplies unsigned by signed: the right side is made unsigned by adding 128.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..target import Target
from .emit import Function
from .extent import Extent
from .product import widen
from .types import I8, I16, I32, Value, bits_of, is_float, vector_type


@dataclass(frozen=True)
class StripProduct:
    """How one step multiplies: left[k0] broadcast times `vectors` registers of right columns.

    `panel` is the type that the left side is copied as; `instruction` multiplies and adds k0 products at once.
    """

    target: Target
    panel: str
    right: str
    accumulator: str
    k0: int
    vectors: int
    instruction: str | None = None

    @property
    def lanes(self) -> int:
        return self.target.vector_bits // bits_of(self.accumulator)

    @property
    def columns(self) -> int:
        """Columns of a strip."""
        return self.vectors * self.lanes

    @property
    def sums(self) -> str:
        return vector_type(self.accumulator, self.lanes)

    @property
    def right_bytes(self) -> int:
        """Bytes of one row of a strip."""
        return self.columns * bits_of(self.right) // 8

    @property
    def loaded_bytes(self) -> int:
        """Bytes of the right side that are loaded at once."""
        return self.right_bytes if self.offset else self.right_bytes // self.vectors

    @property
    def panel_step(self) -> int:
        """Bytes of a row of the panel that one step consumes."""
        return self.k0 * bits_of(self.panel) // 8

    @property
    def offset(self) -> bool:
        return self.instruction == "vpdpbusd"

    @staticmethod
    def of(target: Target, left: str, right: str, accumulator: str, rows: Extent, columns: Extent) -> StripProduct:
        """The fastest exact way that `target` has for these types."""
        if (left, right, accumulator) == (I8, I8, I32) and target.vnni:
            return StripProduct(target, I8, I8, I32, 4, 4, "vpdpbusd")
        lanes = target.vector_bits // bits_of(accumulator)
        vectors = 4 if target.vector_registers > 16 else 2
        if isinstance(columns, int):
            vectors = _vectors(target, lanes, rows, columns, vectors)
        if left == right and left in (I8, I16) and accumulator == I32 and target.architecture == "x86_64":
            return StripProduct(target, I16, right, I32, 2, vectors, "pmaddwd")
        return StripProduct(target, accumulator, right, accumulator, 1, vectors)

    def load_left(self, f: Function, pointer: Value) -> Value:
        """One step of a row of the panel in all lanes."""
        if self.instruction is None:
            return f.splat(f.load(self.panel, pointer), self.lanes)
        return f.bitcast(f.splat(f.load(I32, pointer), self.lanes), vector_type(self.panel, self.lanes * self.k0))

    def load_right(self, f: Function, rows: Sequence[Value]) -> list[Value]:
        """The k0 rows of one step, interleaved."""
        if self.instruction == "vpdpbusd":
            return self._quads(f, rows)
        step = self.lanes * bits_of(self.right) // 8
        type = vector_type(self.right, self.lanes)
        loaded = [[f.load(type, f.gep(row, j * step)) for row in rows] for j in range(self.vectors)]
        if self.instruction is None:
            return [widen(f, self.target, row, self.panel) for (row,) in loaded]
        pairs = [lane // 2 + self.lanes * (lane % 2) for lane in range(2 * self.lanes)]
        return [widen(f, self.target, f.shuffle(even, odd, pairs), self.panel) for even, odd in loaded]

    def _quads(self, f: Function, rows: Sequence[Value]) -> list[Value]:
        """Four rows interleaved within 128 bits: register q has, of every 16 columns, the q-th four."""
        size = self.target.vector_bits // 8
        type = vector_type(I8, size)
        flip = f.const(type, -128)
        a, b, c, d = (f.xor(f.load(type, row), flip) for row in rows)
        low, high = (_interleaved(size, 16, half) for half in (0, 1))
        words = vector_type(I16, size // 2)
        halves = []
        for picks in (low, high):
            halves.append([f.bitcast(f.shuffle(first, second, picks), words) for first, second in ((a, b), (c, d))])
        picks = [_interleaved(size // 2, 8, half) for half in (0, 1)]
        return [f.bitcast(f.shuffle(ab, cd, pick), type) for ab, cd in halves for pick in picks]

    def in_order(self, f: Function, sums: Sequence[Value]) -> list[Value]:
        """The registers of a strip's sums with columns in order."""
        if self.instruction != "vpdpbusd":
            return list(sums)
        blocks = self.lanes // 4
        ordered = []
        for block in range(blocks):
            # 128-bit block `block` of each of the four registers.
            pick = [4 * block + i for i in range(4)]
            ab = f.shuffle(sums[0], sums[1], [*pick, *(self.lanes + lane for lane in pick)])
            cd = f.shuffle(sums[2], sums[3], [*pick, *(self.lanes + lane for lane in pick)])
            ordered.append(f.shuffle(ab, cd, range(16)))
        if self.lanes == 16:
            return ordered
        return [
            f.shuffle(joined, None, range(i, i + self.lanes)) for joined in ordered for i in range(0, 16, self.lanes)
        ]

    def accumulate(self, f: Function, sums: Value, left: Value, right: Value) -> Value:
        if self.instruction == "vpdpbusd":
            return f.instruction("vpdpbusd", sums, right, left)
        if self.instruction is not None:
            return f.add(sums, f.instruction(self.instruction, left, right))
        return f.fma(left, right, sums) if is_float(self.accumulator) else f.add(sums, f.mul(left, right))


def tallest(target: Target, vectors: int) -> int:
    """The most rows of a tile so many registers wide whose sums, right side and one broadcast fit in registers."""
    return max((target.vector_registers - 2) // vectors - 1, 1)


def _vectors(target: Target, lanes: int, rows: Extent, columns: int, usual: int) -> int:
    """How wide strips should be for these columns: what computes least in vain, the usual width if it is all the same.

    Beyond the usual width, a strip that covers all columns.
    """

    def work(vectors: int) -> int:
        strips, most = -(-columns // (vectors * lanes)), tallest(target, vectors)
        height = rows if isinstance(rows, int) else most
        tiles = -(-height // most)
        return strips * vectors * tiles * -(-height // max(tiles, 1)) + strips * tiles

    widths = [usual, *range(usual - 1, 0, -1)]
    if usual * lanes < columns <= (usual + 2) * lanes:
        widths += [usual + 1, usual + 2]
    return min(widths, key=work)


def _interleaved(elements: int, block: int, half: int) -> list[int]:
    """Picks that interleave the lower or upper halves of every `block` elements of two registers."""
    picks = []
    for start in range(0, elements, block):
        for i in range(block // 2):
            picks += [start + half * block // 2 + i, elements + start + half * block // 2 + i]
    return picks
