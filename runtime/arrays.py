"""numpy arrays at the addresses that machine code asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .artifact import ALIGNMENT


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], int]:
    """An uninitialised dense array that starts at a multiple of ALIGNMENT, and its address.

    numpy aligns its own arrays to 16 bytes.
    """
    memory = np.empty(math.prod(shape) * dtype.itemsize + ALIGNMENT - 1, np.uint8)
    address = memory.__array_interface__["data"][0]
    offset = -address % ALIGNMENT
    return np.ndarray(shape, dtype, memory, offset), address + offset
