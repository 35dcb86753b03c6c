"""Code generation: each distinct dispatch region becomes one LLVM function, a plan one native entry point.

`compile_region` makes the kernel of a region, `build_image` the machine code of all kernels and plans. Kernels are
written as LLVM IR text: `emit` is the vocabulary, `instructions` the hardware's, `body` turns the scalar code of a
`linalg.generic` into lanes, `parallel`, `reduction`, `boxes` and the contraction modules are the loop nests.
"""

from __future__ import annotations

from .build import build_image
from .kernel import Kernel
from .regions import compile_region

__all__ = ["Kernel", "build_image", "compile_region"]
