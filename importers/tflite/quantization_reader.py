"""Checks and reads the quantisation parameters of a tensor."""

from __future__ import annotations

import numpy as np
import tflite

from .accessors import vector
from .errors import FieldError
from .model import Quantization

# Zero points must lie in the type that they offset. TFLite gives int32 and int64 tensors (biases) a zero point of 0.
_ZERO_POINT_RANGE = {
    "INT4": (-8, 7),
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-(1 << 15), (1 << 15) - 1),
    "INT32": (-(1 << 31), (1 << 31) - 1),
    "INT64": (-(1 << 63), (1 << 63) - 1),
}


def read_quantization(
    parameters: tflite.QuantizationParameters | None, shape: tuple[int, ...], type_name: str, path: str
) -> Quantization | None:
    """The scales and zero points of a tensor, or None where it has none or is of no integer type.

    Float tensors may carry the statistics (`min`, `max`) of their calibration, which do not concern us.
    """
    path = f"{path}.quantization"
    if parameters is None or type_name not in _ZERO_POINT_RANGE or parameters.ScaleLength() == 0:
        return None
    if parameters.DetailsType() != 0:
        raise FieldError(f"{path}.details_type", f"quantisation details of type {parameters.DetailsType()} are unknown")
    scale = vector(parameters.ScaleAsNumpy())
    zero_point = vector(parameters.ZeroPointAsNumpy())
    if zero_point.size == 0:
        zero_point = np.zeros(scale.size, np.int64)
    axis = parameters.QuantizedDimension()
    if scale.size > 1:
        if not 0 <= axis < len(shape):
            raise FieldError(f"{path}.quantized_dimension", f"there is no dimension {axis} in {list(shape)}")
        if scale.size != shape[axis]:
            raise FieldError(f"{path}.scale", f"{scale.size} scales for dimension {axis} of {list(shape)}")
    if zero_point.size == 1:
        zero_point = np.broadcast_to(zero_point, scale.shape)
    if zero_point.size != scale.size:
        raise FieldError(f"{path}.zero_point", f"{zero_point.size} zero points for {scale.size} scales")
    wrong = np.flatnonzero(~(np.isfinite(scale) & (scale > 0)))
    if wrong.size:
        raise FieldError(f"{path}.scale[{wrong[0]}]", f"{scale[wrong[0]]} is not a positive finite number")
    low, high = _ZERO_POINT_RANGE[type_name]
    wrong = np.flatnonzero((zero_point < low) | (zero_point > high))
    if wrong.size:
        raise FieldError(f"{path}.zero_point[{wrong[0]}]", f"{zero_point[wrong[0]]} is no value of {type_name}")
    # uint8 tensors are held as int8, see `model.py`.
    return Quantization(scale, zero_point - 128 if type_name == "UINT8" else zero_point, axis)
