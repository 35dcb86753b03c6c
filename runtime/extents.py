"""How an artifact's constants lie in its file: extents, one behind the other, most of them as they are in memory.

What the constants have in excess of a model's weights is not stored: zeros that pad panels, and the lower halves of
numbers that came from float16. An extent is one of

    plain    the bytes
    half     float32 numbers that are float16 numbers, as those; sparse ones as below where there is a unit
    sparse   a bit for each unit of so many bytes, the lowest bit first, whether it is other than zero; then those units
    planes   float32 numbers: the highest byte of each, deflated, then the other three bytes of each
    deflated the bytes, deflated

Expanding takes time when a program is loaded (on one core of an EPYC, for a megabyte in memory: half 0.5 ms, sparse
0.1 to 2.5 ms for units of 32 to 2 bytes, planes 2 ms, deflated 4 ms), so `analyze` weighs it against the bytes, and the
last two are for who needs them. Nothing here knows where one constant ends and another begins: all of it is found in
the bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .errors import MalformedFileError
from .record import record

Bytes = npt.NDArray[np.uint8]

PLAIN, HALF, SPARSE, PLANES, DEFLATED = range(5)

UNITS = (2, 4, 8, 32)
"""Bytes that a unit of a sparse extent may have."""

_BLOCK = 256
_MOST_BLOCKS = 1 << 16
"""Bytes of a block, at whose multiples extents may begin, unless there were too many blocks: then they are larger."""

_SWITCH = 256
"""Bytes that an extent has to save: what its record needs, and the time that one more of them takes."""

_PER_UNIT = 1 / 8 + 0.25
"""Bytes that a sparse unit costs: its bit, and the up to 4 ns that expanding it takes."""

_SAMPLED = 32
"""One in so many numbers is looked at to see that a block holds no halves."""

_LOW_BITS = np.uint32(0x1FFF)
"""Those of a float32 that no normal float16 has."""


@record
class Extent:
    """`stored` bytes at `offset` of the file, which stand for the next `length` bytes of the constants."""

    STRUCT: ClassVar = struct.Struct("<BB6xqqq")

    coding: int
    unit: int
    offset: int
    stored: int
    length: int

    def to_struct(self) -> tuple[int, int, int, int, int]:
        return self.coding, self.unit, self.offset, self.stored, self.length

    @classmethod
    def from_struct(cls, coding: int, unit: int, offset: int, stored: int, length: int) -> Extent:
        if not cls._is_possible(coding, unit, stored, length):
            raise ValueError(f"{stored} bytes cannot stand for {length} in coding {coding} with units of {unit}")
        return cls(coding, unit, offset, stored, length)

    @staticmethod
    def _is_possible(coding: int, unit: int, stored: int, length: int) -> bool:
        if min(stored, length) < 0 or not PLAIN <= coding <= DEFLATED:
            return False
        if coding == HALF and unit:
            return length % 2 == 0 and Extent._is_possible(SPARSE, unit, stored, length // 2) and unit <= 8
        if coding == SPARSE:
            return unit in UNITS and length % (8 * unit) == 0 and length // unit // 8 <= stored <= 2 * length
        if coding == DEFLATED:
            return length <= 2 * _MOST_INFLATED
        if coding == PLANES:
            return length % 4 == 0 and 3 * length // 4 <= stored <= 2 * length + 64
        return stored == (length if coding == PLAIN else length // 2) and (coding == PLAIN or length % 4 == 0)


@record
class Piece:
    """Bytes [begin, end) of the constants, to be stored in one way."""

    coding: int
    unit: int
    begin: int
    end: int


def analyze(constants: Bytes) -> list[Piece]:
    """How to store `constants`, piece by piece in order, in few bytes that do not take long to expand."""
    size = _BLOCK
    while len(constants) > size * _MOST_BLOCKS:
        size *= 2
    rest = len(constants) // size * size
    blocks = constants[:rest].view(np.uint64).reshape(-1, size // 8)
    pieces = [Piece(*_WAYS[way], begin * size, end * size) for way, begin, end in _best_runs(blocks)]
    if pieces and pieces[-1].coding == PLAIN:
        rest = pieces.pop().begin
    return [*pieces, Piece(PLAIN, 0, rest, len(constants))] if rest < len(constants) else pieces


_WAYS = ((PLAIN, 0), (HALF, 0), *((SPARSE, unit) for unit in UNITS), *((HALF, unit) for unit in UNITS[:-1]))


def _best_runs(blocks: npt.NDArray[np.uint64]) -> list[tuple[int, int, int]]:
    """(way, first block, end) of runs whose costs are least together, `_SWITCH` being what a change costs."""
    costs = _costs(blocks)
    totals, choices = [0.0] * len(_WAYS), []
    for _, count, cost in costs:
        best = min(range(len(_WAYS)), key=totals.__getitem__)
        change = totals[best] + _SWITCH
        choices.append([way if totals[way] <= change else best for way in range(len(_WAYS))])
        totals = [min(total, change) + count * each for total, each in zip(totals, cost, strict=True)]
    way = min(range(len(_WAYS)), key=totals.__getitem__)
    runs: list[tuple[int, int, int]] = []
    for (first, count, _), choice in zip(reversed(costs), reversed(choices), strict=True):
        if runs and runs[-1][0] == way:
            runs[-1] = way, first, runs[-1][2]
        else:
            runs.append((way, first, first + count))
        way = choice[way]
    return runs[::-1]


def _costs(blocks: npt.NDArray[np.uint64]) -> list[tuple[int, int, list[float]]]:
    """(first block, blocks, bytes of each block in each way) of blocks that may be worth it and of all between them."""
    count = blocks.shape[1]
    size = 8 * count
    words = blocks.view(np.uint32)
    sampled = words[:, ::_SAMPLED]
    narrow = ~(sampled & _LOW_BITS).any(axis=1) & sampled.any(axis=1)
    few = np.count_nonzero(blocks, axis=1) < count - count // 32
    candidates = np.flatnonzero(few | narrow | _many_zeros(blocks))
    dense = [np.inf if coding == HALF else size + (size / unit * _PER_UNIT if unit else 0) for coding, unit in _WAYS]
    chosen = words[candidates]
    are_halves = _are_halves(chosen)
    narrowed = _narrowed(np.where(are_halves[:, None], chosen, 0))
    rows = []
    for coding, unit in _WAYS:
        data, whole = (narrowed, size / 2) if coding == HALF else (chosen, size)
        cost = np.full(len(candidates), float(whole))
        if unit:
            cost = np.count_nonzero(_units(data, unit), axis=1) * unit + whole / unit * _PER_UNIT
        rows.append(np.where(are_halves, cost, np.inf) if coding == HALF else cost)
    result: list[tuple[int, int, list[float]]] = []
    end = 0
    for block, cost in zip(candidates.tolist(), np.stack(rows, axis=1).tolist(), strict=True):
        if block > end:
            result.append((end, block - end, dense))
        result.append((block, 1, cost))
        end = block + 1
    if end < len(blocks):
        result.append((end, len(blocks) - end, dense))
    return result


def _many_zeros(blocks: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Blocks a quarter of whose sampled 16-bit numbers are zero: sparse weights, which leave few u64 zero."""
    sampled = blocks.view(np.uint16)[:, :: _SAMPLED // 2]
    return np.count_nonzero(sampled, axis=1) * 4 <= sampled.shape[1] * 3


def _narrowed(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """The same float32 numbers as float16."""
    return words.view(np.float32).astype(np.float16).view(np.uint16)


def _units(words: npt.NDArray[np.uint32] | npt.NDArray[np.uint16], unit: int) -> npt.NDArray[Any]:
    """Whether each unit of each row is other than zero."""
    if unit <= 8:
        return words.view(f"u{unit}") != 0
    parts = words.view(np.uint64)
    return np.any(parts.reshape(len(words), parts.shape[1] * 8 // unit, unit // 8), axis=2)


def _are_halves(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Whether all numbers of each row are finite float16 numbers, bit for bit."""
    numbers = words.view(np.float32)
    with np.errstate(all="ignore"):
        back = numbers.astype(np.float16).astype(np.float32)
    return ((back.view(np.uint32) == words) & np.isfinite(numbers)).all(axis=1)


def store(piece: Piece, constants: Bytes) -> Bytes:
    """The bytes that stand for a piece."""
    data = constants[piece.begin : piece.end]
    if piece.coding == HALF:
        data = _narrowed(data.view(np.uint32)).view(np.uint8)
    if piece.unit:
        present = _units(data.view(np.uint16).reshape(1, -1), piece.unit)[0]
        kept = data.reshape(-1, piece.unit)[present].reshape(-1)
        return np.concatenate([np.packbits(present, bitorder="little"), kept])
    if piece.coding == PLANES:
        numbers = data.reshape(-1, 4)
        return np.concatenate([_deflate(numbers[:, 3]), numbers[:, :3].reshape(-1)])
    if piece.coding == DEFLATED:
        return _deflate(data)
    return data


def deflated(pieces: list[Piece], constants: Bytes, excess: int) -> list[Piece]:
    """`pieces`, of which so much is now deflated as saves `excess` bytes, if they allow it and not much has to be."""
    result: list[Piece] = []
    left = _MOST_INFLATED
    for piece in pieces:
        result += [piece]
        probes = piece.end - piece.begin >= _PROBED and piece.coding == PLAIN and excess > 0 and left > 0
        coding, saved = _best_deflation(piece, constants) if probes else (PLAIN, 0)
        if coding == PLAIN:
            continue
        wanted = -(-(excess + _SWITCH) // saved) * _PROBED
        end = min(piece.begin + min(wanted, left * _inflated(coding)), piece.end // 64 * 64)
        part = Piece(coding, 0, piece.begin, end)
        excess -= end - piece.begin - len(store(part, constants))
        left -= (end - piece.begin) // _inflated(coding)
        result[-1:] = [part, *([Piece(PLAIN, 0, end, piece.end)] if end < piece.end else [])]
    return result


_PROBED = 8192
"""Bytes that are deflated to see what that saves."""

_WORTH_DEFLATING = _PROBED // 32

_MOST_INFLATED = 1 << 16
"""Bytes that have to be inflated when a program is loaded: a quarter of a millisecond."""


def _inflated(coding: int) -> int:
    """One of so many bytes is inflated."""
    return 4 if coding == PLANES else 1


def _best_deflation(piece: Piece, constants: Bytes) -> tuple[int, int]:
    """The coding that saves most for each byte inflated, and what it saves of `_PROBED`; PLAIN where none does."""
    for coding in (PLANES, DEFLATED):
        saved = _PROBED - len(store(Piece(coding, 0, piece.begin, piece.begin + _PROBED), constants))
        if saved >= _WORTH_DEFLATING:
            return coding, saved
    return PLAIN, 0


def _deflate(data: Bytes) -> Bytes:
    """By the frequencies of bytes alone: weights do not repeat, and strings that happen to cost time."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    return np.frombuffer(coder.compress(data.tobytes()) + coder.flush(), np.uint8)


def _inflate(extent: Extent, stored: memoryview, size: int) -> Bytes:
    coder = zlib.decompressobj(-15)
    try:
        data = coder.decompress(stored, size + 1)
    except zlib.error as error:
        raise MalformedFileError(f"the constants at byte {extent.offset} cannot be inflated: {error}") from None
    if len(data) != size or not coder.eof or coder.unused_data:
        raise MalformedFileError(f"the constants at byte {extent.offset} inflate to another size than {size}")
    return np.frombuffer(data, np.uint8)


def expand(extent: Extent, stored: memoryview, out: Bytes) -> None:
    """Fill `out`, which is zero, with what an extent stands for. Raises MalformedFileError."""
    data = np.frombuffer(stored, np.uint8)
    if extent.coding == HALF:
        halves = data
        if extent.unit:
            halves = np.zeros(extent.length // 2, np.uint8)
            _expand_sparse(extent, stored, halves)
        out.view(np.float32)[:] = np.frombuffer(halves, np.float16)
    elif extent.coding == SPARSE:
        _expand_sparse(extent, stored, out)
    elif extent.coding == PLANES:
        count = extent.length // 4
        rest = len(data) - 3 * count
        numbers = out.reshape(-1, 4)
        numbers[:, 3] = _inflate(extent, stored[:rest], count)
        numbers[:, :3] = data[rest:].reshape(-1, 3)
    elif extent.coding == DEFLATED:
        out[:] = _inflate(extent, stored, extent.length)
    else:
        out[:] = data


def _expand_sparse(extent: Extent, stored: memoryview, out: Bytes) -> None:
    """Fill `out`, which is zero."""
    count = len(out) // extent.unit // 8
    present = np.unpackbits(np.frombuffer(stored[:count], np.uint8), bitorder="little").view(np.bool_)
    if np.count_nonzero(present) * extent.unit != len(stored) - count:
        raise MalformedFileError(f"a sparse extent of the constants at byte {extent.offset} has other bits than units")
    kind = np.dtype((np.void, extent.unit)) if extent.unit > 8 else np.dtype(f"u{extent.unit}")
    out.view(kind)[present] = np.frombuffer(stored[count:], kind)


def places(extents: tuple[Extent, ...]) -> Iterator[tuple[Extent, int]]:
    """Each extent, and where in the constants it begins."""
    begin = 0
    for extent in extents:
        yield extent, begin
        begin += extent.length
