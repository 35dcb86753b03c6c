"""Tensor maps of emulated GPUs: 128 bytes as opaque to programs as NVIDIA's, and what they say."""

from __future__ import annotations

import struct

import numpy as np

from ..artifact import TensorMap, numpy_dtype
from ..cuda.driver import TENSOR_MAP_BYTES

_HEADER = struct.Struct("<4sBBHQ")
_MAGIC = b"tmap"


def encode(map: TensorMap, address: int) -> bytes:
    """The map of the tensor at `address`: its element size, swizzle, sizes and boxes, as 64-bit numbers."""
    itemsize = numpy_dtype(map.dtype).itemsize
    header = _HEADER.pack(_MAGIC, len(map.shape), itemsize, map.swizzle, address)
    sizes = np.array([*map.shape, *map.box], "<i8").tobytes()
    return (header + sizes).ljust(TENSOR_MAP_BYTES, b"\0")


def decode(data: bytes) -> tuple[int, int, tuple[int, ...], tuple[int, ...], int]:
    """Address, bytes of an element, shape, box (innermost last) and swizzle. Raises ValueError for other bytes."""
    magic, rank, itemsize, swizzle, address = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("no tensor map")
    sizes = tuple(int(size) for size in np.frombuffer(data, "<i8", 2 * rank, _HEADER.size))
    return address, itemsize, sizes[:rank], sizes[rank:], swizzle
