"""The command `tosa-import`: a model in, a TOSA module out, as MLIR text for a pipe or as a .tosa FlatBuffer."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..runtime.atomic import atomic_write
from ..runtime.errors import ArgumentError

if TYPE_CHECKING:
    from rich.console import Console

    from .tflite.summary import Summary, TensorSummary

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class OutputFormat(StrEnum):
    """`mlir` is text that MLIR, IREE and tosa-opt read; `tosa` is the exchange format of the TOSA specification."""

    MLIR = "mlir"
    TOSA = "tosa"


@app.command()
def tosa_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .tflite model.", show_default=False)],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="OUT", help="Where to write the module; - is standard output.")
    ] = "-",
    format: Annotated[OutputFormat, typer.Option(help="MLIR text, or a TOSA FlatBuffer.")] = OutputFormat.MLIR,
    signature: Annotated[
        str | None, typer.Option(metavar="NAME", help="Import only this signature.", show_default=False)
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=1x224x224x3", help="Fix an input's shape; ? is dynamic. Repeatable.", show_default=False
        ),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Tell what the model consists of instead of importing it.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error comes from.")] = False,
) -> None:
    """Import a TFLite model into TOSA: tosa-import model.tflite | deploy --devices cpu"""
    shapes = dict(parse_shape(text) for text in shape or ())
    if summary:
        _print_summary(file, signature, shapes)
        return
    if output == "-" and format is OutputFormat.TOSA and sys.stdout.isatty():
        raise ArgumentError("a .tosa file is binary: name a file with -o, or pipe it into a command")

    from ..tosa import write
    from . import import_model

    module = import_model(file, shapes, signature)
    if output == "-":
        write(module, sys.stdout.buffer, format.value)
    else:
        with atomic_write(output) as stream:
            write(module, stream, format.value)


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """ "input=1x224x224x3" as ("input", (1, 224, 224, 3)); ? stands for a dynamic extent, -1."""
    name, equals, dims = text.rpartition("=")
    if not equals or not name or not re.fullmatch(r"(\d+|\?)(x(\d+|\?))*", dims):
        raise ArgumentError(f"--shape '{text}' is not of the form NAME=1x224x224x3")
    return name, tuple(-1 if dim == "?" else int(dim) for dim in dims.split("x"))


def _print_summary(file: Path, signature: str | None, shapes: dict[str, tuple[int, ...]]) -> None:
    from rich.console import Console

    from .tflite.reader import read_model
    from .tflite.summary import summarize

    _show(Console(highlight=False), summarize(read_model(file), signature, shapes))


def _show(console: Console, summary: Summary) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(Text(summary.source, style="bold"))
    tensors = Table("signature", "", "name", "type", "shape")
    for entry in summary.signatures:
        for kind, members in (("input", entry.inputs), ("output", entry.outputs)):
            for member in members:
                tensors.add_row(*(Text(cell) for cell in (entry.name, kind, member.name, *_type_cells(member))))
    console.print(tensors)

    operators = Table("operator", "count", "MACs")
    for column in operators.columns[1:]:
        column.justify = "right"
    for name, count in summary.operator_counts.most_common():
        macs = summary.operator_macs[name]
        operators.add_row(Text(name), str(count), f"{macs:,}" if macs else "")
    operators.add_section()
    total = summary.operator_macs.total()
    operators.add_row("total", str(summary.operator_counts.total()), f"{total:,}")
    console.print(operators)
    console.print(f"{summary.weight_bytes:,} bytes of weights")
    if summary.unsupported:
        console.print(f"{len(summary.unsupported)} unsupported:", style="bold red")
        for reason in summary.unsupported:
            console.print(Text(f"  {reason}"))
    else:
        console.print("every operator is supported", style="green")


def _type_cells(tensor: TensorSummary) -> tuple[str, str]:
    return tensor.type_name.lower(), "x".join("?" if extent < 0 else str(extent) for extent in tensor.shape) or "scalar"
