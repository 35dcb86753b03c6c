"""Load a compiled program and run it.

with load("model.module") as program:
    outputs = program.run([image])                         # list in model order
    outputs = program.run({"image": image})                # dict by name
    loss = program.signatures["train"](x=x, y=y)["loss"]
    for (scores,) in program.map([image] for image in images): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, overload

import numpy.typing as npt

from . import artifact_file
from .arrays import aligned_empty
from .artifact import Artifact, Signature, TensorInfo, Variant
from .device import Executable
from .devices import cpu as cpu  # nearly every program needs it: imported with the API, not by the first `load`
from .errors import ArgumentError
from .executor import SignatureExecutor, name_outputs, order_inputs
from .invocation import Invocation, bindable_inputs, bindable_outputs
from .loading import load_devices, on_devices
from .verify import verify

Array = npt.NDArray[Any]

_DEFAULT_SIGNATURES = ("main", "serving_default")


def load(source: str | Path | Artifact, threads: int | None = None, devices: str | None = None) -> Program:
    """Make an artifact, or the file that holds one, ready to run.

    devices: such as "cpu:2", of the kinds it was compiled for; by default those it was compiled for.
    threads: threads per CPU device; overrides what `devices` says. By default one per available processor.

    Raises MalformedFileError for a damaged file, DeviceError where this machine cannot run it, ArgumentError, OSError.
    """
    if isinstance(source, Artifact):
        artifact = source
        verify(artifact)
    else:
        artifact = artifact_file.load(Path(source))
    return Program(on_devices(artifact, devices, threads))


class Function:
    """One signature of a program. Call it with arrays by name, or `run` a list or dict of them."""

    def __init__(self, executor: SignatureExecutor) -> None:
        self.executor = executor

    @property
    def signature(self) -> Signature:
        return self.executor.signature

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return self.executor.signature.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return self.executor.signature.outputs

    def __call__(self, **inputs: Any) -> dict[str, Array]:
        return self._run_named(inputs)

    def _run_named(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        return name_outputs(self.signature, self.executor.run(order_inputs(self.signature, inputs)))

    @overload
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]: ...
    @overload
    def run(self, inputs: Sequence[Any]) -> list[Array]: ...
    def run(self, inputs: Mapping[str, Any] | Sequence[Any]) -> dict[str, Array] | list[Array]:
        """Run once; the outputs come as the inputs do. Raises ArgumentError for wrong names, shapes or dtypes.

        Big inputs are used in place when they are dense and aligned to their elements; outputs are new arrays.
        """
        if type(inputs) is not list and isinstance(inputs, Mapping):
            return self._run_named(inputs)
        return self.executor.run(inputs)

    def bind(self, inputs: Sequence[Array], outputs: Sequence[Array] | None = None) -> Invocation:
        """A call that reads `inputs` and writes `outputs` in place whenever it is made: the quickest there is.

        Without `outputs` it has arrays of its own. Raises ArgumentError for arrays of other types, that are not dense,
        or that share memory where one is written, and where sizes are not known and no `outputs` tell them.
        """
        sources = bindable_inputs(self.signature, inputs)
        if outputs is None:
            outputs = [_empty(tensor) for tensor in self.outputs]
        results = bindable_outputs(self.signature, outputs, sources)
        return Invocation(sources, results, self.executor.prepare(sources, results))


def _empty(tensor: TensorInfo) -> Array:
    """Memory for an output. Raises ArgumentError where its type does not tell the size."""
    shape = tuple(size for size in tensor.shape if size is not None)
    if len(shape) != len(tensor.shape):
        raise ArgumentError(f"output {tensor.name!r} is {tensor.type}: bind an array of the size that it will have")
    return aligned_empty(shape, tensor.numpy_dtype)[0]


class Program:
    """A loaded program. Safe to use from several threads at once; calls of one program take turns.

    What a device was given runs to its end before Ctrl-C is noticed, as it does not return to Python in between.

    signatures: its functions by name. `run`, `inputs` and `outputs` are those of the default one: "main",
    "serving_default" or the only one.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self._loaded = load_devices(artifact)
        self.signatures: Mapping[str, Function] = {
            signature.name: Function(executor)
            for signature, executor in zip(artifact.signatures, self._loaded.executors(artifact), strict=True)
        }
        preferred = [name for name in (*_DEFAULT_SIGNATURES, *self.signatures) if name in self.signatures]
        stands_out = preferred[0] in _DEFAULT_SIGNATURES or len(preferred) == 1
        self._main = self.signatures[preferred[0]] if stands_out else None
        self._alone: list[Program] = []

    @property
    def variant(self) -> Variant:
        """What was chosen of the artifact for the devices at hand."""
        return self._loaded.variant

    @property
    def devices(self) -> tuple[tuple[str, Executable], ...]:
        """The devices that the program runs on, by name."""
        return tuple((station.name, station.executable) for station in self._loaded.stations)

    @property
    def threads(self) -> int:
        """Threads of all devices together."""
        return sum(executable.threads for _, executable in self.devices)

    def function(self, name: str | None = None) -> Function:
        """The signature called `name`, or the default one. Raises ArgumentError."""
        if name is None:
            return self.main
        if name not in self.signatures:
            raise ArgumentError(f"unknown signature {name!r}; the program has {', '.join(self.signatures)}")
        return self.signatures[name]

    @property
    def main(self) -> Function:
        """The default signature. Raises ArgumentError where none stands out."""
        if self._main is None:
            raise ArgumentError(f"name one of the program's signatures: {', '.join(self.signatures)}")
        return self._main

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return self.main.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return self.main.outputs

    @overload
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]: ...
    @overload
    def run(self, inputs: Sequence[Any]) -> list[Array]: ...
    def run(self, inputs: Mapping[str, Any] | Sequence[Any]) -> dict[str, Array] | list[Array]:
        """`Function.run` of the default signature."""
        return self.main.run(inputs)

    def bind(self, inputs: Sequence[Array], outputs: Sequence[Array] | None = None) -> Invocation:
        """`Function.bind` of the default signature."""
        return self.main.bind(inputs, outputs)

    @overload
    def map(self, samples: Iterable[Mapping[str, Any]], name: str | None = None) -> Iterator[dict[str, Array]]: ...
    @overload
    def map(self, samples: Iterable[Sequence[Any]], name: str | None = None) -> Iterator[list[Array]]: ...
    def map(self, samples: Iterable[Any], name: str | None = None) -> Iterator[Any]:
        """`run` of many samples, in their order, by the function called `name` or the default one.

        As many samples as there are threads are worked on at once, each by one thread: more of them a second than by
        `run`, though each takes longer. Every thread has an arena; the weights are there once. Some samples are taken
        ahead of the results. Raises as `run` does, when the result of the sample that is wrong would come.
        """
        from .throughput import share_out

        self.function(name)  # raises where there is none
        stations = self._loaded.stations
        if len(stations) == 1 and self.threads > 1 and not stations[0].is_closed:
            while len(self._alone) < self.threads:
                self._alone.append(Program(on_devices(self.artifact, None, 1)))
        programs = self._alone or [self]
        return share_out(samples, [program.function(name).run for program in programs])

    def close(self) -> None:
        """Stop the threads and free the memory, once calls under way are done. Later calls raise DeviceError."""
        self._loaded.close()
        for program in self._alone:
            program.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
