"""`tiled.conv_2d` on a GPU: implicit GEMM, windows of an image as the rows of a matrix that is nowhere in memory."""

from __future__ import annotations

from math import prod

from ...dialects.tiled import Conv2DOp
from ...ir import tensor_type
from ...targets.block_tile import block_tile
from ..arithmetic import i64
from ..emit import Function
from ..epilogue import Epilogue
from ..kernel import Grid, KernelContext
from ..product import accumulator_type, narrow
from ..types import Value, is_float, memory_type
from ..window import Window, integers, pair
from .left_side import WindowRows
from .outer_product import OuterProduct
from .sliding import split_index


def emit_convolution(context: KernelContext, root: Conv2DOp) -> Grid | None:
    """Emits a convolution; None for tiles that a program asks for and no block has."""
    image, filter, result = (tensor_type(value) for value in (root.image, root.filter, root.result))
    images, height, width, channels = image.get_shape()
    _, out_height, out_width, n = result.get_shape()
    _, _, n0, k0 = filter.get_shape()
    tile = block_tile(root.rows.value.data, n0)
    if tile is None or k0 != 1 or root.lhs_offset is not None:
        return None
    top, _, left, _ = integers(root.pad)
    kernel = pair(root.kernel)
    window = Window(
        (height, width), (out_height, out_width), kernel, pair(root.strides), pair(root.dilations), (top, left)
    )
    m, k = images * out_height * out_width, prod(kernel) * channels
    rows = WindowRows(
        context.tensor(root.image).pointer,
        memory_type(image.get_element_type()),
        images,
        channels,
        window,
        whole_rows=m % tile.rows == 0,
        whole_columns=k % tile.depth == 0,
        fill=root.pad_value.value.data if root.pad_value else 0,
    )
    product = OuterProduct(
        context.target,
        tile,
        rows,
        context.tensor(root.filter).pointer,
        memory_type(filter.get_element_type()),
        accumulator_type(result.get_element_type()),
        1,
        m,
        n,
        k,
    )
    epilogue, element = Epilogue(context, root), memory_type(result.get_element_type())
    linear = epilogue.rows_are_linear

    def finish(f: Function, batch: Value, row: Value, column: Value, value: Value) -> None:
        place = [i64(0), i64(0), row] if linear else split_index(f, row, [images, out_height, out_width])
        value = narrow(f, context.target, value, element) if is_float(value.type) else value
        epilogue.emit(f, [*place, column], value)

    return product.emit(context.f, finish)
