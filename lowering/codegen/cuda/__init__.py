"""Kernels written for a GPU: a block of threads shares a tile, a warp its tensor cores, neighbours their loads.

`regions` says which dispatches have one; all others are computed by the kernels of CPUs, a register tile a thread.
"""

from __future__ import annotations

from .regions import emit_cuda

__all__ = ["emit_cuda"]
