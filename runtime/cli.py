"""The command `deploy`: a model, a TOSA program or an artifact in; an artifact, results or measurements out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import ArgumentError
from .progress import Phases, status, track

if TYPE_CHECKING:
    from .api import Array, Function, Program
    from .artifact import Artifact
    from .compilation import Options, Source
    from .samples import Samples

_DUMP_VARIABLE = "TOSAIC_DUMP_IR"
"""As in lowering/pipeline.py, which is not imported only for this."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def deploy(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|-]",
            help="TOSA (MLIR text or .tosa), a .tflite model, or an artifact, told by content. By default the pipe.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(metavar="cpu[:THREADS]", help="Where to run, such as cpu:2. By default cpu.", show_default=False),
    ] = None,
    target: Annotated[
        str,
        typer.Option(metavar="NAME[,NAME]", help="Instruction sets to compile for, such as x86-64-v3."),
    ] = "host",
    precision: Annotated[
        str | None,
        typer.Option(metavar="bf16", help="Faster, less exact arithmetic for contractions.", show_default=False),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads. By default one per processor.", show_default=False)
    ] = None,
    module: Annotated[
        Path | None, typer.Option("-o", metavar="MODULE", help="Write the artifact here.", show_default=False)
    ] = None,
    input: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH",
            help="Run on x.npy, data.npz, a picture, or a folder of them (one sample per file). Repeatable.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.npz", help="Write the results by output name; a batch is stacked.", show_default=False
        ),
    ] = None,
    image_range: Annotated[
        str, typer.Option(metavar="LOW,HIGH", help="What pixels 0..255 become for floating-point inputs.")
    ] = "0,1",
    signature: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of several signatures to run.", show_default=False)
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=1x224x224x3", help="Fix an input's shape of a .tflite model.", show_default=False),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="TRACE.json", help="Time every dispatch; write a Chrome/Perfetto trace.", show_default=False
        ),
    ] = None,
    stop_after: Annotated[
        str | None, typer.Option(metavar="PHASE", help="Print the IR after this phase.", show_default=False)
    ] = None,
    dump_ir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the IR after every phase.", show_default=False)
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compile even what was compiled before.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Compile a model and run it: tosa-import model.tflite | deploy --devices cpu

    With neither -o nor --input it prints the plan and measures the latency.
    """
    if output is not None and not input:
        raise ArgumentError("--output needs --input: say what to run on")
    if stop_after is not None and (module or input or profile):
        raise ArgumentError("--stop-after prints IR: there will be no program to write or run")
    pixels = _parse_range(image_range)

    from .artifact import Artifact
    from .compilation import Options, open_source
    from .device import DeviceSpec, parse_devices

    spec, *others = parse_devices(devices or "cpu")
    if others:
        raise ArgumentError(f"a program runs on one device so far; {1 + len(others)} were named: {devices}")
    source = open_source(file)
    if isinstance(source, Artifact):
        compiling = {"--target": target != "host", "--precision": precision, "--shape": shape}
        compiling |= {"--stop-after": stop_after, "--dump-ir": dump_ir}
        if refused := [option for option, given in compiling.items() if given]:
            raise ArgumentError(f"{file} is compiled already: {', '.join(refused)} cannot change it")
        artifact = source
    else:
        options = Options(spec.kind, target, precision, _parse_shapes(shape or ()))
        if stop_after is not None:
            _print_phase(source, options, stop_after, dump_ir)
            return
        tells_plan = not (module or input or profile)
        artifact = _compile(source, options, dump_ir, use_cache=not no_cache, show_times=tells_plan)
    if devices is not None or threads is not None:
        spec = DeviceSpec(spec.kind, spec.threads if threads is None else threads)
        artifact = dataclasses.replace(artifact, metadata={**artifact.metadata, "devices": str(spec)})

    if module is not None:
        artifact.save(module)
    if input or profile or module is None:
        _execute(artifact, signature, input or (), output, pixels, profile)


def _compile(source: Source, options: Options, dump_ir: Path | None, use_cache: bool, show_times: bool) -> Artifact:
    """The compiled program, from the cache where allowed; an IR dump asks for compiling."""
    from .cache import Cache
    from .compilation import compile_source, find_compiled

    dumps = dump_ir is not None or _DUMP_VARIABLE in os.environ
    cache = Cache() if use_cache and not dumps else None
    if cache and (artifact := find_compiled(source, options, cache)):
        return artifact
    with Phases(source.name, show_times or dumps) as phases:
        return compile_source(source, options, cache, dump_ir, phases.report)


def _execute(
    artifact: Artifact,
    signature: str | None,
    specs: Sequence[str],
    output: Path | None,
    pixels: tuple[float, float],
    trace: Path | None,
) -> None:
    """Run on the samples, or tell plan and latency; then profile if asked to."""
    from .api import load

    with load(artifact) as program:
        function = program.function(signature)
        if specs:
            from .samples import read_samples

            samples = read_samples(specs, function.inputs, pixels)
            _run(function, samples, output)
            inputs = next(iter(samples))
        else:
            from .measure import example_inputs

            inputs = example_inputs(function.inputs)
            if trace is None:
                _print_plan(program)
                _print_benchmark(program, function, inputs)
        if trace is not None:
            _print_profile(function, inputs, trace)


def _run(function: Function, samples: Samples, output: Path | None) -> None:
    """One inference per sample; results are written to `output` or summed up."""
    from .results import Results, summarise

    results = Results(len(samples), samples.is_batch)
    items = samples if output is None else track(samples, "running")
    for index, (label, inputs) in enumerate(zip(samples.labels, items, strict=True)):
        outputs = function.run(inputs)
        results.add(index, outputs)
        if output is None:
            for name, array in outputs.items():
                print(*filter(None, [label, name]), summarise(array), sep="  ")
    if output is not None:
        results.save(output)


def _print_plan(program: Program) -> None:
    from .report import describe_plan

    print(describe_plan(program), end="\n\n")


def _print_benchmark(program: Program, function: Function, inputs: Sequence[Array]) -> None:
    from .measure import benchmark
    from .report import describe_timing

    with status("measuring"):
        timing = benchmark(function.executor, inputs)
    print(describe_timing(function, timing, program.executable.threads))


def _print_profile(function: Function, inputs: Sequence[Array] | Mapping[str, Array], trace: Path) -> None:
    from .measure import profile
    from .peak import measure_peaks
    from .report import describe_profile, save_trace

    ordered = function.executor.order_inputs(inputs) if isinstance(inputs, Mapping) else inputs
    with status("profiling"):
        measured = profile(function.executor, ordered)
    save_trace(measured, trace)
    print(describe_profile(measured, measure_peaks()))


def _print_phase(source: Source, options: Options, phase: str, dump_ir: Path | None) -> None:
    from .compilation import ir_after

    with Phases(source.name, show_times=True) as phases:
        text = ir_after(source, options, phase, dump_ir, phases.report)
    print(text)


def _parse_range(text: str) -> tuple[float, float]:
    """ "-1,1" as (-1.0, 1.0)."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise ArgumentError(f"--image-range {text!r} is not of the form LOW,HIGH") from None
    return low, high


def _parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    if not texts:
        return {}
    from ..importers.cli import parse_shape

    return dict(map(parse_shape, texts))
