"""One signature as a Python callable on numpy arrays: checks them, finds their memory, runs the device.

This is the path of every inference, so what can be known before the first call is computed before it, and nothing is
converted that already fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .arrays import aligned_empty
from .artifact import Plan, Signature, TensorInfo
from .device import BoundSignature, Executable
from .errors import ArgumentError

Array = npt.NDArray[Any]
Result = TypeVar("Result")

_COPY_BYTES = 16384
"""Below it an array is copied to the device's own memory: asking numpy for an address (1 us) costs more than that."""


class SignatureExecutor:
    """Runs one signature on one device. Safe to call from several threads at once; the calls take turns."""

    def __init__(self, executable: Executable, signature: Signature) -> None:
        self._executable = executable
        self._bound: BoundSignature = executable.bind(signature)
        self.signature = signature
        self.plan: Plan = self._bound.plan
        self._inputs = tuple(_Slot(t, a) for t, a in zip(signature.inputs, self._bound.staging_inputs, strict=True))
        self._names = dict.fromkeys(tensor.name for tensor in signature.inputs).keys()
        self._outputs = tuple(_Slot(t, a) for t, a in zip(signature.outputs, self._bound.staging_outputs, strict=True))

    def run(self, inputs: Sequence[Any]) -> list[Array]:
        """Outputs in the signature's order for inputs in the signature's order. Raises ArgumentError, DeviceError."""
        return self._execute(inputs, self._bound.invoke)[0]

    def run_named(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """The same by name."""
        return self.name_outputs(self.run(self.order_inputs(inputs)))

    def trace(self, inputs: Sequence[Any]) -> tuple[list[Array], npt.NDArray[np.uint64]]:
        """`run`, and the begin and end of every step on every thread in device ticks, [steps, threads, 2]."""
        return self._execute(inputs, self._bound.trace)

    def order_inputs(self, inputs: Mapping[str, Any]) -> list[Any]:
        """The values in the signature's order. Raises ArgumentError for missing or unknown names."""
        if inputs.keys() == self._names:
            return [inputs[name] for name in self._names]
        problems = [f"unknown input {name!r}" for name in inputs if name not in self._names]
        problems += [f"missing input {name!r}" for name in self._names if name not in inputs]
        raise ArgumentError(f"{', '.join(problems)}; {self._describe_inputs()}")

    def name_outputs(self, outputs: Sequence[Array]) -> dict[str, Array]:
        return {slot.tensor.name: output for slot, output in zip(self._outputs, outputs, strict=True)}

    def _execute(
        self, inputs: Sequence[Any], run: Callable[[list[int], list[int]], Result]
    ) -> tuple[list[Array], Result]:
        """The outputs, and what `run` returns when it is given the addresses of inputs and outputs."""
        if len(inputs) != len(self._inputs):
            raise ArgumentError(f"{len(inputs)} inputs given; {self._describe_inputs()}")
        arrays = [slot.check(value) for slot, value in zip(self._inputs, inputs, strict=True)]
        fresh = [None if slot.is_copied else aligned_empty(slot.tensor.shape, slot.dtype) for slot in self._outputs]
        outputs = list(zip(self._outputs, fresh, strict=True))
        with self._executable.lock:
            input_addresses = [slot.place(array) for slot, array in zip(self._inputs, arrays, strict=True)]
            output_addresses = [slot.address if new is None else new[1] for slot, new in outputs]
            result = run(input_addresses, output_addresses)
            return [slot.staging.copy() if new is None else new[0] for slot, new in outputs], result

    def _describe_inputs(self) -> str:
        takes = ", ".join(str(slot.tensor) for slot in self._inputs) or "no inputs"
        return f"signature {self.signature.name!r} takes {takes}"


class _Slot:
    """One input or output: what it must be, and the device memory that stands in for it."""

    def __init__(self, tensor: TensorInfo, staging: Array) -> None:
        self.tensor = tensor
        self.dtype = tensor.numpy_dtype
        self.staging = staging
        self.address: int = staging.ctypes.data
        self.is_copied = tensor.nbytes < _COPY_BYTES

    def check(self, value: Any) -> Array:
        """`value` as an array of this tensor's dtype and shape. Raises ArgumentError; never converts numbers."""
        array = value if type(value) is np.ndarray else np.asarray(value)
        if array.dtype != self.dtype or array.shape != self.tensor.shape:
            found = f"{array.dtype}[{'x'.join(map(str, array.shape))}]"
            raise ArgumentError(f"input {self.tensor.name!r} is {found}; expected {self.tensor}")
        return array

    def place(self, array: Array) -> int:
        """The address of `array`'s elements in dense order: its own where the device can read it there."""
        if not self.is_copied and array.flags.c_contiguous and array.flags.aligned:
            return array.__array_interface__["data"][0]
        np.copyto(self.staging, array)
        return self.address
