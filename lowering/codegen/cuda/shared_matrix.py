"""Tiles of matrices in shared memory as they lie in global memory, and the fragments that tensor cores take of them.

A tile is [outer, k], its outer dimension being rows of a left side or columns of a right side. Whichever of the two is
contiguous in memory makes the lines of the tile, whose distance is an odd number of 16 bytes. So neither is ever turned
in memory.

Four 8 x 8 matrices of 16-bit elements are loaded together by `ldmatrix`, 16 of the outer dimension by 32 bytes of k.
Their rows' addresses come from lanes 8 i to 8 i + 7 for matrix i; it reads eight lines' 16 bytes at once, without a
conflict. Where k is contiguous lanes get words along k, as products want them, whatever the elements. Where the outer
dimension is, pairs of 16-bit elements along k lie a line apart, and `ldmatrix.trans` brings them together; elements of
32 bits are loaded one by one.

A left fragment has its registers in the order of (upper rows, lower rows, upper rows of the second half of k, lower
rows of it); the two right fragments of 8 columns each, (k, second half of k) of the first, then of the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ...target import Target
from ...targets.tensor_attention_tile import line_pitch
from ..access import Access
from ..arithmetic import i64
from ..emit import Function
from ..types import I32, PTR, Value
from .block import lane_index, thread_index
from .predicated import all_of, under
from .staging import Staging

SQUARE = 16
"""Of the outer dimension that is loaded together."""

_SQUARE_BYTES = 32
"""Of k that are."""

_VECTOR_BYTES = 16
"""Of a line of a matrix, and of a copy."""

_LINES = 8
"""Of a matrix."""

_STRUCTURE = "{ " + ", ".join([I32] * 4) + " }"


_T = TypeVar("_T")


@dataclass(frozen=True)
class SharedMatrix:
    """Tiles [outer, k] of a matrix [outer_total, k_total] of elements of `element_bytes` (2 or 4), which `access` finds
    by the loops `outer_loop` and `k_loop`; `is_left` if it is the left side of products.

    Of each eight words of k a lane gets words t and t + 4; with `neighbours` the elements 2t and 2t + 1 of each eight.
    """

    access: Access
    outer_loop: int
    k_loop: int
    outer: int
    k: int
    outer_total: int
    k_total: int
    element_bytes: int
    is_left: bool = False
    neighbours: bool = False

    @property
    def is_possible(self) -> bool:
        """Whether the lines of the matrix are made of whole vectors of 16 bytes, each at a multiple of that."""
        access, contiguous = self.access, self._loops[1]
        others = [stride for loop, stride in enumerate(access.strides) if loop != contiguous]
        apart = [access.offset, self._totals[1], *others]
        return (
            access.tensor.fill is None
            and not access.quasi
            and access.strides[contiguous] == 1
            and all(isinstance(each, int) and each % self._vector == 0 for each in apart)
        )

    @property
    def k_square(self) -> int:
        """Of k that is loaded together."""
        return _SQUARE_BYTES // self.element_bytes

    @property
    def _vector(self) -> int:
        """Elements of a copy."""
        return _VECTOR_BYTES // self.element_bytes

    @property
    def _element(self) -> str:
        return f"i{8 * self.element_bytes}"

    @property
    def _is_by_matrices(self) -> bool:
        """Whether `ldmatrix` loads it."""
        return self.element_bytes == 2 or (self._k_is_contiguous and not self.neighbours)

    @property
    def bytes(self) -> int:
        """Of a tile."""
        return self._sizes[0] * self._pitch

    def copy(
        self, f: Function, target: Target, threads: int, batch: Sequence[Value], outer: Value, k: Value, to: Value
    ) -> None:
        """Has this thread's part of the tile from (outer, k) of `batch` on copied to `to`, zeros beyond the matrix.

        Neighbouring threads take neighbouring vectors of a line. What a thread copies lies at known distances from the
        first of it: two addresses do for all.
        """
        (lines, run), pitch = self._sizes, self._pitch
        vectors = run // self._vector
        across = min(vectors, threads)
        down = threads // across
        thread = thread_index(f)
        line, vector = f.udiv(thread, i64(across)), f.urem(thread, i64(across))
        first = self._in_order(outer, k)
        at = f.add(first[0], line), f.add(first[1], f.mul(vector, i64(self._vector)))
        indices = [i64(0)] * len(self.access.strides)
        indices[: len(batch)] = batch
        for loop, index in zip(self._loops, at, strict=True):
            indices[loop] = index
        source = f.element_pointer(self.access.tensor.pointer, self._element, self.access.element(f, indices))
        destination = f.gep(to, f.add(f.mul(line, i64(pitch)), f.mul(vector, i64(_VECTOR_BYTES))))
        line_stride = self.access.strides[self._loops[0]]
        assert isinstance(line_stride, int)
        staging = Staging(target, self._element, self._vector)
        with under(f, None if across * down == threads else f.icmp("ult", thread, i64(across * down))):
            for number in range(0, lines, down):
                for place in range(0, vectors, across):
                    is_line = f.icmp("ult", line, i64(lines - number)) if lines - number < down else None
                    is_vector = f.icmp("ult", vector, i64(vectors - place)) if vectors - place < across else None
                    moved = number, place * self._vector
                    inside = [
                        f.icmp("slt", index, i64(total - distance)) if total % size else None
                        for index, total, distance, size in zip(at, self._totals, moved, self._sizes, strict=True)
                    ]
                    distance = number * line_stride * self.element_bytes + place * _VECTOR_BYTES
                    with under(f, is_line, is_vector):
                        there = f.gep(destination, number * pitch + place * _VECTOR_BYTES)
                        staging.copy(f, there, f.gep(source, distance), all_of(f, inside))

    def lane_offset(self, f: Function) -> Value:
        """Of what this lane adds to the addresses of squares, in bytes: for `ldmatrix` the line that it names."""
        lane = lane_index(f)
        if not self._is_by_matrices:
            group, place = f.udiv(lane, i64(4)), f.urem(lane, i64(4))
            line, at = self._in_order(group, f.mul(place, i64(2 if self.neighbours else 1)))
            return f.add(f.mul(line, i64(self._pitch)), f.mul(at, i64(self.element_bytes)))
        matrix = f.udiv(lane, i64(_LINES))
        low, high = f.urem(matrix, i64(2)), f.udiv(matrix, i64(2))
        below, beside = (low, high) if self.is_left == self._k_is_contiguous else (high, low)
        line = f.add(f.urem(lane, i64(_LINES)), f.mul(below, i64(_LINES)))
        return f.add(f.mul(line, i64(self._pitch)), f.mul(beside, i64(_VECTOR_BYTES)))

    def offset(self, outer: int, k: int) -> int:
        """Of an element in a tile, in bytes."""
        line, place = self._in_order(outer, k)
        return line * self._pitch + place * self.element_bytes

    def load(self, f: Function, tile: Value, outer: int, k: int) -> list[Value]:
        """The four registers (i32) of the square at (outer, k) of a tile; `tile` is its address and the lane's
        offset."""
        if not self._is_by_matrices:
            second = 1 if self.neighbours else self.k_square // 2
            upper, lower = ([(outer + below, k + beside) for beside in (0, second)] for below in (0, _LINES))
            places = [upper[0], lower[0], upper[1], lower[1]] if self.is_left else [*upper, *lower]
            return [f.load(I32, f.gep(tile, self.offset(*place))) for place in places]
        pointer = f.gep(tile, self.offset(outer, k))
        space = f"{PTR} addrspace(3)"
        inside = f.emit(space, f"addrspacecast ptr {pointer.text} to {space}")
        trans = "" if self._k_is_contiguous else ".trans"
        loaded = f.call(_STRUCTURE, f"llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4{trans}.b16.p3", [inside])
        return [f.emit(I32, f"extractvalue {_STRUCTURE} {loaded.text}, {number}") for number in range(4)]

    @property
    def _k_is_contiguous(self) -> bool:
        return self.access.strides[self.k_loop] == 1

    def _in_order(self, outer: _T, k: _T) -> tuple[_T, _T]:
        """What belongs to lines, and to places in them."""
        return (outer, k) if self._k_is_contiguous else (k, outer)

    @property
    def _loops(self) -> tuple[int, int]:
        return self._in_order(self.outer_loop, self.k_loop)

    @property
    def _sizes(self) -> tuple[int, int]:
        return self._in_order(self.outer, self.k)

    @property
    def _totals(self) -> tuple[int, int]:
        return self._in_order(self.outer_total, self.k_total)

    @property
    def _pitch(self) -> int:
        return line_pitch(self._sizes[1] * self.element_bytes)
