"""Files of TOSA: MLIR text or the FlatBuffer exchange format, told apart by content."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Literal

from xdsl.dialects.builtin import ModuleOp

from ..runtime.atomic import atomic_write
from ..runtime.errors import ArgumentError, MalformedFileError
from . import text

Format = Literal["mlir", "tosa"]
_FLATBUFFER_IDENTIFIER = b"TOSA"


def read(source: Path | str | bytes, name: str | None = None) -> ModuleOp:
    """Read a program: a path, or the contents of a file as bytes. Raises MalformedFileError.

    `name` stands in errors for where the contents came from.
    """
    if isinstance(source, bytes):
        data, name = source, name or "<bytes>"
    else:
        name = name or str(source)
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise ArgumentError(f"cannot read {source}: {error.strerror}") from error
    if data[4:8] == _FLATBUFFER_IDENTIFIER:
        from .flatbuffer import read_flatbuffer

        return read_flatbuffer(data, name)
    if not data.strip():
        raise MalformedFileError(f"{name}: the file is empty")
    if b"\0" in data:
        raise MalformedFileError(f"{name}: neither MLIR text nor a .tosa FlatBuffer")
    return text.parse(data, name)


def write(module: ModuleOp, destination: Path | str | BinaryIO, format: Format = "mlir") -> None:
    """Write `module` to a path or a binary stream, as MLIR text or as a TOSA FlatBuffer."""
    if format == "tosa":
        from .flatbuffer import write_flatbuffer

        parts = iter([write_flatbuffer(module)])
    else:
        parts = text.printed_parts(module)
    if isinstance(destination, (str, Path)):
        with atomic_write(destination) as file:
            file.writelines(parts)
    else:
        destination.writelines(parts)
