"""numpy arrays at the addresses that machine code asks for."""

from __future__ import annotations

import ctypes
import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .artifact import ALIGNMENT
from .errors import DeviceLostError

_BYTE = ctypes.c_char


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], int]:
    """An uninitialised dense array that starts at a multiple of ALIGNMENT, and its address.

    numpy aligns its own arrays to 16 bytes. Raises DeviceLostError where there is not that much memory.
    """
    size = math.prod(shape) * dtype.itemsize
    try:
        memory = np.empty(size + ALIGNMENT - 1, np.uint8)
    except (MemoryError, ValueError, OverflowError):  # the latter two beyond what numpy can count
        raise DeviceLostError(f"cannot allocate {size} bytes of memory") from None
    address = address_of(memory)
    offset = -address % ALIGNMENT
    return np.ndarray(shape, dtype, memory, offset), address + offset


def address_of(array: npt.NDArray[Any]) -> int:
    """Where the elements of `array` begin.

    Asking through the buffer protocol takes a third of the microsecond that numpy's own attribute takes, but is refused
    for read-only and empty arrays, and for types that the protocol does not know.
    """
    try:
        return ctypes.addressof(_BYTE.from_buffer(cast(Any, array)))
    except (TypeError, ValueError, BufferError):
        return array.__array_interface__["data"][0]
