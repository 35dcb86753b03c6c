"""The numpy meaning of every dispatch: no machine code, any machine, the results to hold other devices against."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..artifact import Image, Segment
from ..device import Array, Constants
from ..device_spec import DeviceSpec
from ..errors import ArgumentError, DeviceError, DeviceLostError
from ..reference.evaluator import Scope, evaluate_operation
from ..reference.file import SegmentRecord, read
from ..reference.records import Block, Operation, dtype_of

TARGET = "reference"
"""The target of images that this device runs."""


def open_device(spec: DeviceSpec) -> ReferenceDevice:
    """The device, which every machine has."""
    return ReferenceDevice()


class ReferenceDevice:
    """Evaluates records with numpy on the host, on the thread that calls."""

    memory = "host"

    def lacks(self, image: Image) -> str | None:
        return None if image.target == TARGET else f"{image.target} is no code for the device reference"

    def load(self, image: Image, constants: Constants) -> ReferenceExecutable:
        """Raises MalformedFileError where the image's records are damaged."""
        return ReferenceExecutable(image, constants)


class ReferenceExecutable:
    """One image whose records were read and found in order, with its constants where they lie in the artifact."""

    target = TARGET
    threads = 1

    def __init__(self, image: Image, constants: Constants) -> None:
        self.lock = threading.Lock()
        self._segments = read(image.code)
        self._constants = np.frombuffer(constants, np.uint8) if len(constants) else np.zeros(0, np.uint8)

    def bind(self, segment: Segment) -> ReferenceSegment:
        if segment.name not in self._segments:
            raise DeviceError(f"the code lacks segment {segment.name!r}")
        return ReferenceSegment(segment, self._segments[segment.name], self._constants)

    def close(self) -> None:
        """There is nothing to give back."""


class ReferenceSegment:
    """One segment; see `device.BoundSegment`."""

    def __init__(self, segment: Segment, record: SegmentRecord, constants: Array) -> None:
        self.segment = segment
        self._scalars = [dtype_of(element) for element in record.scalars]
        self._block = _with_constants(record.block, constants)
        if len(segment.inputs) + segment.scalars != len(self._block.arguments):
            raise DeviceError(f"the code of segment {segment.name!r} takes other arguments than the plan says")

    def invoke(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> None:
        self.trace(inputs, outputs, table, arena_bytes)

    def trace(
        self, inputs: Sequence[Array], outputs: Sequence[Array], table: Array | None = None, arena_bytes: int = 0
    ) -> npt.NDArray[np.float64]:
        seconds: list[tuple[float, float]] = []
        try:
            results = self._evaluate([*inputs, *self._scalar_arguments(table)], seconds)
        except MemoryError:
            raise DeviceLostError("out of memory") from None
        except (ArgumentError, NotImplementedError) as error:
            raise DeviceError(f"segment {self.segment.name}: {error}") from error
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise DeviceError(f"segment {self.segment.name}: its operations do not fit: {error}") from error
        for number, (output, result) in enumerate(zip(outputs, results, strict=True)):
            if output.shape != result.shape or output.itemsize != result.itemsize:
                made = f"{result.dtype} of shape {result.shape}"
                raise DeviceError(
                    f"segment {self.segment.name}: output {number} is {output.shape}, computed was {made}"
                )
            output[...] = result.view(output.dtype)
        return np.asarray(seconds, np.float64).reshape(len(seconds), 1, 2)

    def _scalar_arguments(self, table: Array | None) -> list[Array]:
        """The last entries of the table: the bits of each fill its low bytes."""
        if not self._scalars:
            return []
        if table is None:
            raise DeviceError(f"segment {self.segment.name} needs a table of scalars")
        entries = np.ascontiguousarray(table[table.size - len(self._scalars) :])
        return [entries[i : i + 1].view(dtype)[0] for i, dtype in enumerate(self._scalars)]

    def _evaluate(self, arguments: Sequence[Array], seconds: list[tuple[float, float]]) -> list[Array]:
        """The results; when each region began and ended is appended to `seconds`."""
        block = self._block
        values = dict(zip(block.arguments, arguments, strict=True))
        for operation, dead in zip(block.operations[:-1], block.last_uses, strict=False):
            begin = time.perf_counter()
            results = evaluate_operation(operation, [values[operand] for operand in operation.operands], Scope(values))
            if operation.name == "dispatch.region":
                seconds.append((begin, time.perf_counter()))
            values.update(zip(operation.results, results, strict=True))
            for value in dead:
                values.pop(value, None)
        return [np.asarray(values[value]) for value in block.yielded]


def _with_constants(block: Block, constants: Array) -> Block:
    """The block of a segment with the elements of its constants in place of their offsets."""
    return Block(block.arguments, [_with_constant(operation, constants) for operation in block.operations])


def _with_constant(operation: Operation, constants: Array) -> Operation:
    if operation.name != "tosa.const":
        return operation
    (type,) = operation.types
    if type.shape is None or None in type.shape:
        raise DeviceError("a constant of the code has no shape")
    offset = operation.attributes["offset"]
    try:
        array = np.ndarray([size or 0 for size in type.shape], type.dtype, constants, offset)
    except (TypeError, ValueError):
        raise DeviceError(f"a constant at {offset} reaches beyond the {constants.size} bytes there are") from None
    array.flags.writeable = False
    return Operation(operation.name, (), operation.results, operation.types, {"value": array})
