"""Tensors as text, the way compiler people write them on a command line: `4x8xf32=1`, `3xi32=[1,2,3]`, `f32=0.5`.

What stands before "=" is an MLIR tensor type without its brackets, or the type of a scalar. What stands behind it is

- one number, for every element;
- a list in brackets, nested as the shape is or flat;
- `@file.npy`, which must hold that shape and type.

Numbers are those of JSON, with NaN, Infinity, -Infinity, true and false. Results are printed so that they can be read
back, unless they are too long for people.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .artifact import numpy_dtype
from .errors import ArgumentError, MalformedFileError

Array = npt.NDArray[Any]

_DTYPES = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "index": "int64", "i1": "bool"} | {
    f"{prefix}{bits}": f"{name}{bits}"
    for prefix, name in (("i", "int"), ("si", "int"), ("ui", "uint"))
    for bits in (8, 16, 32, 64)
}
_NAMES = {dtype: name for name, dtype in reversed(_DTYPES.items()) if name != "index"}
"""numpy dtype name -> element type; of several spellings that of signless integers."""

_SPEC = re.compile(rf"(?P<shape>(?:\d+x)*)(?P<type>{'|'.join(_DTYPES)})=(?P<value>.*)", re.DOTALL)

_MOST_ELEMENTS = 1024
"""Longer results are cut short."""


def is_inline(text: str) -> bool:
    """Whether an `--input` is a tensor in this notation, not the path of a file."""
    return _SPEC.fullmatch(text.strip()) is not None


def parse_tensor(text: str) -> Array:
    """The array that `text` describes. Raises ArgumentError saying what is wrong, MalformedFileError, OSError."""
    match = _SPEC.fullmatch(text.strip())
    if match is None:
        raise ArgumentError(f"{text!r} is no tensor; expected something like 4x8xf32=1, 3xi32=[1,2,3] or 4xf32=@x.npy")
    shape = tuple(int(size) for size in match["shape"].split("x")[:-1])
    dtype = numpy_dtype(_DTYPES[match["type"]])
    if match["value"].startswith("@"):
        return _read(Path(match["value"][1:]), shape, dtype, text)
    try:
        value = json.loads(match["value"])
    except ValueError:
        raise ArgumentError(f"{text!r}: {match['value']!r} is neither a number nor a list in brackets") from None
    if not isinstance(value, list):
        return np.full(shape, _element(value, dtype, text), dtype)
    elements = _flatten(value, shape, text)
    return np.array([_element(element, dtype, text) for element in elements], dtype).reshape(shape)


def format_tensor(array: Array) -> str:
    """`array` in this notation; of more than 1024 elements only the first are written, and then "..."."""
    array = np.asarray(array)
    type = "x".join([*map(str, array.shape), _NAMES[array.dtype.name]])
    if array.size <= _MOST_ELEMENTS:
        return f"{type}={_text(array)}"
    shown = ",".join(_text(element) for element in array.reshape(-1)[:_MOST_ELEMENTS])
    return f"{type}=[{shown},...]"


def _text(array: Any) -> str:
    if np.ndim(array):
        return f"[{','.join(map(_text, array))}]"
    value = np.asarray(array)[()]
    if value.dtype.kind in "biu":
        return json.dumps(value.item())
    if not np.isfinite(value):
        return json.dumps(float(value))
    # The shortest digits that tell this value from its neighbours of the same type.
    return str(value).removesuffix(".0")


def _read(path: Path, shape: tuple[int, ...], dtype: np.dtype, text: str) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise MalformedFileError(f"{path}: not an array of numpy's format: {error}") from None
    # numpy's format has no name for bfloat16: such arrays are stored as two raw bytes an element.
    if isinstance(array, np.ndarray) and array.dtype == np.dtype(f"V{dtype.itemsize}"):
        array = array.view(dtype)
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype}[{'x'.join(map(str, array.shape))}]" if isinstance(array, np.ndarray) else "an archive"
        raise ArgumentError(f"{text!r}: {path} holds {found}")
    return array


def _flatten(value: Any, shape: tuple[int, ...], text: str) -> list[Any]:
    """The elements of a list that is nested as `shape` is, or flat."""
    count = math.prod(shape)
    if len(value) == count and not any(isinstance(element, list) for element in value):
        return value
    level: list[Any] = [value]
    for size in shape:
        if any(not isinstance(part, list) or len(part) != size for part in level):
            raise ArgumentError(f"{text!r}: the list is neither nested as {'x'.join(map(str, shape))} nor of {count}")
        level = [element for part in level for element in part]
    return level


def _element(value: Any, dtype: np.dtype, text: str) -> Any:
    """`value` if `dtype` can hold it: floats are rounded, integers are not."""
    if not isinstance(value, bool | int | float):
        raise ArgumentError(f"{text!r}: {json.dumps(value)} is no number")
    if dtype.kind == "b":
        fits = value in (0, 1)
    elif dtype.kind in "iu":
        fits = isinstance(value, int) and np.iinfo(dtype).min <= value <= _largest(dtype)
    else:
        fits = True
    if not fits:
        raise ArgumentError(f"{text!r}: {json.dumps(value)} does not fit in {dtype}")
    if dtype.kind == "i" and value > np.iinfo(dtype).max:
        return int(value) - (1 << 8 * dtype.itemsize)
    return value


def _largest(dtype: np.dtype) -> int:
    """Signless integers may be written as if they were unsigned: 255 is the i8 of all ones."""
    return (1 << 8 * dtype.itemsize) - 1
