"""`tiled.matmul` on a GPU: rows of a matrix times tiles made for tensor cores."""

from __future__ import annotations

from xdsl.dialects.builtin import tf32

from ...dialects.tiled import MatmulOp
from ...ir import tensor_type
from ...targets.mma_tile import mma_tile
from ..emit import Function
from ..epilogue import Epilogue
from ..kernel import Grid, KernelContext
from ..product import accumulator_type, narrow
from ..tile_output import row_indices
from ..types import Value, is_float, memory_type
from .core_matmul import emit_core_matmul
from .left_side import MatrixRows
from .mma import select_mma
from .outer_product import is_multiple
from .tensor_core import TensorCoreProduct
from .warpgroup_matmul import emit_warpgroup_matmul


def emit_matmul(context: KernelContext, root: MatmulOp) -> Grid | None:
    """Emits a product: on tensor cores where its right side was tiled for them, else on CUDA cores.

    None for tiles that a program asks for and no block has.
    """
    grid = emit_warpgroup_matmul(context, root)
    if grid is not None:
        return grid
    lhs, rhs, result = (tensor_type(value) for value in (root.lhs, root.rhs, root.result))
    element = memory_type(result.get_element_type())
    mma = select_mma(
        context.target,
        memory_type(lhs.get_element_type()),
        memory_type(rhs.get_element_type()),
        accumulator_type(result.get_element_type()),
        rounds_f32=root.multiply_type == tf32,
    )
    *_, n0, k0 = rhs.get_shape()
    tile = mma_tile(root.rows.value.data, n0)
    if mma is None or tile is None or k0 != mma.depth or root.lhs_offset is not None:
        return emit_core_matmul(context, root)
    *batches, m, k = context.shape(root.lhs)
    *_, n = context.shape(root.result)
    *_, steps, _, _ = context.shape(root.rhs)
    rows = MatrixRows(
        context.tensor(root.lhs).pointer,
        mma.element,
        m,
        k,
        whole_rows=is_multiple(m, tile.rows),
        whole_columns=is_multiple(k, k0),
    )
    count = batches[0] if batches else 1
    right = context.tensor(root.rhs).pointer
    product = TensorCoreProduct(context.target, tile, mma, rows, right, count, m, n, steps)
    epilogue, indices = Epilogue(context, root), row_indices(batched=bool(batches))

    def finish(f: Function, batch: Value, row: Value, column: Value, value: Value) -> None:
        value = narrow(f, context.target, value, element) if is_float(value.type) else value
        epilogue.emit(f, indices(f, batch, row, column), value)

    return product.emit(context.f, finish)
