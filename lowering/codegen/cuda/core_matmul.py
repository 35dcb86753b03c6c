"""`tiled.matmul` on the CUDA cores of a GPU: f32, and types that its tensor cores do not multiply; any sizes.

With one row of the left side it is the right side that is read, once, by blocks of 32 columns whose threads share k in
16 slices: two stages of 16 KiB under way in each of 32 blocks for 1000 columns.
"""

from __future__ import annotations

from ...dialects.tiled import MatmulOp
from ...ir import tensor_type
from ...targets.block_tile import block_tile
from ..emit import Function
from ..epilogue import Epilogue
from ..kernel import Grid, KernelContext
from ..product import accumulator_type, narrow
from ..tile_output import row_indices
from ..types import Value, is_float, memory_type
from .left_side import MatrixRows
from .outer_product import OuterProduct, is_multiple


def emit_core_matmul(context: KernelContext, root: MatmulOp) -> Grid | None:
    """Emits a product; None for tiles that a program asks for and no block has."""
    result = tensor_type(root.result).get_element_type()
    *_, n0, k0 = tensor_type(root.rhs).get_shape()
    tile = block_tile(root.rows.value.data, n0)
    if tile is None or k0 != 1 or root.lhs_offset is not None:
        return None
    left, right, element = context.tensor(root.lhs), context.tensor(root.rhs), memory_type(result)
    *batches, m, k = context.shape(root.lhs)
    rows = MatrixRows(
        left.pointer,
        memory_type(left.element),
        m,
        k,
        whole_rows=is_multiple(m, tile.rows),
        whole_columns=is_multiple(k, tile.depth),
    )
    product = OuterProduct(
        context.target,
        tile,
        rows,
        right.pointer,
        memory_type(right.element),
        accumulator_type(result),
        batches[0] if batches else 1,
        m,
        context.shape(root.result)[-1],
        k,
    )
    epilogue, indices = Epilogue(context, root), row_indices(batched=bool(batches))

    def finish(f: Function, batch: Value, row: Value, column: Value, value: Value) -> None:
        value = narrow(f, context.target, value, element) if is_float(value.type) else value
        epilogue.emit(f, indices(f, batch, row, column), value)

    return product.emit(context.f, finish)
