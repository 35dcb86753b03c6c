"""The constants of a program, one behind the other in one blob."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ...runtime.artifact import ALIGNMENT
from ...tosa.elements import ElementsAttr


class ConstantPool:
    """Gives every distinct constant an aligned place. All functions, and all targets of a program, share one."""

    def __init__(self) -> None:
        self._by_size: dict[int, list[tuple[ElementsAttr, int]]] = defaultdict(list)
        self._end = 0

    def add(self, elements: ElementsAttr) -> int:
        """The offset in the blob of the bytes of `elements`; equal bytes are there once."""
        size = elements.array.nbytes
        same_size = self._by_size[size]
        for known, offset in same_size:
            if known.storage.has_bytes_of(elements.storage):
                return offset
        offset = self._end
        same_size.append((elements, offset))
        self._end += -(-size // ALIGNMENT) * ALIGNMENT
        return offset

    def blob(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """All constants in place, zeros between them."""
        blob = np.zeros(self._end, np.uint8)

        def copy(placed: tuple[ElementsAttr, int]) -> None:
            elements, offset = placed
            data = np.ascontiguousarray(elements.array).reshape(-1).view(np.uint8)
            blob[offset : offset + data.size] = data

        # numpy copies without the interpreter lock.
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            list(threads.map(copy, itertools.chain.from_iterable(self._by_size.values())))
        return blob
