"""TFLite's tensor types: what MLIR and numpy call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import tflite
from xdsl.dialects import builtin
from xdsl.ir import Attribute

TYPE_NAMES = {value: name for name, value in vars(tflite.TensorType).items() if isinstance(value, int)}


@dataclass(frozen=True, slots=True)
class TypeInfo:
    """How tensors of one type are held."""

    element_type: Attribute
    """What legalisations and TOSA see."""

    dtype: np.dtype[Any]
    """What the file stores; of INT4, after unpacking."""


# uint8 and int4 are held as int8: the reader shifts the one by 128 and sign-extends the other (see `reader.py`).
TYPES = {
    "FLOAT64": TypeInfo(builtin.f64, np.dtype(np.float64)),
    "FLOAT32": TypeInfo(builtin.f32, np.dtype(np.float32)),
    "FLOAT16": TypeInfo(builtin.f16, np.dtype(np.float16)),
    "BFLOAT16": TypeInfo(builtin.bf16, np.dtype(ml_dtypes.bfloat16)),
    "INT64": TypeInfo(builtin.i64, np.dtype(np.int64)),
    "INT32": TypeInfo(builtin.i32, np.dtype(np.int32)),
    "INT16": TypeInfo(builtin.IntegerType(16), np.dtype(np.int16)),
    "INT8": TypeInfo(builtin.i8, np.dtype(np.int8)),
    "UINT8": TypeInfo(builtin.i8, np.dtype(np.uint8)),
    "INT4": TypeInfo(builtin.i8, np.dtype(np.int8)),
    "BOOL": TypeInfo(builtin.i1, np.dtype(np.bool_)),
}
"""The types that TOSA can express. Tensors of other types are an unsupported feature of the operators that use them."""
