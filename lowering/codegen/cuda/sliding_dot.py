"""Bytes of four image rows multiplied at once: `dp4a` for depthwise convolutions of i8.

The instruction sums four products of neighbouring bytes. Words of four channels at one column of four image rows are
transposed to words of four rows of one channel, 8 byte permutes for 16 bytes, and the filter likewise. A thread with a
3x3 window and two rows of results sees four image rows: each column costs 8 permutes and 24 `dp4a` for two rows of
three taps, where 16 bytes would be unpacked and 72 times multiplied and added one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..arithmetic import i64
from ..emit import Function
from ..types import I8, I32, Value, lanes_of, vector_type
from ..window import Window
from .sliding import Corner, Sliding
from .strip import is_unrolled, offsets

_ROWS = WORD = 4
"""Bytes of a word: rows of the image, or channels."""

Word = tuple[int | None, ...]
"""The rows of the window that the four bytes of a word are of; None: no row of it, a byte of zero."""


def multiplies_rows(window: Window, image: str, filter: str, sums: str, multiplier: int) -> bool:
    """Whether `dp4a` applies to words of channels: bytes, and more than one row to sum."""
    types = (image, filter, sums) == (I8, I8, I32)
    return types and multiplier == 1 and window.kernel[0] > 1 and is_unrolled(window)


@dataclass(frozen=True, kw_only=True)
class SlidingDot(Sliding):
    """As `Sliding`, with the address `filter` of [KH, KW, C] bytes. Every group of four image rows is gone through
    column by column."""

    filter: Value

    def _sums(self, f: Function, corner: Corner, channel: Value) -> list[list[Value]]:
        window, strip = self.window, self.strip
        taps = _Taps(self._filter(f, channel))
        start = f.const(I32, int(self.combine.initial.text))
        sums = [[[start] * strip.lanes for _ in range(strip.columns)] for _ in range(strip.rows)]
        seen = offsets(window, 0, strip.rows)
        for group in [seen[first : first + _ROWS] for first in range(0, len(seen), _ROWS)]:
            for column in offsets(window, 1, strip.columns):
                image = _transposed(f, [self._words(f, corner, row, column) for row in group])
                for pixel, kw in self.seeing(1, column):
                    for row, values in enumerate(sums):
                        word = self._word(group, row)
                        if any(kh is not None for kh in word):
                            filter = taps.word(f, word, kw)
                            values[pixel] = [_dot(f, *each) for each in zip(image, filter, values[pixel], strict=True)]
        return [[_together(f, pixel) for pixel in row] for row in sums]

    def _word(self, group: Sequence[int], row: int) -> Word:
        """The window rows that result row `row` of the strip multiplies the image rows of `group` with."""
        met = {offset: kh for offset in group for seeing, kh in self.seeing(0, offset) if seeing == row}
        return tuple(met.get(offset) for offset in group) + (None,) * (_ROWS - len(group))

    def _words(self, f: Function, corner: Corner, row: int, column: int) -> list[Value]:
        return _split(f, self._load(f, corner, i64(row), i64(column)))

    def _filter(self, f: Function, channel: Value) -> list[list[list[Value]]]:
        """The words of this thread's channels, [KH][KW][words]."""
        (height, width), channels = self.window.kernel, self.image.shape[3]
        first = f.gep(self.filter, channel)
        type = vector_type(I8, self.strip.lanes)
        return [
            [_split(f, f.load(type, f.gep(first, (kh * width + kw) * channels))) for kw in range(width)]
            for kh in range(height)
        ]


class _Taps:
    """The filter as words of four rows; each is made once."""

    def __init__(self, filter: list[list[list[Value]]]) -> None:
        self._filter = filter
        self._made: dict[tuple[Word, int], list[Value]] = {}

    def word(self, f: Function, word: Word, kw: int) -> list[Value]:
        """For each channel."""
        if (word, kw) not in self._made:
            self._made[word, kw] = self._shifted(f, word, kw) or self._assembled(f, word, kw)
        return self._made[word, kw]

    def _shifted(self, f: Function, word: Word, kw: int) -> list[Value] | None:
        """A word that is another one a few rows on."""
        for rows in range(1, _ROWS):
            earlier = (*word[rows:], *(None,) * rows)
            if word[:rows] == (None,) * rows and (earlier, kw) in self._made:
                return [f.shl(each, f.const(I32, 8 * rows)) for each in self._made[earlier, kw]]
        return None

    def _assembled(self, f: Function, word: Word, kw: int) -> list[Value]:
        count = len(self._filter[0][0])
        zeros = [f.const(I32, 0)] * count
        return _transposed(f, [zeros if kh is None else self._filter[kh][kw] for kh in word])


def _transposed(f: Function, rows: Sequence[Sequence[Value]]) -> list[Value]:
    """Up to four rows of words of four channels each as a word for each channel, whose bytes are the rows."""
    found: list[Value] = []
    for words in zip(*rows, strict=True):
        a, b, c, d = [*words, *[f.const(I32, 0)] * (_ROWS - len(words))]
        for half in (0x5140, 0x7362):
            upper, lower = _permute(f, a, b, half), _permute(f, c, d, half)
            found += [_permute(f, upper, lower, pick) for pick in (0x5410, 0x7632)]
    return found


def _permute(f: Function, a: Value, b: Value, selection: int) -> Value:
    """The bytes of `a` (0 to 3) and `b` (4 to 7) that the digits of `selection` name, the last one first."""
    if a.constant == 0 and b.constant == 0:
        return a
    return f.call(I32, "llvm.nvvm.prmt", [a, b, f.const(I32, selection)])


def _dot(f: Function, a: Value, b: Value, sum: Value) -> Value:
    """sum + the products of four signed bytes."""
    return f.call(I32, "llvm.nvvm.idp4a.s.s", [a, b, sum])


def _split(f: Function, bytes: Value) -> list[Value]:
    count = lanes_of(bytes.type) // 4
    words = f.bitcast(bytes, vector_type(I32, count))
    return [f.extract(words, number) for number in range(count)]


def _together(f: Function, values: Sequence[Value]) -> Value:
    vector = f.undefined(vector_type(I32, len(values)))
    for number, value in enumerate(values):
        vector = f.insert(vector, value, number)
    return vector
