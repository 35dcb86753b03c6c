"""Calls whose arrays are bound once, for programs so small that checking and copying arrays is most of their time.

with load("model.module") as program:
    invocation = program.bind([image])
    for image[...] in images:
        (scores,) = invocation()        # written into the same array by every call
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .artifact import Signature, TensorInfo
from .errors import ArgumentError

Array = npt.NDArray[Any]


class Invocation:
    """A call of a function that reads `inputs` and writes `outputs`, in the signature's order, whenever it is made."""

    def __init__(self, inputs: Sequence[Array], outputs: Sequence[Array], invoke: Callable[[], None]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._invoke = invoke

    def __call__(self) -> tuple[Array, ...]:
        """Run once; `outputs`, which the next call writes again. Raises DeviceError."""
        self._invoke()
        return self.outputs


def bindable_inputs(signature: Signature, inputs: Sequence[Any]) -> list[Array]:
    """The inputs, if they can be read in place call by call. Raises ArgumentError."""
    return _fitting("input", signature.inputs, inputs)


def bindable_outputs(signature: Signature, outputs: Sequence[Any], inputs: Sequence[Array]) -> list[Array]:
    """The outputs, if they can be written while `inputs` are read. Raises ArgumentError."""
    arrays = _fitting("output", signature.outputs, outputs)
    for position, (tensor, array) in enumerate(zip(signature.outputs, arrays, strict=True)):
        if not array.flags.writeable:
            raise ArgumentError(f"output {tensor.name!r} is bound to an array that cannot be written")
        if any(np.may_share_memory(array, other) for other in (*inputs, *arrays[:position])):
            raise ArgumentError(f"output {tensor.name!r} is bound to memory of an input or of another output")
    return arrays


def _fitting(kind: str, tensors: Sequence[TensorInfo], arrays: Sequence[Any]) -> list[Array]:
    if len(arrays) != len(tensors):
        raise ArgumentError(f"{len(arrays)} {kind}s given; expected {_list(tensors)}")
    for tensor, array in zip(tensors, arrays, strict=True):
        if not isinstance(array, np.ndarray):
            raise ArgumentError(f"{kind} {tensor.name!r} is bound to a {type(array).__name__}, not to a numpy array")
        if array.dtype != tensor.numpy_dtype or not tensor.type.holds(array.shape):
            found = f"{array.dtype}[{'x'.join(map(str, array.shape))}]"
            raise ArgumentError(f"{kind} {tensor.name!r} is {found}; expected {tensor.type}")
        if not (array.flags.c_contiguous and array.flags.aligned):
            raise ArgumentError(f"{kind} {tensor.name!r} is bound to an array that is not dense and aligned")
    return list(arrays)


def _list(tensors: Iterable[TensorInfo]) -> str:
    return ", ".join(map(str, tensors)) or "none"
