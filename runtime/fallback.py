"""Going on without a device that failed: the program is planned anew for those that are left.

A device that is lost or out of memory says so with its name. What was computed before stays; the call under way is
repeated on the program that the source is compiled to for the remaining devices, which costs the time of compiling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from .api import Function, Program, load
from .artifact import Artifact, Signature, TensorInfo
from .device import Array
from .device_spec import parse_devices
from .errors import DeviceLostError
from .loading import on_devices

if TYPE_CHECKING:
    from .compilation import Options, Report, Source

Replan: TypeAlias = Callable[[Sequence[int]], Artifact]
"""Makes the program for some of its devices, told by their positions in the list that it was made for at first."""


class ReliableFunction:
    """A function of a program that survives the loss of devices. It owns the program: `close` frees it.

    It is run as a `Function` is. Pins are not obeyed any more once a device is lost, as they may name it.
    """

    def __init__(
        self, artifact: Artifact, name: str | None, replan: Replan, report: Callable[[str], None] = lambda text: None
    ) -> None:
        """name: of the function, or None for the default one. report: told of each loss in a line.

        Raises what `load` and `Program.function` raise.
        """
        self._name = name
        self._replan = replan
        self._report = report
        self._left = list(range(len(artifact.devices)))
        self._program = self._load(artifact)

    @property
    def program(self) -> Program:
        """What runs now."""
        return self._program

    @property
    def function(self) -> Function:
        return self._program.function(self._name)

    @property
    def signature(self) -> Signature:
        return self.function.signature

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        return self.function.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        return self.function.outputs

    @overload
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]: ...
    @overload
    def run(self, inputs: Sequence[Any]) -> list[Array]: ...
    def run(self, inputs: Mapping[str, Any] | Sequence[Any]) -> dict[str, Array] | list[Array]:
        """As `Function.run`; a device that fails is done without. Raises DeviceLostError when none is left."""
        while True:
            try:
                return self.function.run(inputs)
            except DeviceLostError as error:
                artifact = self._program.artifact
                self._program.close()
                self._program = self._load(self._without(artifact, error))

    def _load(self, artifact: Artifact) -> Program:
        while True:
            try:
                return load(artifact)
            except DeviceLostError as error:
                artifact = self._without(artifact, error)

    def _without(self, artifact: Artifact, error: DeviceLostError) -> Artifact:
        names = [slot.name for slot in artifact.devices]
        if error.device not in names or len(names) == 1:
            raise error
        lost = names.index(error.device)
        del self._left[lost]
        del names[lost]
        self._report(f"{error}: going on with {', '.join(names)}")
        return self._replan(tuple(self._left))

    def close(self) -> None:
        self._program.close()

    def __enter__(self) -> ReliableFunction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def replan_source(source: Source, options: Options, report: Report) -> Replan:
    """Compiles `source` anew, with the same options but for the devices and the pins."""

    def replan(left: Sequence[int]) -> Artifact:
        from ..lowering.assign_devices import devices_of
        from .compilation import compile_source

        devices = devices_of(source.module(options), parse_devices(options.devices) if options.devices else ())
        remaining = ",".join(str(devices[position]) for position in left)
        artifact = compile_source(source, replace(options, devices=remaining, place=None), None, report)
        return on_devices(artifact, remaining, None)

    return replan
