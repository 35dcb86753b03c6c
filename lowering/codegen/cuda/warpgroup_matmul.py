"""`tiled.matmul` on sm_90a, where its right side was tiled for warpgroups (see `warpgroup`)."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from xdsl.dialects.builtin import DYNAMIC_INDEX, tf32

from ....runtime.artifact import TensorMap
from ...dialects.tiled import MatmulOp
from ...ir import tensor_type
from ...targets.wgmma_tile import CAPABILITY, wgmma_tile
from ..emit import Function
from ..epilogue import Epilogue
from ..kernel import Grid, KernelContext
from ..product import accumulator_type, narrow
from ..tile_output import row_indices
from ..types import BF16, F16, F32, I8, PTR, Value, is_float, memory_type
from .warp_specialised import WarpSpecialisedProduct
from .warpgroup import ROWS, STEP_BYTES, select_wgmma

_DTYPES = {F16: "float16", BF16: "bfloat16", F32: "float32", I8: "int8"}


def emit_warpgroup_matmul(context: KernelContext, root: MatmulOp) -> Grid | None:
    """Emits a product of known sizes on the tensor cores of sm_90a; None for other tiles, types and GPUs."""
    lhs, rhs, result = (tensor_type(value) for value in (root.lhs, root.rhs, root.result))
    shapes = [*lhs.get_shape(), *rhs.get_shape(), *result.get_shape()]
    if context.target.name != CAPABILITY or DYNAMIC_INDEX in shapes or root.lhs_offset is not None:
        return None
    element, sums = memory_type(lhs.get_element_type()), accumulator_type(result.get_element_type())
    as_tf32 = root.multiply_type == tf32
    wgmma = select_wgmma(element, memory_type(rhs.get_element_type()), sums, rounds_f32=as_tf32)
    *_, n0, k0 = rhs.get_shape()
    tile = wgmma_tile(root.rows.value.data, n0)
    *batches, m, k = lhs.get_shape()
    pointer = context.tensor(root.lhs).pointer
    buffers = [number for number, each in enumerate(context.inputs) if each.pointer.text == pointer.text]
    if wgmma is None or tile is None or k0 != wgmma.part or k % wgmma.depth or not buffers:
        return None
    f, count = context.f, prod(batches)
    # Boxes of the last rows of a matrix may reach into the next one's: the sums of those are not stored.
    map = TensorMap(buffers[0], _DTYPES[element], (count * m, k), (tile.groups * ROWS, wgmma.depth), STEP_BYTES)
    left = f.add_parameter(PTR, "tensor_map0")
    right = context.tensor(root.rhs).pointer
    n = result.get_shape()[-1]
    product = WarpSpecialisedProduct(tile, wgmma, left, right, count, m, n, k // wgmma.depth)
    epilogue, indices = Epilogue(context, root), row_indices(batched=bool(batches))
    stored = memory_type(result.get_element_type())

    def finish(f: Function, batch: Value, row: Value, column: Value, value: Value) -> None:
        value = narrow(f, context.target, value, stored) if is_float(value.type) else value
        epilogue.emit(f, indices(f, batch, row, column), value)

    return replace(product.emit(f, finish), tensor_maps=(map,))
