"""The constant attribute of every dialect here: a numpy array with a tensor type, shared, never copied."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any, NoReturn

import ml_dtypes
import numpy as np
from xdsl.dialects import builtin
from xdsl.dialects.builtin import IntegerType, Signedness, TensorType
from xdsl.ir import Attribute, Data, TypedAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer

_FLOAT_DTYPES: list[tuple[Attribute, np.dtype[Any]]] = [
    (builtin.f64, np.dtype(np.float64)),
    (builtin.f32, np.dtype(np.float32)),
    (builtin.f16, np.dtype(np.float16)),
    (builtin.bf16, np.dtype(ml_dtypes.bfloat16)),
]


def numpy_dtype(element_type: Attribute) -> np.dtype[Any]:
    """The numpy dtype that holds one element of `element_type`; i4 is held in int8, i48 in int64, i1 in bool."""
    for float_type, dtype in _FLOAT_DTYPES:
        if element_type == float_type:
            return dtype
    if isinstance(element_type, builtin.IndexType):
        return np.dtype(np.int64)
    if isinstance(element_type, IntegerType):
        width = element_type.width.data
        if width == 1:
            return np.dtype(np.bool_)
        storage = next(size for size in (8, 16, 32, 64) if size >= width)
        prefix = "u" if element_type.signedness.data == Signedness.UNSIGNED else ""
        return np.dtype(f"{prefix}int{storage}")
    raise TypeError(f"no numpy dtype holds {element_type}")


def element_type_of(dtype: np.dtype[Any]) -> Attribute:
    """The MLIR element type of a numpy dtype; signed integers are signless (`i8`), unsigned ones `ui8`."""
    for float_type, float_dtype in _FLOAT_DTYPES:
        if dtype == float_dtype:
            return float_type
    if dtype == np.bool_:
        return builtin.i1
    if dtype.kind == "i":
        return IntegerType(dtype.itemsize * 8)
    if dtype.kind == "u":
        return IntegerType(dtype.itemsize * 8, Signedness.UNSIGNED)
    raise TypeError(f"no MLIR element type for numpy dtype {dtype}")


_SAMPLED_WHOLE = 4096
_WINDOWS, _WINDOW = 32, 64
"""Bytes up to which an array's sample is all of it; the number of samples of a larger one, and the bytes of each."""


@irdl_attr_definition
class ArrayData(Data[Any]):
    """A read-only array that compares by content, so that common subexpressions and artifacts can share constants."""

    name = "tosa.array"
    data: np.ndarray[Any, Any]

    @cached_property
    def digest(self) -> bytes:
        """A hash of the bytes."""
        return hashlib.blake2b(self._bytes().data).digest()

    @cached_property
    def sample(self) -> bytes:
        """All bytes of a small array, some of a large one: those of weights that differ tell them apart.

        To hash all bytes of a large model takes as long as a fifth of its compilation.
        """
        content = self._bytes()
        if content.size <= _SAMPLED_WHOLE:
            return content.tobytes()
        step = content.size // _WINDOWS
        windows = [content[start : start + _WINDOW] for start in range(0, content.size - _WINDOW, step)]
        return np.concatenate([*windows, content[-_WINDOW:]]).tobytes()

    def has_bytes_of(self, other: ArrayData) -> bool:
        """Whether both hold the same bytes, whatever their shapes and types."""
        if self is other or self.data is other.data:
            return True
        return (
            self.data.nbytes == other.data.nbytes
            and self.sample == other.sample
            and np.array_equal(self._bytes(), other._bytes())
        )

    def _bytes(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        contiguous = np.ascontiguousarray(self.data)
        return contiguous.reshape(-1).view(np.uint8) if contiguous.size else np.zeros(0, np.uint8)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrayData):
            return NotImplemented
        same_form = self.data.shape == other.data.shape and self.data.dtype == other.data.dtype
        return same_form and self.has_bytes_of(other)

    def __hash__(self) -> int:
        return hash((self.data.shape, self.data.dtype, self.sample))

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> NoReturn:
        parser.raise_error("constants are written as dense_resource: read the file with tosaic.tosa.read")

    def print_parameter(self, printer: Printer) -> None:
        """A summary for debugging; files are written by `tosaic.tosa.text`."""
        printer.print_string(f"<{self.digest.hex()[:8]}>")


@irdl_attr_definition
class ElementsAttr(TypedAttribute):
    """Constant elements held as a numpy array (`array`) whose shape is the shape of `type`.

    Zero-copy: an importer wraps a view of the mapped file. `tosaic.tosa.text` prints it as `dense_resource` with its
    blob at the end of the file; inside a process the bytes are never printed or parsed.
    """

    name = "tosa.elements"

    storage: ArrayData
    type: TensorType

    @staticmethod
    def from_array(array: np.ndarray[Any, Any], type: TensorType | None = None) -> ElementsAttr:
        """Wrap `array`; `type` is needed only where the dtype does not tell the element type (i4, i48)."""
        if type is None:
            type = TensorType(element_type_of(array.dtype), array.shape)
        if tuple(type.get_shape()) != array.shape or numpy_dtype(type.get_element_type()) != array.dtype:
            raise ValueError(f"array of {array.dtype}{array.shape} does not hold elements of {type}")
        return ElementsAttr(ArrayData(array), type)

    @property
    def array(self) -> np.ndarray[Any, Any]:
        return self.storage.data

    @property
    def digest(self) -> bytes:
        """A hash of the bytes, computed once."""
        return self.storage.digest

    def get_type(self) -> TensorType:
        return self.type

    def print_without_type(self, printer: Printer) -> None:
        self.storage.print_parameter(printer)
