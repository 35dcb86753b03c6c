"""Which dispatches a GPU has kernels of its own for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.ir import Operation

from ...dialects import linalg, tiled
from ..kernel import Grid, KernelContext
from .convolution import emit_convolution
from .depthwise import emit_depthwise
from .matmul import emit_matmul
from .pooling import emit_pooling

CudaEmitter = Callable[[KernelContext, Any], Grid | None]
"""Emits the region with this root into the context's function and says how to launch it; or leaves the function empty
and returns None, where the region is none of those that it is for."""

_EMITTERS: dict[type[Operation], CudaEmitter] = {
    tiled.Conv2DOp: emit_convolution,
    tiled.MatmulOp: emit_matmul,
    linalg.DepthwiseConv2DNhwcHwcmOp: emit_depthwise,
    linalg.PoolingNhwcMaxOp: emit_pooling,
    linalg.PoolingNhwcSumOp: emit_pooling,
}


def emit_cuda(context: KernelContext) -> Grid | None:
    """The grid of the kernel that was emitted for the context's region; None where there is none for it."""
    if not context.operations:
        return None
    root = context.root
    emitter = _EMITTERS.get(type(root))
    return emitter(context, root) if emitter else None
