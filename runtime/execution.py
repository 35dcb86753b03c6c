"""What `deploy` does with a compiled program: run it on samples or written-out tensors, measure it, profile it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .api import load
from .errors import ArgumentError
from .executor import name_outputs, order_inputs
from .fallback import ReliableFunction, Replan
from .notation import format_tensor, is_inline, parse_tensor
from .progress import status, track
from .results import Results, summarise

TABLE = "-"
"""What asks for the plan as a table instead of a picture."""

if TYPE_CHECKING:
    from .api import Array, Function, Program
    from .artifact import Artifact
    from .samples import Samples


def execute(
    artifact: Artifact,
    name: str | None,
    specs: Sequence[str],
    output: Path | None,
    pixels: tuple[float, float],
    trace: Path | None,
    picture: str | None,
) -> None:
    """Run function `name` on what the `--input` options say, or tell plan and latency; then profile if asked to.

    picture: where to draw the plan, or "-" to tell it as a table.
    Raises ArgumentError, MalformedFileError, DeviceError, OSError.
    """
    with load(artifact) as program:
        function = program.function(name)
        if specs:
            inputs = _run_on(function, specs, output, pixels)
        else:
            from .measure import example_inputs

            inputs = example_inputs(function.inputs)
            if trace is None and picture is None:
                _print_plan(program)
                _print_benchmark(program, function, inputs)
        if trace is not None:
            _print_profile(function, inputs, trace)
        if picture is not None:
            _print_placement(program, function, inputs, picture)


def execute_reliably(
    artifact: Artifact,
    name: str | None,
    specs: Sequence[str],
    output: Path | None,
    pixels: tuple[float, float],
    replan: Replan,
) -> None:
    """Run function `name` on what the `--input` options say, to the end if any device is left. Raises as `execute`."""
    with ReliableFunction(artifact, name, replan, lambda text: print(text, file=sys.stderr)) as function:
        _run_on(function, specs, output, pixels)


def _run_on(
    function: Function | ReliableFunction, specs: Sequence[str], output: Path | None, pixels: tuple[float, float]
) -> Sequence[Array] | Mapping[str, Array]:
    """Run on what `specs` say; the inputs of the first run."""
    if any(map(is_inline, specs)):
        inputs = _parse_inline(specs)
        _run_inline(function, inputs, output)
        return inputs
    from .samples import read_samples

    samples = read_samples(specs, function.inputs, pixels)
    _run(function, samples, output)
    return next(iter(samples))


def _run(function: Function | ReliableFunction, samples: Samples, output: Path | None) -> None:
    """One inference per sample; results are written to `output` or summed up."""
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


def _parse_inline(specs: Sequence[str]) -> list[Array]:
    if paths := [spec for spec in specs if not is_inline(spec)]:
        raise ArgumentError(f"write all inputs as tensors, or none: {paths[0]!r} has no type; try 4x8xf32=@{paths[0]}")
    return [parse_tensor(spec) for spec in specs]


def _run_inline(function: Function | ReliableFunction, inputs: Sequence[Array], output: Path | None) -> None:
    """One inference; its results are printed as the inputs are written, or saved."""
    outputs = function.run(inputs)
    if output is None:
        print(*map(format_tensor, outputs), sep="\n")
        return
    results = Results(1, is_batch=False)
    results.add(0, name_outputs(function.signature, outputs))
    results.save(output)


def _print_plan(program: Program) -> None:
    from .report import describe_plan

    print(describe_plan(program), end="\n\n")


def _print_benchmark(program: Program, function: Function, inputs: Sequence[Array]) -> None:
    from .measure import benchmark
    from .report import describe_timing

    with status("measuring"):
        timing = benchmark(function.executor, inputs)
    print(describe_timing(function, timing, program.threads))


def _print_placement(
    program: Program, function: Function, inputs: Sequence[Array] | Mapping[str, Array], picture: str
) -> None:
    """The plan with predicted and measured times, as a table or as an HTML file."""
    from .calibration import rates_of
    from .measure import profile
    from .plan import make_plan
    from .plan_report import describe_placement, save_picture

    ordered = order_inputs(function.signature, inputs) if isinstance(inputs, Mapping) else inputs
    with status("measuring"):
        plan = make_plan(program, function, rates_of(program), profile(function.executor, ordered))
    if picture == TABLE:
        print(describe_placement(plan))
    else:
        save_picture([plan], Path(picture))


def _print_profile(function: Function, inputs: Sequence[Array] | Mapping[str, Array], trace: Path) -> None:
    from .measure import profile
    from .peak import measure_peaks
    from .report import describe_profile, save_trace

    ordered = order_inputs(function.signature, inputs) if isinstance(inputs, Mapping) else inputs
    with status("profiling"):
        measured = profile(function.executor, ordered)
    save_trace(measured, trace)
    print(describe_profile(measured, measure_peaks()))
