"""Models of other frameworks -> TOSA modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdsl.dialects.builtin import ModuleOp

__all__ = ["import_model"]


def import_model(
    source: str | Path | bytes,
    shapes: Mapping[str, Sequence[int]] | Sequence[Sequence[int]] = (),
    signature: str | None = None,
) -> ModuleOp:
    """Import a TFLite model, given as a path or as the bytes of the file, as a verified, canonical TOSA module.

    `shapes` fixes dimensions of inputs by name, such as {"input": (1, 224, 224, 3)}, or of all inputs in order; -1
    leaves one dynamic, as do inputs that are not named and that the model declares dynamic. `signature` selects one of
    several entry points.

    The module holds one function per signature ("main" where the model has none). Constants are views of the file,
    which stays mapped as long as they live.

    Raises MalformedFileError for a damaged file, UnsupportedError listing every operator that cannot be expressed,
    ArgumentError for a missing file, unknown names or impossible shapes.
    """
    # Kept out of the import of this package: xDSL and the schema take a quarter of a second to load.
    from ..tosa import canonicalize
    from .tflite.importer import import_signatures
    from .tflite.reader import read_model

    module = import_signatures(read_model(source), signature, shapes)
    canonicalize(module)
    return module
