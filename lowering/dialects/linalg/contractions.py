"""Multiply-adds of matrices: `linalg.matmul` and its batched and packed forms.

Each multiplies after casting both elements to the type of the accumulator (sign-extended or exactly).
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.irdl import irdl_op_definition, opt_prop_def

from .base import PARALLEL, REDUCTION, NamedOp, affine_map, dims


class _ContractionOp(NamedOp, ABC):
    """A widening multiply-add over `lhs` and `rhs`."""

    @property
    def lhs(self) -> SSAValue:
        return self.inputs[0]

    @property
    def rhs(self) -> SSAValue:
        return self.inputs[1]


def _matmul_maps(batch: int, transpose_rhs: bool) -> tuple[AffineMap, AffineMap, AffineMap]:
    """The maps of (lhs, rhs, init) of a matmul with `batch` leading dimensions."""
    rank = batch + 3
    *b, m, n, k = dims(rank)
    rhs = affine_map(rank, *b, n, k) if transpose_rhs else affine_map(rank, *b, k, n)
    return affine_map(rank, *b, m, k), rhs, affine_map(rank, *b, m, n)


_MATMUL_MAPS = [[_matmul_maps(batch, transpose_rhs) for transpose_rhs in (False, True)] for batch in (0, 1)]


class MappedContractionOp(_ContractionOp, ABC):
    """A contraction whose operands may be transposed by giving `indexing_maps`."""

    indexing_maps = opt_prop_def(ArrayAttr[AffineMapAttr])

    assembly_format = (
        "(`indexing_maps` `=` $indexing_maps^)? attr-dict `ins` `(` $inputs `:` type($inputs) `)` "
        "`outs` `(` $outputs `:` type($outputs) `)` `->` type($result)"
    )

    BATCH_DIMS: ClassVar[int]

    def __init__(
        self,
        lhs: SSAValue | Operation,
        rhs: SSAValue | Operation,
        init: SSAValue | Operation,
        *,
        transpose_rhs: bool = False,
    ) -> None:
        super().__init__(lhs, rhs, init)
        if transpose_rhs:
            self.indexing_maps = ArrayAttr(AffineMapAttr(map) for map in _MATMUL_MAPS[self.BATCH_DIMS][True])

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        if self.indexing_maps is None:
            return _MATMUL_MAPS[self.BATCH_DIMS][False]
        lhs, rhs, init = (attribute.data for attribute in self.indexing_maps)
        return lhs, rhs, init


@irdl_op_definition
class MatmulOp(MappedContractionOp):
    """init[m, n] += lhs[m, k] * rhs[k, n], or rhs[n, k] with `transpose_rhs`."""

    name = "linalg.matmul"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, REDUCTION)
    BATCH_DIMS: ClassVar[int] = 0


@irdl_op_definition
class BatchMatmulOp(MappedContractionOp):
    """init[b, m, n] += lhs[b, m, k] * rhs[b, k, n], or rhs[b, n, k] with `transpose_rhs`."""

    name = "linalg.batch_matmul"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, PARALLEL, REDUCTION)
    BATCH_DIMS: ClassVar[int] = 1


@irdl_op_definition
class Mmt4dOp(_ContractionOp):
    """init[m1, n1, m0, n0] += lhs[m1, k1, m0, k0] * rhs[n1, k1, n0, k0]: a matmul of packed operands."""

    name = "linalg.mmt4d"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, REDUCTION, PARALLEL, PARALLEL, REDUCTION)

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        m1, n1, k1, m0, n0, k0 = dims(6)
        return affine_map(6, m1, k1, m0, k0), affine_map(6, n1, k1, n0, k0), affine_map(6, m1, n1, m0, n0)


@irdl_op_definition
class BatchMmt4dOp(_ContractionOp):
    """`linalg.mmt4d` with a leading batch dimension on all three operands."""

    name = "linalg.batch_mmt4d"

    ITERATORS: ClassVar = (PARALLEL, PARALLEL, PARALLEL, REDUCTION, PARALLEL, PARALLEL, REDUCTION)

    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        b, m1, n1, k1, m0, n0, k0 = dims(7)
        lhs, rhs = affine_map(7, b, m1, k1, m0, k0), affine_map(7, b, n1, k1, n0, k0)
        return lhs, rhs, affine_map(7, b, m1, n1, m0, n0)
