"""Constant arrays as MLIR text: decimal and hexadecimal `dense` literals, and the bytes of `dense_resource` blobs.

MLIR stores elements little-endian at their width rounded up to bytes. An i1 is a byte in a blob; in a hexadecimal
`dense` literal it is a bit for some versions and a byte for others, so we read both and write decimals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from xdsl.dialects.builtin import IndexType, IntegerType, TensorType
from xdsl.ir import Attribute

from .elements import numpy_dtype

Array: TypeAlias = np.ndarray[Any, Any]

INLINE_BYTES = 16384
"""Larger constants are printed as blobs. Per-channel multipliers, shifts and tables stay inline up to 4096 channels,
because passes of other compilers match them as `DenseElementsAttr`, which a resource is not."""

_DECIMAL_ELEMENTS = 16
_ALIGNMENT_BYTES = 4


def _bits(element: Attribute) -> int | None:
    return element.width.data if isinstance(element, IntegerType) else None


def has_blob_form(element: Attribute) -> bool:
    """Whether MLIR can hold this element type in a resource blob byte for byte as numpy does."""
    return not isinstance(element, IndexType) and _bits(element) in (None, 1, 8, 16, 32, 64)


def blob_bytes(array: Array) -> bytes:
    """The contents of a resource: the alignment as a little-endian u32, then the elements."""
    alignment = max(_ALIGNMENT_BYTES, array.dtype.itemsize)
    return alignment.to_bytes(4, "little") + np.ascontiguousarray(array).tobytes()


def array_from_blob(blob: memoryview | bytes, type: TensorType) -> Array:
    """The elements of a resource. Raises ValueError where the size is not that of `type`."""
    if len(blob) < 4:
        raise ValueError("blob lacks its alignment prefix")
    element, shape = type.get_element_type(), static_shape(type)
    dtype = numpy_dtype(element)
    if not has_blob_form(element):
        raise ValueError(f"a blob cannot hold {element}")
    return _frombuffer(memoryview(blob)[4:], dtype, shape)


def static_shape(type: TensorType) -> tuple[int, ...]:
    if not type.has_static_shape():
        raise ValueError(f"constant has the dynamic type {type}")
    return tuple(type.get_shape())


def _frombuffer(buffer: memoryview, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    count = math.prod(shape)
    if len(buffer) == dtype.itemsize != count * dtype.itemsize:
        return np.broadcast_to(np.frombuffer(buffer, dtype).reshape(()), shape).copy()
    if len(buffer) != count * dtype.itemsize:
        raise ValueError(f"{len(buffer)} bytes of elements, expected {count * dtype.itemsize}")
    if dtype == np.bool_:  # any other byte than 0 is true
        return np.not_equal(np.frombuffer(buffer, np.uint8), 0).reshape(shape)
    return np.frombuffer(buffer, dtype).reshape(shape)


def array_from_hex(data: bytes, type: TensorType) -> Array:
    """The elements of a hexadecimal `dense` literal (one element stands for all)."""
    element, shape = type.get_element_type(), static_shape(type)
    dtype, bits = numpy_dtype(element), _bits(element)
    count = math.prod(shape)
    if bits == 1:
        if len(data) == 1 and data in (b"\x00", b"\xff"):
            return np.full(shape, data == b"\xff")
        if len(data) == count:
            return _frombuffer(memoryview(data), dtype, shape)
        if len(data) != (count + 7) // 8:
            raise ValueError(f"{len(data)} bytes of elements, expected {count} or {(count + 7) // 8}")
        flat = np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")
        return flat.astype(np.bool_).reshape(shape)
    stored = dtype.itemsize if bits is None else (bits + 7) // 8
    if stored != dtype.itemsize:  # i48 in int64: widen each element, keeping its sign
        narrow = np.frombuffer(data, np.uint8).reshape(-1, stored)
        wide = np.where(narrow[:, -1:] >= 128, np.uint8(255), np.uint8(0)).repeat(dtype.itemsize, axis=1)
        wide[:, :stored] = narrow
        return _frombuffer(memoryview(wide.tobytes()), dtype, shape)
    return _frombuffer(memoryview(data), dtype, shape)


def dense_literal(array: Array, type: TensorType) -> str:
    """The text between the angle brackets of a `dense` attribute."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size == 0:
        return ""
    if flat.size > 1 and (flat.view(f"V{flat.itemsize}") == flat[:1].view(f"V{flat.itemsize}")).all():
        return _scalar(flat[0])
    element = type.get_element_type()
    if array.size > _DECIMAL_ELEMENTS and has_blob_form(element) and _bits(element) != 1:
        return f'"0x{flat.tobytes().hex().upper()}"'
    return _nested(array)


def _nested(array: Array) -> str:
    if array.ndim == 0:
        return _scalar(array[()])
    return f"[{', '.join(_nested(part) for part in array)}]"


def _scalar(value: Any) -> str:
    """A literal that reads back to exactly `value`."""
    if isinstance(value, np.bool_):
        return "true" if value else "false"
    if isinstance(value, np.integer):
        return str(int(value))
    if not np.isfinite(value):
        return f"0x{value.tobytes()[::-1].hex().upper()}"
    # bfloat16 has no shortest decimal of its own; that of the equal f32 is exact.
    value = value if value.dtype.kind == "f" else np.float32(value)
    return np.format_float_scientific(value, unique=True, trim="0")
