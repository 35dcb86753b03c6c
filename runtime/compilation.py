"""From what a user names on the command line to an artifact: told by content, cached, compiled only if need be.

This and the command line are the only places of the runtime that know the compiler, and both import it when they
compile, not before.
"""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from . import artifact_file
from .artifact import Artifact
from .collection import collecting_rarely
from .cuda.capability import DEFAULT, gpu_here
from .device_spec import parse_devices
from .errors import ArgumentError, MalformedFileError

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

    from ..lowering.target import Target

STANDARD_INPUT = "-"

EVERY_PHASE = "all"
"""What asks for the IR after each phase."""

Report = Callable[[str, float], None]
"""Called with the name of each phase and the seconds it took."""

_MAGIC = slice(4, 8)
_TFLITE_IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class Options:
    """What, besides the model, decides the code: the inputs' shapes and the arguments of `tosaic.lowering.compile`.

    target: a name or several with commas between, for a variant each; triple, cpu and features are those of
        `tosaic.lowering.target.resolve_target`.
    """

    devices: str | None = None
    target: str | None = None
    triple: str | None = None
    cpu: str | None = None
    features: str = ""
    precision: str | None = None
    place: str | None = None
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def compiled_devices(self) -> list[str]:
        """The devices as far as code depends on them; none where the program decides. Raises ArgumentError.

        A single one's number (of threads, or of a GPU) does not matter: it is decided when the program runs.
        """
        specs = parse_devices(self.devices) if self.devices else ()
        return [str(replace(spec, threads=None, ordinal=None, name="") if len(specs) == 1 else spec) for spec in specs]

    def resolve_targets(self) -> list[Target]:
        """What to compile for. Raises ArgumentError."""
        from ..lowering.target import resolve_target

        names = self.target.split(",") if self.target else [None]
        return [resolve_target(name, triple=self.triple, cpu=self.cpu, features=self.features) for name in names]

    def key(self) -> dict[str, object]:
        """What the cache tells compilations apart by."""
        host = self.target is None and self.triple is None and self.cpu is None
        devices = self.compiled_devices()
        key: dict[str, object] = asdict(self) | {"devices": devices, "target": "host" if host else self.target}
        gpus = [found or DEFAULT for found in self.gpus()]
        return key | {"gpus": gpus} if gpus else key

    def gpus(self) -> list[str | None]:
        """For each device that is any GPU: the capability of this machine's, or None where there is none."""
        specs = parse_devices(self.devices) if self.devices else ()
        return [gpu_here(spec.ordinal or 0) for spec in specs if spec.kind == "cuda" and spec.target is None]


@dataclass(frozen=True)
class Source:
    """The bytes of a model or program, and the file they are from or None for standard input."""

    path: Path | None
    data: bytes | memoryview

    @property
    def name(self) -> str:
        return str(self.path or "standard input")

    @property
    def is_tflite(self) -> bool:
        return self.data[_MAGIC] == _TFLITE_IDENTIFIER or self.name.endswith(".tflite")

    def module(self, options: Options) -> ModuleOp:
        """The TOSA module. Raises MalformedFileError, UnsupportedError, ArgumentError."""
        if self.is_tflite:
            from ..importers import import_model

            # A path, where possible, has the constants mapped instead of copied.
            return import_model(self.path if self.path and self.path.is_file() else bytes(self.data), options.shapes)
        if options.shapes:
            raise ArgumentError("--shape is for .tflite models; a TOSA program's shapes are fixed when it is imported")
        from ..tosa import read

        return read(bytes(self.data), self.name)


def open_source(file: str | None) -> Source | Artifact:
    """What FILE holds; standard input for "-", or for None when something is piped. Raises ArgumentError, OSError."""
    if file is None and sys.stdin.isatty():
        raise ArgumentError("name a file, or pipe a program into this command")
    if file is None or file == STANDARD_INPUT:
        return _read_stream(sys.stdin.buffer, None)
    path = Path(file)
    with path.open("rb") as stream:
        if not path.is_file():
            return _read_stream(stream, path)
        head = stream.read(12)
        if artifact_file.is_artifact(head):
            return Artifact.load(path)
        if head[_MAGIC] == _TFLITE_IDENTIFIER:
            return Source(path, memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))
    return Source(path, path.read_bytes())


def _read_stream(stream: BinaryIO, path: Path | None) -> Source | Artifact:
    """What comes through a pipe, which can be read only once; `path` is where it lies, if not standard input."""
    data = _read_all(stream, path)
    source = Source(path, data)
    if not data.strip():
        raise ArgumentError(f"{source.name} is empty: the command before the pipe wrote nothing")
    if not artifact_file.is_artifact(data[:12]):
        return source
    try:
        return artifact_file.parse(memoryview(data))
    except MalformedFileError as error:
        raise MalformedFileError(f"{source.name}: {error}") from None


def _read_all(stream: BinaryIO, path: Path | None) -> bytes:
    try:
        return stream.read()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path or "standard input")) from None


@collecting_rarely()
def compile_source(source: Source, options: Options, dump_folder: Path | None, report: Report) -> Artifact:
    """Run every phase, with the IR after each in `dump_folder` if there is one. Raises what the phases raise.

    A program in reduced precision tells its error: it is compiled in full as well and compared.
    """
    module = _import(source, options, report)
    from ..lowering import compile
    from .calibration import measured_rates

    def compiled(precision: str | None) -> Artifact:
        return compile(
            module,
            devices=options.compiled_devices(),
            target=options.resolve_targets(),
            precision=precision,
            place=options.place,
            rates=measured_rates,
            dump_dir=dump_folder if precision == options.precision else None,
            report=report,
        )

    artifact = compiled(options.precision)
    metadata = {**artifact.metadata, "source": source.name}
    if options.precision is not None:
        from .accuracy import describe_error

        metadata["accuracy"] = f"{options.precision}, {describe_error(artifact, compiled(None))}"
    return replace(artifact, metadata=metadata)


def print_ir(
    source: Source,
    options: Options,
    phase: str,
    dump_folder: Path | None,
    report: Report,
    show: Callable[[str], None] = print,
) -> None:
    """Show the IR after `phase`, or after each if it is "all", under a heading; later phases do not run.

    It is for people: the elements of big constants are left out. Raises what the phases raise.
    """
    module = _import(source, options, report)
    from ..lowering import pipeline
    from ..lowering.compile import options_for
    from ..lowering.dump import readable
    from .calibration import measured_rates

    def observe(name: str, module: ModuleOp) -> None:
        if phase in (EVERY_PHASE, name):
            show(f"// -----// IR after {name} //----- //\n{readable(module)}")

    target, *others = options.resolve_targets()
    if others:
        raise ArgumentError(f"name one target to print the IR for, not {1 + len(others)}")
    chosen = options_for(module, options.compiled_devices(), target, options.precision, options.place, measured_rates)
    last = None if phase == EVERY_PHASE else phase
    pipeline.run(module, chosen, stop_after=last, dump_dir=dump_folder, report=report, observe=observe)


def _import(source: Source, options: Options, report: Report) -> ModuleOp:
    begin = time.perf_counter()
    module = source.module(options)
    report("import", time.perf_counter() - begin)
    return module
