"""From a dispatch region to its kernel: the emitter is chosen by the region's root operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import ConcatOp, ExtractSliceOp, InsertSliceOp, PadOp
from xdsl.ir import Operation

from ...runtime.errors import UnsupportedError
from ..attention import Stages
from ..dialects import linalg, tiled
from ..dialects.dispatch import RegionOp
from ..strips import Strips
from ..target import Target
from .attention import emit_attention
from .contraction import emit_matmul
from .convolution import emit_convolution
from .cuda.regions import emit_cuda
from .depthwise import emit_depthwise
from .generic import emit_generic
from .kernel import Kernel, KernelContext
from .movement import emit_concat, emit_copies, emit_extract_slice, emit_insert_slice, emit_pad
from .pack import emit_pack, emit_unpack
from .plain_matmul import emit_plain_matmul
from .pooling import emit_pooling
from .reduction import emit_reduction
from .runtime_matmul import emit_mmt4d
from .sequential import emit_sequential, writes_each_element_once
from .strips import emit_strips

Emitter = Callable[[KernelContext, Any], int]
"""Emits the region with this root into the context's function; returns the bytes of scratch memory per thread."""


def _emit_any_generic(context: KernelContext, root: GenericOp) -> int:
    if not writes_each_element_once(root):
        return emit_sequential(context, root)
    reduces = any(kind.data != IteratorType.PARALLEL for kind in root.iterator_types)
    return emit_reduction(context, root) if reduces else emit_generic(context, root)


_EMITTERS: dict[type[Operation], Emitter] = {
    tiled.MatmulOp: emit_matmul,
    linalg.MatmulOp: emit_plain_matmul,
    linalg.BatchMatmulOp: emit_plain_matmul,
    linalg.Mmt4dOp: emit_mmt4d,
    linalg.BatchMmt4dOp: emit_mmt4d,
    tiled.Conv2DOp: emit_convolution,
    linalg.DepthwiseConv2DNhwcHwcmOp: emit_depthwise,
    linalg.PoolingNhwcMaxOp: emit_pooling,
    linalg.PoolingNhwcSumOp: emit_pooling,
    linalg.PackOp: emit_pack,
    linalg.UnpackOp: emit_unpack,
    GenericOp: _emit_any_generic,
    PadOp: emit_pad,
    ConcatOp: emit_concat,
    ExtractSliceOp: emit_extract_slice,
    InsertSliceOp: emit_insert_slice,
}


def compile_region(region: RegionOp, target: Target, name: str) -> Kernel:
    """The kernel `name` of `region`. Raises UnsupportedError for a root that no emitter is registered for."""
    context = KernelContext(region, target, name)
    if context.on_grid:
        context.grid = emit_cuda(context)
        if context.grid is not None:
            return context.finish()
    if not context.operations:
        return context.finish(emit_copies(context))
    stages = Stages.of(context.operations)
    if stages is not None:
        return context.finish(emit_attention(context, stages))
    strips = Strips.of(context.operations)
    if strips is not None:
        return context.finish(emit_strips(context, strips))
    root = context.root
    emitter = _EMITTERS.get(type(root))
    if emitter is None:
        raise UnsupportedError("no code can be generated", [f"a dispatch of {root.name}"])
    return context.finish(emitter(context, root))
