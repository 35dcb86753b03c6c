"""The constants of a program, one behind the other in one blob."""

from __future__ import annotations

from collections import defaultdict
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
        # Bytes are hashed only where there is something to compare them with: most weights have a size of their own.
        for known, offset in same_size:
            if known.digest == elements.digest:
                return offset
        offset = self._end
        same_size.append((elements, offset))
        self._end += -(-size // ALIGNMENT) * ALIGNMENT
        return offset

    def blob(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """All constants in place, zeros between them."""
        blob = np.zeros(self._end, np.uint8)
        for placed in self._by_size.values():
            for elements, offset in placed:
                data = np.ascontiguousarray(elements.array).reshape(-1).view(np.uint8)
                blob[offset : offset + data.size] = data
        return blob
