"""A compiled program as an object file and a C header: the way to devices without Python, or any library at all.

`emit_object` takes an artifact for one CPU. The object holds the artifact's code and constants as they are, and for
each signature a function that calls that code on one thread; it has no undefined symbols.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ...runtime.artifact import SLACK, Artifact
from ...runtime.errors import ArgumentError
from ..codegen.assemble import assemble
from ..target import resolve_target
from .elf import Contents, fill_sections
from .header import write_header
from .interface import functions_of
from .wrapper import CODE, CONSTANTS, emit_wrappers

__all__ = ["ObjectFile", "emit_object", "identifier"]

_ALIGNMENTS = {"x86_64": 64, "aarch64": 4096, "riscv64": 64}
"""Of the code, by architecture: AArch64 refers to tables by their page, relative to that of the instruction."""


@dataclass(frozen=True)
class ObjectFile:
    """`object` is a relocatable ELF file, `header` the text of the C header that declares what is in it."""

    object: bytes
    header: str


def emit_object(artifact: Artifact, name: str) -> ObjectFile:
    """The object and header of `artifact`, whose functions are called NAME_SIGNATURE in C.

    name: what all symbols and macros begin with, such as "digits"; what C does not allow in names becomes "_".

    Raises ArgumentError for an artifact of several targets or devices, and UnsupportedError for signatures whose sizes
    only a call knows, or that need more of the host than calling code.
    """
    if [slot.kind for slot in artifact.devices] != ["cpu"]:
        devices = ", ".join(slot.name for slot in artifact.devices)
        raise ArgumentError(f"an object file is for one CPU; the program is for {devices}")
    if len(artifact.variants) != 1:
        targets = ", ".join(variant.images[0].target for variant in artifact.variants)
        raise ArgumentError(f"an object file is for one target; the program is for {targets}")
    (variant,) = artifact.variants
    (image,) = variant.images
    prefix = identifier(name)
    functions = functions_of(artifact, variant, prefix)
    target = replace(resolve_target(image.features[0]), name=image.target, features=image.features)
    wrappers = assemble(emit_wrappers(functions, image, target), target)
    contents = {
        CODE: Contents(bytes(image.code), _ALIGNMENTS[target.architecture], executable=True),
        CONSTANTS: Contents(bytes(artifact.constants) + bytes(SLACK), 64, executable=False),
    }
    return ObjectFile(fill_sections(wrappers, contents), write_header(prefix, functions, image))


def identifier(text: str) -> str:
    """`text` as a name in C."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII) or "_"
    return f"_{name}" if name[0].isdigit() else name
