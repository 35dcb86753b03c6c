"""The compiler: TOSA to linalg to encodings to per-device layouts to machine code. `compile` does all of it."""

from __future__ import annotations

from .compile import compile
from .object_file import ObjectFile, emit_object
from .target import known_targets

__all__ = ["ObjectFile", "compile", "emit_object", "known_targets"]
