"""Code generation: each distinct dispatch region becomes one LLVM function, a plan one native entry point."""

from __future__ import annotations

from .kernel import Kernel
from .regions import compile_region

__all__ = ["Kernel", "compile_region"]
