"""The element-wise generic at the end of a region, applied to finished elements of the root while in registers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import cast

from xdsl.dialects.linalg.ops import GenericOp, IndexOp
from xdsl.ir import Operation
from xdsl.ir.affine import AffineDimExpr, AffineMap

from ...runtime.errors import UnsupportedError
from ..dialects.scalar import ApplyScaleOp
from ..ir import view_source
from .access import Access
from .body import Scope, emit_body
from .emit import Function
from .extent import Extent, product
from .kernel import KernelContext
from .lookup import is_byte_table
from .types import Value, bits_of, lanes_of, memory_type

_CACHE_LINE = 64
_STREAMED_BYTES = 512 * 1024
"""From this size on a tensor is taken not to be in an L2 of 1 MiB when a kernel comes to it."""


class Epilogue:
    """What becomes of the elements of `root`'s result: stored as they are, or handed to the trailing generic.

    The generic iterates over the elements of the root's result, which it reads in place, possibly through a reshape;
    its other operands are read through their indexing maps. `shape` is that of the root's result as it is read here.
    """

    def __init__(self, context: KernelContext, root: Operation) -> None:
        self.context = context
        self.root = root
        operations = context.operations
        position = operations.index(root)
        self.generic = cast(GenericOp, operations[position + 1]) if position + 1 < len(operations) else None
        if self.generic is None:
            outputs = context.results_of(root)[0]
            self.shape = outputs[0].shape
            self._plain = [Access.of(out, AffineMap.identity(len(out.shape))) for out in outputs]
            return
        self._read = self._operand_of_root(self.generic)
        maps = [attribute.data for attribute in self.generic.indexing_maps.data]
        self._order = _permutation(maps[self._read])
        self.shape = context.shape(self.generic.inputs[self._read])
        count = len(self.generic.inputs)
        self._inputs = [
            None if index == self._read else Access.of(context.tensor(value), map)
            for index, (value, map) in enumerate(zip(self.generic.inputs, maps, strict=False))
        ]
        self._results = [
            [Access.of(out, map) for out in outs]
            for outs, map in zip(context.results_of(self.generic), maps[count:], strict=True)
        ]

    def store_in(self, access: Access) -> None:
        """Lets the one result of the generic go there, not to an output of the region."""
        assert self.generic is not None and self._results == [[]]
        self._results = [[access]]

    def _operand_of_root(self, generic: GenericOp) -> int:
        for index, value in enumerate(generic.inputs):
            if view_source(value) is self.root.results[0]:
                return index
        raise UnsupportedError("no code can be generated", [f"the consumer of {self.root.name} does not read it"])

    @property
    def rows_are_linear(self) -> bool:
        """Whether indices [0, ..., 0, row, last] address the same elements, rows counting over all leading dimensions.

        Contractions count rows so; where every tensor is addressed linearly by them, no divisions are needed.
        """
        if self.generic is None:
            return True
        if any(isinstance(op, IndexOp) for op in self.generic.body.block.ops):
            return False
        return all(self._is_linear_in_rows(access) for access in self.accesses)

    @property
    def accesses(self) -> list[Access]:
        """What is read besides the root's result, and what is written."""
        if self.generic is None:
            return self._plain
        return [*(access for access in self._inputs if access), *(access for outs in self._results for access in outs)]

    @property
    def reads_rows(self) -> bool:
        """Whether elements are read that differ from row to row."""
        if self.generic is None:
            return False
        last = self._order.index(len(self.shape) - 1)
        inputs = (access for access in self._inputs if access)
        return any(
            access.quasi or any(stride != 0 for loop, stride in enumerate(access.strides) if loop != last)
            for access in inputs
        )

    @property
    def prefers_pairs(self) -> bool:
        """Whether two registers of sums are better finished at once.

        Bytes are: a look-up by permutes takes as long for twice as many, and of what rescales sums two share one test
        for doubtful results and one turn of the loop (4.3 instead of 4.7 cycles a register on Zen 4).
        """
        if self.generic is None or not self.context.target.avx512:
            return False
        if any(isinstance(operation, ApplyScaleOp) for operation in self.generic.body.block.ops):
            return True
        tables = self.context.extracted_tensors(self.generic).values()
        return self.context.target.has("avx512vbmi") and any(is_byte_table(tensor) for tensor in tables)

    def _is_linear_in_rows(self, access: Access) -> bool:
        rank = len(self.shape)
        strides: list[Extent] = [0] * rank
        for loop, dim in enumerate(self._order):
            strides[dim] = access.strides[loop]
        return not access.quasi and all(
            self.shape[dim] == 1 or strides[dim] == strides[rank - 2] * product(self.shape[dim + 1 : rank - 1])
            for dim in range(rank - 2)
        )

    def prefetch(self, f: Function, indices: Sequence[Value], columns: int) -> None:
        """Brings into the cache what `columns` elements from `indices` (of `shape`) on read and write of big tensors.

        They lie along the last dimension.
        """
        loops = indices if self.generic is None else [indices[result] for result in self._order]
        for access in self._streamed:
            size = bits_of(memory_type(access.tensor.element)) // 8
            start = access.pointer(f, loops)
            for offset in range(0, columns * size, _CACHE_LINE):
                f.prefetch(f.gep(start, offset))

    @property
    def prefetches(self) -> bool:
        """Whether there is anything to prefetch."""
        return bool(self._streamed)

    @cached_property
    def _streamed(self) -> list[Access]:
        """Where elements lie that are too many for the second cache, contiguous along the last dimension."""
        last = len(self.shape) - 1 if self.generic is None else self._order.index(len(self.shape) - 1)
        return [
            access
            for access in self.accesses
            if isinstance(access.tensor.nbytes, int)
            and access.tensor.nbytes >= _STREAMED_BYTES
            and access.tensor.fill is None
            and not access.quasi
            and access.strides[last] == 1
        ]

    def emit(
        self, f: Function, indices: Sequence[Value], values: Value, mask: Value | None = None, dim: int | None = None
    ) -> None:
        """Finishes the elements from `indices` (of `shape`) on along dimension `dim` (the last): one if `values` is a
        scalar, else one per lane. `mask` (<N x i1>) limits what is read and written."""
        lanes = lanes_of(values.type)
        dim = len(indices) - 1 if dim is None else dim
        if self.generic is None:
            for access in self._plain:
                access.store(f, values, indices, dim if lanes > 1 else None, lanes, mask)
            return
        loops = [indices[result] for result in self._order]
        lane_dim = self._order.index(dim) if lanes > 1 else None
        arguments = [
            values if access is None else access.load(f, loops, lane_dim, lanes, mask) for access in self._inputs
        ]
        block = self.generic.body.block
        # The initial contents of element-wise results are never read.
        arguments += [f.undefined("i1")] * len(self._results)
        tensors = self.context.extracted_tensors(self.generic)
        scope = Scope(f, self.context.target, lanes, loops, lane_dim, tensors, mask, self.context.scalars)
        results = emit_body(scope, block, arguments)
        for result, accesses in zip(results, self._results, strict=True):
            for access in accesses:
                access.store(f, result, loops, lane_dim, lanes, mask)


def _permutation(map: AffineMap) -> list[int]:
    """For each loop the dimension of the operand that follows it."""
    positions = [expression.position for expression in map.results if isinstance(expression, AffineDimExpr)]
    if sorted(positions) != list(range(map.num_dims)) or len(positions) != len(map.results):
        raise UnsupportedError("no code can be generated", [f"an epilogue reads its root through {map}"])
    return [positions.index(loop) for loop in range(map.num_dims)]
