"""The operands of a matrix product as they lie in memory, turned so that results are written along their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir.affine import AffineDimExpr

from ..dialects.linalg import BatchMatmulOp, MatmulOp
from .access import Access
from .emit import Function
from .extent import Extent, emit_extent
from .kernel import KernelContext
from .types import Value, byte_size, memory_type


@dataclass(frozen=True)
class Operand:
    """Elements of machine type `element` at `pointer`; distances along (batch, line, k) in bytes.

    A line is a row of the result for the left operand, a column for the right one.
    """

    pointer: Value
    element: str
    batch: Extent
    line: Extent
    k: Extent
    size: int

    def at(self, f: Function, batch: Value, line: Value, k: Value) -> Value:
        """The address of an element."""
        offset = f.mul(batch, emit_extent(f, self.batch))
        offset = f.add(offset, f.mul(line, emit_extent(f, self.line)))
        return f.gep(self.pointer, f.add(offset, f.mul(k, emit_extent(f, self.k))))

    @property
    def lines_contiguous(self) -> bool:
        return self.line == self.size

    @property
    def k_contiguous(self) -> bool:
        return self.k == self.size


@dataclass(frozen=True)
class ProductView:
    """result[batch, row, column] += left[batch, row, k] * right[batch, column, k].

    Rows of this view are columns of the operation where `turned`: the result is transposed, or a single column, so that
    the operands have changed places. `order` has for each dimension of the result what runs along it: 0 the batch,
    1 rows and 2 columns of the view.
    """

    left: Operand
    right: Operand
    batch: Extent
    rows: Extent
    columns: Extent
    k: Extent
    order: tuple[int, ...]

    def indices(self, f: Function, batch: Value, row: Value, column: Value) -> Sequence[Value]:
        """Those of the operation's result."""
        return [(batch, row, column)[which] for which in self.order]

    @property
    def column_dim(self) -> int:
        """The dimension of the result that columns run along."""
        return self.order.index(2)

    def turned(self) -> ProductView:
        """The same with rows and columns exchanged."""
        order = tuple((0, 2, 1)[which] for which in self.order)
        return ProductView(self.right, self.left, self.batch, self.columns, self.rows, self.k, order)

    @staticmethod
    def of(context: KernelContext, root: MatmulOp | BatchMatmulOp) -> ProductView:
        maps = root.indexing_maps_of_operands()
        loops = maps[0].num_dims
        extents: list[Extent] = [1] * loops
        for value, map in zip(root.operands, maps, strict=True):
            for expression, size in zip(map.results, context.shape(value), strict=True):
                if isinstance(expression, AffineDimExpr):
                    extents[expression.position] = size
        *batch, m, n, k = range(loops)
        rows, columns = m, n
        written = [expr.position for expr in maps[2].results if isinstance(expr, AffineDimExpr)]
        if written[-1] == m:
            rows, columns = n, m
        if extents[columns] == 1 and extents[rows] != 1:
            rows, columns = columns, rows
        accesses = [Access.of(context.tensor(value), map) for value, map in zip(root.inputs, maps, strict=False)]
        operands = []
        for access, line in zip(accesses if rows == m else reversed(accesses), (rows, columns), strict=True):
            size = byte_size(access.tensor.element)
            strides = [stride * size for stride in access.strides]
            operands.append(
                Operand(
                    access.tensor.pointer,
                    memory_type(access.tensor.element),
                    strides[batch[0]] if batch else 0,
                    strides[line],
                    strides[k],
                    size,
                )
            )
        which = {rows: 1, columns: 2, **dict.fromkeys(batch, 0)}
        left, right = operands
        batches = extents[batch[0]] if batch else 1
        order = tuple(which[position] for position in written)
        return ProductView(left, right, batches, extents[rows], extents[columns], extents[k], order)
