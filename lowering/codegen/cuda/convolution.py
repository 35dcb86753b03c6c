"""`tiled.conv_2d` on a GPU: implicit GEMM, windows of an image as the rows of a matrix that is nowhere in memory."""

from __future__ import annotations

from math import prod

from xdsl.dialects.builtin import tf32

from ...dialects.tiled import Conv2DOp
from ...ir import tensor_type
from ...targets.block_tile import block_tile
from ...targets.mma_tile import mma_tile
from ..arithmetic import i64
from ..emit import Function
from ..epilogue import Epilogue
from ..kernel import Grid, KernelContext
from ..product import accumulator_type, narrow
from ..types import Value, is_float, memory_type
from ..window import Window, integers, pair
from .left_side import WindowRows
from .mma import select_mma
from .outer_product import OuterProduct
from .sliding import split_index
from .tensor_core import TensorCoreProduct


def emit_convolution(context: KernelContext, root: Conv2DOp) -> Grid | None:
    """Emits a convolution, on tensor cores where its filter was tiled for them; None for tiles that a program asks for
    and no block has."""
    image, filter, result = (tensor_type(value) for value in (root.image, root.filter, root.result))
    images, height, width, channels = image.get_shape()
    _, out_height, out_width, n = result.get_shape()
    _, steps, n0, k0 = filter.get_shape()
    sums = accumulator_type(result.get_element_type())
    left, right, element = (memory_type(type.get_element_type()) for type in (image, filter, result))
    mma = select_mma(context.target, left, right, sums, rounds_f32=root.multiply_type == tf32)
    m0 = root.rows.value.data
    block = block_tile(m0, n0) if k0 == 1 else None
    warps = mma_tile(m0, n0) if mma is not None and k0 == mma.depth else None
    tile = block or warps
    if tile is None or root.lhs_offset is not None:
        return None
    top, _, leftmost, _ = integers(root.pad)
    kernel = pair(root.kernel)
    window = Window(
        (height, width), (out_height, out_width), kernel, pair(root.strides), pair(root.dilations), (top, leftmost)
    )
    m, k = images * out_height * out_width, prod(kernel) * channels
    rows = WindowRows(
        context.tensor(root.image).pointer,
        left,
        images,
        channels,
        window,
        whole_rows=m % tile.rows == 0,
        whole_columns=k % (block.depth if block else k0) == 0,
        fill=root.pad_value.value.data if root.pad_value else 0,
    )
    panels = context.tensor(root.filter).pointer
    product: OuterProduct | TensorCoreProduct
    if warps is not None and mma is not None:
        product = TensorCoreProduct(context.target, warps, mma, rows, panels, 1, m, n, steps)
    else:
        assert block is not None
        product = OuterProduct(context.target, block, rows, panels, right, sums, 1, m, n, k)
    epilogue = Epilogue(context, root)
    linear = epilogue.rows_are_linear

    def finish(f: Function, batch: Value, row: Value, column: Value, value: Value) -> None:
        place = [i64(0), i64(0), row] if linear else split_index(f, row, [images, out_height, out_width])
        value = narrow(f, context.target, value, element) if is_float(value.type) else value
        epilogue.emit(f, [*place, column], value)

    return product.emit(context.f, finish)
