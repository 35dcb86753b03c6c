"""The command `deploy`: a model, a TOSA program or an artifact in; an artifact, results or measurements out."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import ArgumentError
from .progress import Phases

if TYPE_CHECKING:
    from .artifact import Artifact
    from .artifact_writer import Encoded
    from .compilation import Options, Source

_DUMP_VARIABLE = "TOSAIC_DUMP_IR"
"""As in lowering/pipeline.py, which is not imported only for this."""

_ENDINGS = {"object": ".o", "header": ".h", "ptx": ".ptx"}
"""What --emit can write, and how its files end."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def deploy(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE|-]",
            help="MLIR (TOSA or linalg), .tosa, a .tflite model, or an artifact, told by content. By default the pipe.",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE[,DEVICE]",
            help="Where to run: cpu, cpu:2 (threads), cpu@x86-64-v3 (instruction set), cuda, cuda:1 (which GPU), "
            "cuda@sm_80 (compute capability), cuda-emulator, reference; several share the work. By default cpu.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME]",
            help="What to compile for: x86-64-v3, znver4, cortex-a76, ...; of several the best is chosen when the "
            "artifact is loaded. By default this machine.",
            show_default=False,
        ),
    ] = None,
    target_triple: Annotated[
        str | None,
        typer.Option(
            metavar="TRIPLE",
            help="Another architecture: aarch64-linux-gnu, riscv64-linux-gnu, x86_64-linux-gnu.",
            show_default=False,
        ),
    ] = None,
    target_cpu: Annotated[
        str | None, typer.Option(metavar="CPU", help="A processor, as LLVM spells it.", show_default=False)
    ] = None,
    target_features: Annotated[
        str,
        typer.Option(
            metavar="+F,-F", help="Changes to the processor's features, as LLVM spells them.", show_default=False
        ),
    ] = "",
    place: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN=DEVICE,...",
            help="Bind dispatches to devices, such as 'conv*=cpu,matmul*=reference'; the cost model places the rest.",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="bf16|tf32",
            help="Faster, less exact arithmetic for contractions; tf32 is for NVIDIA GPUs.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads. By default one per processor.", show_default=False)
    ] = None,
    module: Annotated[
        Path | None, typer.Option("-o", metavar="MODULE", help="Write the artifact here.", show_default=False)
    ] = None,
    emit: Annotated[
        str | None,
        typer.Option(
            metavar="object,header,ptx",
            help="Instead of an artifact, write an object file and a C header for programs without Python: with "
            "-o build/digits, build/digits.o and build/digits.h; or the PTX of a CUDA device, build/digits.ptx.",
            show_default=False,
        ),
    ] = None,
    input: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH | 2x3xf32=VALUE",
            help="Run on x.npy, data.npz, a picture, or a folder of them (one sample per file); or on tensors written "
            "out: 4xi32=[1,2,3,4], 8x8xf32=0.5, 2x3xf32=@x.npy, one for each input. Repeatable.",
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
    function: Annotated[
        str | None,
        typer.Option(
            "--function",
            "--signature",
            metavar="NAME",
            help="Which of several functions (signatures) to run.",
            show_default=False,
        ),
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
    fallback: Annotated[
        bool,
        typer.Option("--fallback", help="Go on with the other devices when one fails; what is done is kept."),
    ] = False,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="-|PLAN.html",
            help="Tell where each dispatch runs, prediction beside measurement: - prints a table, a file gets a "
            "picture of the graph coloured by device.",
            show_default=False,
        ),
    ] = None,
    print_ir_after: Annotated[
        str | None,
        typer.Option(
            metavar="PHASE|all", help="Print the IR after this phase, or after each, and stop.", show_default=False
        ),
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
    if fallback and (not input or profile or plan):
        raise ArgumentError("--fallback is for runs: give --input, without --profile and --plan")
    if print_ir_after is not None and (module or input or profile or plan):
        raise ArgumentError("--print-ir-after prints IR: there will be no program to write or run")
    pixels = _parse_range(image_range)
    kinds = _parse_emit(emit, module)

    from .artifact import Artifact
    from .compilation import Options, open_source, print_ir

    source = open_source(file)
    replan = keep = None
    if isinstance(source, Artifact):
        compiling = {"--target": target, "--target-triple": target_triple, "--target-cpu": target_cpu}
        compiling |= {"--target-features": target_features, "--precision": precision, "--shape": shape}
        compiling |= {"--place": place, "--fallback": fallback}
        compiling |= {"--print-ir-after": print_ir_after, "--dump-ir": dump_ir}
        if refused := [option for option, given in compiling.items() if given]:
            raise ArgumentError(f"{file} is compiled already: {', '.join(refused)} cannot change it")
        artifact = source
    else:
        options = Options(
            devices,
            target,
            target_triple,
            target_cpu,
            target_features,
            precision,
            place,
            _parse_shapes(shape or ()),
        )
        if print_ir_after is not None:
            with Phases(source.name, show_times=True) as phases:
                print_ir(source, options, print_ir_after, dump_ir, phases.report)
            return
        tells_plan = not (module or input or profile or plan)
        artifact, keep = _compile(source, options, dump_ir, use_cache=not no_cache, show_times=tells_plan)
        if fallback:
            from .fallback import replan_source

            replan = replan_source(source, options, lambda phase, seconds: None)
    compiled = artifact
    if devices is not None or threads is not None:
        from .loading import on_devices

        artifact = on_devices(artifact, devices, threads)

    encoded = compiled.encoded() if keep else None
    with _meanwhile((lambda: keep(encoded)) if keep and encoded else None):
        if module is not None and kinds:
            _emit(artifact, kinds, module)
        elif module is not None:
            (encoded if encoded and artifact.devices == compiled.devices else artifact).save(module)
    if replan is not None:
        from .execution import execute_reliably

        execute_reliably(artifact, function, input or (), output, pixels, replan)
    elif input or profile or plan or module is None:
        from .execution import execute

        execute(artifact, function, input or (), output, pixels, profile, plan)


def _compile(
    source: Source, options: Options, dump_ir: Path | None, use_cache: bool, show_times: bool
) -> tuple[Artifact, Callable[[Encoded], None] | None]:
    """The compiled program, from the cache where allowed, and what keeps it there where it is new.

    An IR dump asks for compiling.
    """
    from .cache import Cache, cache_key
    from .compilation import compile_source
    from .cuda.capability import DEFAULT

    dumps = dump_ir is not None or _DUMP_VARIABLE in os.environ
    cache = Cache() if use_cache and not dumps else None
    key = cache_key(source.data, options.key()) if cache else ""
    if cache and (artifact := cache.load(key)):
        return artifact, None
    if None in options.gpus():
        print(
            f"deploy: there is no GPU here: the code is for {DEFAULT}, which later ones run too, where --devices "
            "cuda@CAPABILITY names no other",
            file=sys.stderr,
        )
    with Phases(source.name, show_times or dumps) as phases:
        artifact = compile_source(source, options, dump_ir, phases.report)
    return artifact, partial(cache.store, key) if cache else None


@contextmanager
def _meanwhile(work: Callable[[], None] | None) -> Iterator[None]:
    """`work` is done by another thread at the same time: writing a large file keeps one busy."""
    thread = threading.Thread(target=work) if work else None
    if thread:
        thread.start()
    try:
        yield
    finally:
        if thread:
            thread.join()


def _emit(artifact: Artifact, kinds: Sequence[str], path: Path) -> None:
    """Write the files that --emit asks for, named as `path` but for the ending."""
    from .atomic import atomic_write

    contents = {}
    if "ptx" in kinds:
        contents["ptx"] = bytes(_ptx(artifact))
    if "object" in kinds or "header" in kinds:
        from ..lowering.object_file import emit_object

        emitted = emit_object(artifact, path.stem)
        contents |= {"object": emitted.object, "header": emitted.header.encode()}
    for kind in kinds:
        with atomic_write(path.with_suffix(_ENDINGS[kind])) as stream:
            stream.write(contents[kind])


def _ptx(artifact: Artifact) -> bytes | bytearray | memoryview:
    """The code of the one CUDA device of the program."""
    images = [image for variant in artifact.variants for image in variant.images if image.launches]
    if len(images) != 1:
        devices = ", ".join(slot.name for slot in artifact.devices)
        raise ArgumentError(
            f"--emit ptx writes the code of one CUDA device; of {devices}, {len(images)} have such code"
        )
    return images[0].code


def _parse_emit(text: str | None, path: Path | None) -> list[str]:
    """The kinds of files that --emit lists."""
    if text is None:
        return []
    kinds = text.split(",")
    if unknown := [kind for kind in kinds if kind not in _ENDINGS]:
        raise ArgumentError(f"--emit {unknown[0]!r} is not known; it takes {', '.join(_ENDINGS)}")
    if path is None:
        raise ArgumentError("--emit needs -o: say what the files are called")
    return kinds


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
