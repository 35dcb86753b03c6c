"""Runs compiled programs. Needs numpy and flatbuffers, and nothing of the compiler.

The names below are imported on first use: a command that only prints its help should not wait for numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Function, Program, load
    from .artifact import Artifact

__all__ = ["Artifact", "Function", "Program", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(".artifact" if name == "Artifact" else ".api", __name__), name)
