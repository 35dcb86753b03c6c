"""What comes out of a program: collected by output name, written as .npz, summed up for people."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .atomic import atomic_write

Array = npt.NDArray[Any]

_FEW = 4
"""Outputs with no more elements than this are shown in full."""


class Results:
    """Outputs of `count` runs by name; with `is_batch` they are stacked along a new first axis."""

    def __init__(self, count: int, is_batch: bool) -> None:
        self._count = count
        self._is_batch = is_batch
        self.arrays: dict[str, Array] = {}

    def add(self, index: int, outputs: Mapping[str, Array]) -> None:
        for name, output in outputs.items():
            if not self._is_batch:
                self.arrays[name] = output
                continue
            if name not in self.arrays:
                self.arrays[name] = np.empty((self._count, *output.shape), output.dtype)
            self.arrays[name][index] = output

    def save(self, path: Path) -> None:
        """Write a .npz archive, whole or not at all. numpy.savez would not take every name. Raises OSError."""
        with atomic_write(path) as stream, zipfile.ZipFile(stream, "w") as archive:
            for name, array in self.arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def summarise(output: Array) -> str:
    """One line: the values if they are few, else the largest and where it is."""
    values = np.asarray(output)
    if values.size <= _FEW:
        return " ".join(f"{value:.6g}" for value in values.ravel().tolist())
    numbers = values.astype(np.float64) if values.dtype.kind not in "biu" else values
    position = np.unravel_index(np.argmax(numbers), values.shape)
    where = ", ".join(str(int(index)) for index, size in zip(position, values.shape, strict=True) if size > 1)
    return f"largest {numbers[position]:.6g} at [{where}], mean {np.mean(numbers, dtype=np.float64):.6g}"
