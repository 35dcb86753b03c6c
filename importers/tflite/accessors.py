"""What the accessors of the `tflite` package leave to their caller: absent vectors, elements to be there, and text."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from .model import Array

T = TypeVar("T")


def present(table: T | None) -> T:
    """The accessors' types say None even for elements that verification has proved to be there."""
    assert table is not None
    return table


def text(raw: bytes | None) -> str:
    """A string; the schema demands UTF-8, but names are only names, so anything else is replaced."""
    return (raw or b"").decode("utf-8", "replace")


def vector(array: Any) -> Array:
    """A vector of scalars as a view of the file. The `...AsNumpy` accessors return 0 for an absent one."""
    return array if isinstance(array, np.ndarray) else np.empty(0, np.int64)


def integers(array: Any) -> tuple[int, ...]:
    """A vector of integers as Python numbers."""
    return tuple(vector(array).tolist())
