"""numpy arrays at the addresses that machine code asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .artifact import ALIGNMENT
from .errors import DeviceLostError


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], int]:
    """An uninitialised dense array that starts at a multiple of ALIGNMENT, and its address.

    numpy aligns its own arrays to 16 bytes. Raises DeviceLostError where there is not that much memory.
    """
    size = math.prod(shape) * dtype.itemsize
    try:
        memory = np.empty(size + ALIGNMENT - 1, np.uint8)
    except (MemoryError, ValueError, OverflowError):  # the latter two beyond what numpy can count
        raise DeviceLostError(f"cannot allocate {size} bytes of memory") from None
    address = memory.__array_interface__["data"][0]
    offset = -address % ALIGNMENT
    return np.ndarray(shape, dtype, memory, offset), address + offset


def address_of(array: npt.NDArray[Any]) -> int:
    """Where the elements of `array` begin."""
    return array.__array_interface__["data"][0]
