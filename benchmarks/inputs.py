"""Inputs for benchmarks and end-to-end tests, made from a TFLite model's own description of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_PIXELS = {"efficientnet_b0": (0.0, 255.0), "mobilenet_v3_small": (0.0, 255.0)}
"""What images consist of in the float models whose name begins so, where it is not -1..1."""


def _enlarge(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear enlargement of [k, k, c] to [*size, c]."""
    positions = [np.linspace(0, grid.shape[axis] - 1, size[axis]) for axis in (0, 1)]
    lower = [np.minimum(position.astype(int), max(grid.shape[0] - 2, 0)) for position in positions]
    upper = [np.minimum(index + 1, grid.shape[0] - 1) for index in lower]
    row, column = (position - index for position, index in zip(positions, lower, strict=True))
    row, column = row[:, None, None], column[None, :, None]
    top = grid[lower[0]][:, lower[1]] * (1 - column) + grid[lower[0]][:, upper[1]] * column
    bottom = grid[upper[0]][:, lower[1]] * (1 - column) + grid[upper[0]][:, upper[1]] * column
    return top * (1 - row) + bottom * row


def smooth_image(generator: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """float32 [height, width, channels] in 0..1: octaves of noise, as photographs have it.

    White noise would saturate networks whose statistics were calibrated on images, and so hide errors.
    """
    image = np.zeros((height, width, channels))
    for octave, amplitude in ((4, 1.0), (16, 0.5), (64, 0.25), (min(height, width), 0.12)):
        image += amplitude * _enlarge(generator.standard_normal((octave, octave, channels)), (height, width))
    return ((image - image.min()) / (image.max() - image.min())).astype(np.float32)


def example_inputs(model: Path, seed: int = 0) -> list[np.ndarray]:
    """One array per input of the TFLite `model`, in its order: smooth images, token ids, masks or normal noise."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(str(model), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    generator = np.random.default_rng(seed)
    low, high = next((pixels for name, pixels in _PIXELS.items() if model.name.startswith(name)), (-1.0, 1.0))
    arrays = []
    for detail in interpreter.get_input_details():
        shape, dtype = tuple(int(size) for size in detail["shape"]), np.dtype(detail["dtype"])
        if "mask" in detail["name"]:
            array = np.ones(shape, dtype)
            array[..., shape[-1] * 3 // 4 :] = 0
        elif dtype in (np.int32, np.int64):
            array = generator.integers(0, 1000, shape).astype(dtype)
        else:
            image_like = len(shape) == 4 and shape[-1] in (1, 3)
            array = (
                np.stack([smooth_image(generator, *shape[1:]) for _ in range(shape[0])])
                if image_like
                else generator.standard_normal(shape).astype(np.float32)
            )
            if dtype in (np.int8, np.uint8):
                limits = np.iinfo(dtype)
                unit = array if image_like else (array + 3) / 6
                array = np.clip(np.round(limits.min + unit * 255), limits.min, limits.max).astype(dtype)
            elif image_like:
                array = low + array * (high - low)
        arrays.append(np.ascontiguousarray(array, dtype))
    return arrays
