"""One signature as a Python callable on numpy arrays: checks them, then runs the program's devices.

This is the path of every inference, so what can be known before the first call is computed before it, and nothing is
converted that already fits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from .arrays import address_of, aligned_empty
from .artifact import Segment, Signature, TensorInfo, Variant
from .device import Array, DirectSegment, is_direct
from .errors import ArgumentError
from .host_program.instructions import NONE, Execute, HostProgram
from .host_program.station import SegmentTrace, Station

Result = TypeVar("Result")

_COPY_BYTES = 16384
"""Below it an array is copied to the device's own memory: asking numpy for an address (1 us) costs more than that."""


class SignatureExecutor(Protocol):
    """Runs one signature. Safe to call from several threads at once; the calls take turns.

    segments: what is executed, each with the name of its device, in the order of the program.
    """

    signature: Signature
    segments: tuple[tuple[str, Segment], ...]

    def run(self, inputs: Sequence[Any]) -> list[Array]:
        """Outputs in the signature's order for inputs in the signature's order. Raises ArgumentError, DeviceError."""
        ...

    def trace(self, inputs: Sequence[Any]) -> tuple[list[Array], list[SegmentTrace]]:
        """`run`, and when each step of each execution of a segment ran."""
        ...

    def prepare(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], None]:
        """A function that runs on these arrays, which `invocation` has checked. Raises DeviceError when called."""
        ...


def make_executor(
    signature: Signature, program: HostProgram, variant: Variant, stations: Sequence[Station], constants: Array
) -> SignatureExecutor:
    """The executor of a verified program on the devices that `stations` stand for."""
    if signature.computed != signature:
        computed = make_executor(signature.computed, program, variant, stations, constants)
        return _UnsignedExecutor(signature, computed)
    segments = tuple(
        (stations[instruction.device].name, variant.images[instruction.device].segments[instruction.segment])
        for block in program.blocks
        for instruction in block.instructions
        if isinstance(instruction, Execute)
    )
    call = _only_call(program)
    if len(stations) == 1 and call is not None:
        bound = stations[0].segments[call.segment]
        if is_direct(bound) and _is_static(signature, bound.segment):
            return _DirectExecutor(signature, program, call, stations[0], bound, segments)
    return _HostExecutor(signature, program, stations, constants, segments)


def order_inputs(signature: Signature, inputs: Mapping[str, Any]) -> list[Any]:
    """The values in the signature's order. Raises ArgumentError for missing or unknown names."""
    names = [tensor.name for tensor in signature.inputs]
    if len(inputs) == len(names) and all(name in inputs for name in names):
        return [inputs[name] for name in names]
    problems = [f"unknown input {name!r}" for name in inputs if name not in names]
    problems += [f"missing input {name!r}" for name in names if name not in inputs]
    raise ArgumentError(f"{', '.join(problems)}; {_describe_inputs(signature)}")


def name_outputs(signature: Signature, outputs: Sequence[Array]) -> dict[str, Array]:
    return {tensor.name: output for tensor, output in zip(signature.outputs, outputs, strict=True)}


class _UnsignedExecutor:
    """Runs a signature with unsigned tensors, whose bits the `computed` one takes and returns as signed."""

    def __init__(self, signature: Signature, computed: SignatureExecutor) -> None:
        self.signature = signature
        self.segments = computed.segments
        self._computed = computed
        self._checks = tuple(map(_Check, signature.inputs))

    def run(self, inputs: Sequence[Any]) -> list[Array]:
        return self._returned(self._computed.run(self._taken(inputs)))

    def trace(self, inputs: Sequence[Any]) -> tuple[list[Array], list[SegmentTrace]]:
        outputs, traces = self._computed.trace(self._taken(inputs))
        return self._returned(outputs), traces

    def prepare(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], None]:
        signed = [
            [array.view(tensor.computed.numpy_dtype) for array, tensor in zip(arrays, tensors, strict=True)]
            for arrays, tensors in ((inputs, self.signature.inputs), (outputs, self.signature.outputs))
        ]
        return self._computed.prepare(*signed)

    def _taken(self, inputs: Sequence[Any]) -> list[Array]:
        arrays = _checked(self.signature, self._checks, inputs)
        return [
            array.view(tensor.computed.numpy_dtype) for array, tensor in zip(arrays, self.signature.inputs, strict=True)
        ]

    def _returned(self, outputs: Sequence[Array]) -> list[Array]:
        return [array.view(tensor.numpy_dtype) for array, tensor in zip(outputs, self.signature.outputs, strict=True)]


class _HostExecutor:
    """Runs a signature by its host program."""

    def __init__(
        self,
        signature: Signature,
        program: HostProgram,
        stations: Sequence[Station],
        constants: Array,
        segments: tuple[tuple[str, Segment], ...],
    ) -> None:
        from .host_program.interpreter import Interpreter  # Most programs need none, and start faster without.

        self.signature = signature
        self.segments = segments
        self._interpreter = Interpreter(program, stations, constants)
        self._checks = tuple(map(_Check, signature.inputs))
        self._stations = stations
        self._lock = threading.Lock()

    def run(self, inputs: Sequence[Any]) -> list[Array]:
        arrays = _checked(self.signature, self._checks, inputs)
        with self._lock:
            return self._interpreter.run(arrays)

    def trace(self, inputs: Sequence[Any]) -> tuple[list[Array], list[SegmentTrace]]:
        arrays = _checked(self.signature, self._checks, inputs)
        traces: list[SegmentTrace] = []
        with self._lock:
            for station in self._stations:
                station.traces = traces
            try:
                return self._interpreter.run(arrays), traces
            finally:
                for station in self._stations:
                    station.traces = None

    def prepare(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], None]:
        def invoke() -> None:
            for tensor, output, made in zip(self.signature.outputs, outputs, self.run(inputs), strict=True):
                if made.shape != output.shape:  # only sizes that the type leaves open can differ
                    found = f"{made.dtype}[{'x'.join(map(str, made.shape))}]"
                    raise ArgumentError(f"output {tensor.name!r} is {found}, bound is an array of {output.shape}")
                np.copyto(output, made)

        return invoke


class _DirectExecutor:
    """Runs a signature that is one segment of known sizes, by the addresses of its arrays."""

    def __init__(
        self,
        signature: Signature,
        program: HostProgram,
        call: Execute,
        station: Station,
        bound: DirectSegment,
        segments: tuple[tuple[str, Segment], ...],
    ) -> None:
        main = program.blocks[0]
        self.signature = signature
        self.segments = segments
        self._executable = station.executable
        self._bound = bound
        self._device = station.name
        self._checks = tuple(map(_Check, signature.inputs))
        places = [main.arguments.index(register) for register in call.inputs]
        self._inputs = tuple((_Place(array), place) for array, place in zip(bound.staging_inputs, places, strict=True))
        self._outputs = tuple(map(_Place, bound.staging_outputs))
        order = [call.results.index(register) for register in main.yields]
        self._order = None if order == list(range(len(call.results))) else order
        copied = [place for place, _ in self._inputs] + list(self._outputs)
        self._copies_all = all(place.is_copied for place in copied)
        self._copies = tuple((place.staging, position) for place, position in self._inputs)
        self._made = tuple(place.staging for place in self._outputs)
        self._expected = tuple((check.dtype, check.shape) for check in self._checks)
        self._invoke = bound.prepare(
            [place.address for place, _ in self._inputs], [place.address for place in self._outputs]
        )

    def run(self, inputs: Sequence[Any]) -> list[Array]:
        if not self._copies_all or not self._fit(inputs):
            return self._execute(inputs, self._bound.invoke_at)[0]
        # All arrays are small: addresses stay the same, and every microsecond counts beside what the device does.
        with self._executable.lock:
            for staging, position in self._copies:
                staging[...] = inputs[position]
            self._invoke()
            made = [staging.copy() for staging in self._made]
        return made if self._order is None else self._ordered(made)

    def _fit(self, inputs: Sequence[Any]) -> bool:
        """Whether `inputs` are arrays of exactly what is wanted, so that nothing has to be said or converted."""
        if len(inputs) != len(self._expected):
            return False
        for value, (dtype, shape) in zip(inputs, self._expected, strict=True):
            if type(value) is not np.ndarray or value.dtype is not dtype or value.shape != shape:
                return False
        return True

    def prepare(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Callable[[], None]:
        executable = self._executable
        results = [place.address for place in self._outputs]  # for those that the signature does not return
        for position, output in zip(self._order or range(len(outputs)), outputs, strict=True):
            results[position] = address_of(output)
        invoke = self._bound.prepare([address_of(inputs[position]) for _, position in self._inputs], results)

        def run(arrays: Sequence[Array] = (*inputs, *outputs)) -> None:  # holds what it has the addresses of
            with executable.lock:  # not always the same: a forked child has its own
                invoke()

        return run

    def trace(self, inputs: Sequence[Any]) -> tuple[list[Array], list[SegmentTrace]]:
        arrays = _checked(self.signature, self._checks, inputs)
        with self._executable.lock:
            outputs = [np.empty_like(place.staging) for place in self._outputs]
            seconds = self._bound.trace([arrays[place] for _, place in self._inputs], outputs)
        trace = SegmentTrace(self._device, self._bound.segment, seconds)
        return self._ordered(outputs), [trace]

    def _execute(
        self, inputs: Sequence[Any], run: Callable[[list[int], list[int]], Result]
    ) -> tuple[list[Array], Result]:
        """The outputs, and what `run` returns when it is given the addresses of inputs and outputs."""
        if len(inputs) != len(self._checks):
            raise ArgumentError(f"{len(inputs)} inputs given; {_describe_inputs(self.signature)}")
        arrays = [check(value) for check, value in zip(self._checks, inputs, strict=True)]
        fresh = [None if place.is_copied else aligned_empty(place.shape, place.dtype) for place in self._outputs]
        outputs = list(zip(self._outputs, fresh, strict=True))
        with self._executable.lock:
            input_addresses = [place.put(arrays[position]) for place, position in self._inputs]
            output_addresses = [place.address if new is None else new[1] for place, new in outputs]
            result = run(input_addresses, output_addresses)
            made = [place.staging.copy() if new is None else new[0] for place, new in outputs]
        return self._ordered(made), result

    def _ordered(self, made: list[Array]) -> list[Array]:
        return made if self._order is None else [made[position] for position in self._order]


class _Check:
    """Turns a value into an array of one input's dtype and shape. Raises ArgumentError; never converts numbers."""

    def __init__(self, tensor: TensorInfo) -> None:
        self.tensor = tensor
        self.dtype = tensor.numpy_dtype
        self.type = tensor.type
        self.shape = tensor.shape
        self._held = tensor.shape  # the last one that fitted: with unknown sizes it tends to come again

    def __call__(self, value: Any) -> Array:
        array = value if type(value) is np.ndarray else np.asarray(value)
        if array.dtype == self.dtype and array.shape == self._held:
            return array
        if array.dtype != self.dtype or not self.type.holds(array.shape):
            found = f"{array.dtype}[{'x'.join(map(str, array.shape))}]"
            raise ArgumentError(f"input {self.tensor.name!r} is {found}; expected {self.tensor.type}")
        self._held = array.shape
        return array


class _Place:
    """The device memory that stands in for one input or output of a segment."""

    def __init__(self, staging: Array) -> None:
        self.staging = staging
        self.shape = staging.shape
        self.dtype = staging.dtype
        self.address = address_of(staging)
        self.is_copied = staging.nbytes < _COPY_BYTES

    def put(self, array: Array) -> int:
        """The address of `array`'s elements in dense order: its own where the device can read it there."""
        if not self.is_copied and array.flags.c_contiguous and array.flags.aligned:
            return address_of(array)
        np.copyto(self.staging, array)
        return self.address


def _checked(signature: Signature, checks: Sequence[_Check], inputs: Sequence[Any]) -> list[Array]:
    """The inputs as dense arrays of what the signature says."""
    if len(inputs) != len(checks):
        raise ArgumentError(f"{len(inputs)} inputs given; {_describe_inputs(signature)}")
    arrays = [check(value) for check, value in zip(checks, inputs, strict=True)]
    return [a if a.flags.c_contiguous and a.flags.aligned else np.require(a, None, ["C", "A"]) for a in arrays]


def _describe_inputs(signature: Signature) -> str:
    takes = ", ".join(map(str, signature.inputs)) or "no inputs"
    return f"signature {signature.name!r} takes {takes}"


def _only_call(program: HostProgram) -> Execute | None:
    """The call of a program that passes its inputs to one segment and returns what that computes."""
    main = program.blocks[0]
    if len(main.instructions) != 1:
        return None
    (call,) = main.instructions
    if not isinstance(call, Execute) or call.scalars or call.dims or call.arena_bytes != NONE:
        return None
    returns_results = set(main.yields) <= set(call.results) and len(set(main.yields)) == len(main.yields)
    return call if returns_results else None


def _is_static(signature: Signature, segment: Segment) -> bool:
    tensors = (*signature.inputs, *signature.outputs)
    types = (*segment.inputs, *segment.outputs, *(tensor.type for tensor in tensors))
    return not any(type.dynamic_dims for type in types)
