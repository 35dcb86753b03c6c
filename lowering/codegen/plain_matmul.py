"""`linalg.matmul` and `linalg.batch_matmul` on matrices that lie in rows, any operand transposed, of any types.

That is how contractions arrive whose target wants no tiles for them: those of few rows or columns, for which packing
would cost more than it saves, and those that the user told to leave alone.
"""

from __future__ import annotations

from dataclasses import replace

from ..dialects.linalg import BatchMatmulOp, MatmulOp
from ..ir import tensor_type
from .dots import COLUMNS, DotProduct, Dots
from .epilogue import Epilogue
from .extent import emit_extent
from .kernel import KernelContext
from .operand_view import ProductView
from .product import accumulator_type, narrow, widen
from .streamed import Streamed
from .strip_product import StripProduct
from .tile_output import TileOutput
from .types import bits_of, is_float, memory_type


def emit_plain_matmul(context: KernelContext, root: MatmulOp | BatchMatmulOp) -> int:
    """Emits a product of matrices in rows; returns the bytes of scratch per thread.

    The fastest that fits: dot products where both sides are contiguous along k, else strips of columns where one is
    contiguous across it, else element by element.
    """
    element = tensor_type(root.result).get_element_type()
    result, accumulator = memory_type(element), accumulator_type(element)
    view = ProductView.of(context, root)
    exact = all(_widens(operand.element, result) for operand in (view.left, view.right))
    if exact and view.left.k_contiguous and view.right.k_contiguous:
        product = DotProduct.of(context.target, view.left.element, view.right.element, accumulator)
        return Dots(context, view, product, _output(context, root, view, COLUMNS, product.lanes)).emit()
    if not view.right.lines_contiguous and view.left.lines_contiguous:
        view = view.turned()
    if exact and view.right.lines_contiguous:
        types = view.left.element, view.right.element, accumulator
        product = StripProduct.of(context.target, *types, view.rows, view.columns)
        output = replace(_output(context, root, view, product.columns, product.lanes), ragged=True)
        return Streamed(context, view, product, output).emit()
    return _emit_elements(context, root, view, accumulator)


def _output(
    context: KernelContext, root: MatmulOp | BatchMatmulOp, view: ProductView, n0: int, lanes: int
) -> TileOutput:
    element = tensor_type(root.result).get_element_type()
    shape = context.shape(root.result)
    contiguous = all(size == 1 for size in shape[view.column_dim + 1 :])
    return TileOutput(
        context.target,
        accumulator_type(element),
        lanes if contiguous else 1,
        n0,
        view.columns,
        memory_type(element),
        view.indices,
        Epilogue(context, root),
        view.column_dim,
    )


def _widens(source: str, result: str) -> bool:
    """Whether operands can be multiplied as they are: else linalg rounds them to the type of the result first."""
    if is_float(source):
        return is_float(result) and bits_of(source) <= bits_of(result) and (source == result or bits_of(result) > 16)
    return not is_float(result) or bits_of(result) > 16 or bits_of(source) <= 8


def _emit_elements(context: KernelContext, root: MatmulOp | BatchMatmulOp, view: ProductView, accumulator: str) -> int:
    """One element after the other; operands are cast to the type of the result before they are multiplied."""
    f, target = context.f, context.target
    result = memory_type(tensor_type(root.result).get_element_type())
    epilogue = Epilogue(context, root)
    rows, columns, depth = (emit_extent(f, size) for size in (view.rows, view.columns, view.k))
    zero = f.zero(accumulator)
    first, last = context.share(view.batch * view.rows)
    with f.loop(first, last) as line, f.loop(emit_extent(f, 0), columns) as column:
        batch, row = f.udiv(line.index, rows), f.urem(line.index, rows)
        with f.loop(emit_extent(f, 0), depth, carried=[zero]) as k:
            factors = []
            for operand, index in ((view.left, row), (view.right, column.index)):
                value = f.load(operand.element, operand.at(f, batch, index, k.index))
                factors.append(widen(f, target, widen(f, target, value, result), accumulator))
            a, b = factors
            sum = k.values[0]
            k.yield_(f.fma(a, b, sum) if is_float(accumulator) else f.add(sum, f.mul(a, b)))
        epilogue.emit(
            f, view.indices(f, batch, row, column.index), narrow(f, target, k.results[0], result), None, view.column_dim
        )
    return 0
