"""The compiler: TOSA to linalg to encodings to per-device layouts to machine code. `compile` does all of it."""

from __future__ import annotations

from .compile import compile
from .target import known_targets

__all__ = ["compile", "known_targets"]
