"""Which dispatches a GPU has kernels of its own for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation

from ...attention import Stages
from ...dialects import linalg, tiled
from ...rows import Rows
from ...strips import Strips
from ..kernel import Grid, KernelContext
from ..sequential import writes_each_element_once
from .attention import emit_attention
from .convolution import emit_convolution
from .depthwise import emit_depthwise
from .matmul import emit_matmul
from .pooling import emit_pooling
from .reduction import emit_grid_reduction
from .rows import emit_rows

CudaEmitter = Callable[[KernelContext, Any], Grid | None]
"""Emits the region with this root into the context's function and says how to launch it; or leaves the function empty
and returns None, where the region is none of those that it is for."""


def _emit_generic(context: KernelContext, root: GenericOp) -> Grid | None:
    """Those with reduction loops; loops that are all parallel are shared among threads by `emit_parallel`."""
    reduces = any(kind.data != IteratorType.PARALLEL for kind in root.iterator_types)
    return emit_grid_reduction(context, root) if reduces and writes_each_element_once(root) else None


_EMITTERS: dict[type[Operation], CudaEmitter] = {
    GenericOp: _emit_generic,
    tiled.Conv2DOp: emit_convolution,
    tiled.MatmulOp: emit_matmul,
    linalg.DepthwiseConv2DNhwcHwcmOp: emit_depthwise,
    linalg.PoolingNhwcMaxOp: emit_pooling,
    linalg.PoolingNhwcSumOp: emit_pooling,
}


def emit_cuda(context: KernelContext) -> Grid | None:
    """The grid of the kernel that was emitted for the context's region; None where there is none for it."""
    operations = context.operations
    if not operations or Strips.of(operations) is not None:
        return None
    stages = Stages.of(operations)
    if stages is not None:
        return emit_attention(context, stages)
    rows = Rows.of(operations)
    if rows is not None:
        return emit_rows(context, rows)
    root = context.root
    emitter = _EMITTERS.get(type(root))
    return emitter(context, root) if emitter else None
