"""Input samples from files: arrays, archives, images, or folders of them.

Each `--input` is PATH or NAME=PATH. A path is

- `.npy`: one sample, or several along a new first axis, or along the first axis of an input whose own is 1;
- `.npz`: the same for every input, by name;
- a picture: resized to the input's height and width (bilinear), as grey, RGB or RGBA by its number of channels;
- a folder: one sample per file, in order of their names.

Pixels 0..255 become `image_range` (0..1 unless told otherwise) for floating-point inputs and stay what they are for
uint8; int8 inputs get pixel - 128, which is what models that were calibrated on images of the full range expect.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .artifact import TensorInfo, TensorType
from .errors import ArgumentError, MalformedFileError, TosaicError

Array = npt.NDArray[Any]

ARRAY_SUFFIXES = (".npy", ".npz")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Number of channels -> pillow's name of the pixel format."""


class Column(Protocol):
    """The values of one input. `labels` name the samples; a column of one value that is no batch has None."""

    @property
    def labels(self) -> Sequence[str] | None: ...

    def value(self, index: int) -> Array: ...


class ArrayColumn:
    """An array that holds one sample or, along its first axis, several."""

    def __init__(self, tensor: TensorInfo, array: Array) -> None:
        self._array = array
        sample = TensorType(tensor.dtype, tensor.shape[1:])
        self._is_stack = array.ndim > 0 and tensor.type.holds(array.shape[1:])
        is_batch = tensor.shape[:1] == (1,) and array.ndim > 0 and sample.holds(array.shape[1:])
        self._is_many = not tensor.type.holds(array.shape) and (self._is_stack or is_batch)
        self.labels = [str(index) for index in range(len(array))] if self._is_many else None

    def value(self, index: int) -> Array:
        if not self._is_many:
            return self._array
        return self._array[index] if self._is_stack else self._array[index : index + 1]


class FileColumn:
    """One file per sample: a picture, an array, or an archive with an array of the input's name."""

    def __init__(self, tensor: TensorInfo, paths: Sequence[Path], image_range: tuple[float, float]) -> None:
        self._tensor = tensor
        self._paths = paths
        self._image_range = image_range
        self.labels = [path.name for path in paths]

    def value(self, index: int) -> Array:
        return _read_value(self._paths[index], self._tensor, self._image_range)


class Samples:
    """What to run a program on. Iterating yields one dict of inputs by name per sample, read when it is needed.

    is_batch: whether results belong on a new first axis; a single file that holds one sample is no batch.
    labels: a name for each sample.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        batches = {name: column.labels for name, column in columns.items() if column.labels is not None}
        if len({len(labels) for labels in batches.values()}) > 1:
            counts = ", ".join(f"{len(labels)} of {name!r}" for name, labels in batches.items())
            raise ArgumentError(f"the inputs differ in their number of samples: {counts}")
        self.is_batch = bool(batches)
        self.labels = next(iter(batches.values()), [""])
        if not self.labels:
            raise ArgumentError("there is no sample among the inputs: an array has none along its first axis")

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for index in range(len(self)):
            yield {name: column.value(index) for name, column in self._columns.items()}


def read_samples(specs: Sequence[str], inputs: Sequence[TensorInfo], image_range: tuple[float, float]) -> Samples:
    """The samples that `--input` options name. Raises ArgumentError, MalformedFileError, OSError.

    Whether every input is given, with the right shape and dtype, is checked when the program runs.
    """
    columns: dict[str, Column] = {}
    by_name = {tensor.name: tensor for tensor in inputs}
    for spec in specs:
        name, path = _split(spec)
        if name is not None and name not in by_name:
            raise ArgumentError(f"unknown input {name!r}; the program takes {', '.join(map(str, inputs)) or 'none'}")
        paths = _list_folder(path) if path.is_dir() else None
        if name is None and (paths or [path])[0].suffix == ".npz":
            with _open_archive((paths or [path])[0]) as archive:
                tensors = [by_name.get(key, TensorInfo(key, "float32", ())) for key in archive.files]
        else:
            tensors = [by_name[name] if name is not None else _only(inputs, spec)]
        for tensor in tensors:
            if paths is not None:
                columns[tensor.name] = FileColumn(tensor, paths, image_range)
            else:
                columns[tensor.name] = ArrayColumn(tensor, _read_value(path, tensor, image_range))
    return Samples(columns)


def _split(spec: str) -> tuple[str | None, Path]:
    """The input's name, if one is given, and the path. A path that exists is never taken apart."""
    name, equals, rest = spec.partition("=")
    if equals and not Path(spec).exists():
        return name, Path(rest)
    return None, Path(spec)


def _only(inputs: Sequence[TensorInfo], spec: str) -> TensorInfo:
    if len(inputs) != 1:
        names = ", ".join(str(tensor) for tensor in inputs) or "none"
        raise ArgumentError(f"--input {spec}: say for which input, as NAME={spec}; the program takes {names}")
    return inputs[0]


def _list_folder(folder: Path) -> list[Path]:
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (*ARRAY_SUFFIXES, *IMAGE_SUFFIXES))
    if not paths:
        raise ArgumentError(f"{folder}: there is no image or array in this folder")
    return paths


def _read_value(path: Path, tensor: TensorInfo, image_range: tuple[float, float]) -> Array:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_array(path)
    if suffix == ".npz":
        with _open_archive(path) as archive:
            if tensor.name not in archive.files:
                raise ArgumentError(f"{path} has no array {tensor.name!r}, only {', '.join(archive.files) or 'none'}")
            return _read_member(path, archive, tensor.name)
    if suffix in IMAGE_SUFFIXES:
        return _read_image(path, tensor, image_range)
    raise ArgumentError(f"{path}: neither an array ({', '.join(ARRAY_SUFFIXES)}) nor an image, by its name")


def _read_array(path: Path) -> Array:
    with _decoding(path, "is no .npy array"):
        return np.load(path, mmap_mode="r", allow_pickle=False)


def _open_archive(path: Path) -> Any:
    with _decoding(path, "is no .npz archive"):
        archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise MalformedFileError(f"{path} is no .npz archive but a single array")
    return archive


def _read_member(path: Path, archive: Any, name: str) -> Array:
    with _decoding(path, f"has no array in {name!r}"):
        return archive[name]


@contextlib.contextmanager
def _decoding(path: Path, problem: str) -> Iterator[None]:
    """Readers of damaged files raise anything: all of it becomes a MalformedFileError, their warnings are dropped."""
    path.open("rb").close()  # A file that is missing or not ours to read is not damaged, but an OSError.
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except TosaicError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise MalformedFileError(f"{path} {problem}: {reason}") from None


def _read_image(path: Path, tensor: TensorInfo, image_range: tuple[float, float]) -> Array:
    """The picture as the input wants it: NHWC or NCHW, told by which axis has 1, 3 or 4 channels.

    Where the input takes any height or width it keeps its own.
    """
    from PIL import Image, ImageOps

    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # It would print what we raise as an error.

    if len(tensor.shape) < 3 or 0 in tensor.shape:
        raise ArgumentError(f"{path}: a picture does not fit {tensor}")
    *leading, first, second, third = tensor.shape
    channels_last = third in _MODES
    height, width, channels = (first, second, third) if channels_last else (second, third, first)
    if channels not in _MODES or any(size not in (None, 1) for size in leading):
        raise ArgumentError(f"{path}: a picture does not fit {tensor}")
    with _decoding(path, "is no readable picture"), Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert(_MODES[channels])
        size = (upright.width if width is None else width, upright.height if height is None else height)
        pixels = np.asarray(upright.resize(size, Image.Resampling.BILINEAR))
    pixels = pixels.reshape(*pixels.shape[:2], channels)
    if not channels_last:
        pixels = pixels.transpose(2, 0, 1)
    return _scale_pixels(pixels, path, tensor, image_range).reshape([1] * len(leading) + list(pixels.shape))


def _scale_pixels(pixels: Array, path: Path, tensor: TensorInfo, image_range: tuple[float, float]) -> Array:
    dtype = tensor.numpy_dtype
    if dtype == np.uint8:
        return pixels
    if dtype == np.int8:
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    if tensor.dtype in ("float16", "bfloat16", "float32", "float64"):
        low, high = image_range
        return (low + pixels.astype(np.float32) * np.float32((high - low) / 255)).astype(dtype)
    raise ArgumentError(f"{path}: a picture cannot become {tensor}")
