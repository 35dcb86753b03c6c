"""Operations whose loops follow from a permutation or a list of dimensions, and those with a region of their own."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr, i64
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.irdl import irdl_op_definition, prop_def
from xdsl.utils.exceptions import VerifyException

from ....tosa.dialect.types import shape_of
from .base import PARALLEL, REDUCTION, dims
from .structured import Loops, RegionOp, ScalarFunctionOp, StructuredOp


def _without(rank: int, dropped: Sequence[int]) -> AffineMap:
    """The map to all of `rank` dimensions but those `dropped`."""
    return AffineMap(rank, 0, tuple(dim for index, dim in enumerate(dims(rank)) if index not in dropped))


class _CopyingOp(ScalarFunctionOp, ABC):
    """Moves elements and leaves them as they are."""

    TYPES_RESULTS: ClassVar = False

    @property
    def function(self) -> str:
        return "copy"


@irdl_op_definition
class TransposeOp(_CopyingOp):
    """Dimension i of the output is dimension `permutation[i]` of the input."""

    name = "linalg.transpose"
    permutation = prop_def(DenseArrayBase.constr(i64))

    BEHIND: ClassVar = "permutation"

    def loops(self) -> Loops:
        permutation = _integers(self.permutation)
        rank = len(permutation)
        if sorted(permutation) != list(range(rank)) or len(shape_of(self.outputs[0])) != rank:
            raise VerifyException(f"{self.name}: permutation must have each dimension of the output once")
        source = AffineMap(rank, 0, tuple(AffineDimExpr(permutation.index(dim)) for dim in range(rank)))
        return [source, AffineMap.identity(rank)], [PARALLEL] * rank


@irdl_op_definition
class BroadcastOp(_CopyingOp):
    """The output has `dimensions` that the input lacks."""

    name = "linalg.broadcast"
    dimensions = prop_def(DenseArrayBase.constr(i64))

    BEHIND: ClassVar = "dimensions"

    def loops(self) -> Loops:
        rank = len(shape_of(self.outputs[0]))
        added = _checked(self, _integers(self.dimensions), rank)
        return [_without(rank, added), AffineMap.identity(rank)], [PARALLEL] * rank


@irdl_op_definition
class ReduceOp(RegionOp):
    """Combines the elements of each input along `dimensions`, starting from the output's element."""

    name = "linalg.reduce"
    dimensions = prop_def(DenseArrayBase.constr(i64))

    BEHIND: ClassVar = "dimensions"
    INIT_FIRST: ClassVar = True

    @classmethod
    def outputs_among(cls, operands: int) -> int:
        return operands // 2

    def loops(self) -> Loops:
        rank = len(shape_of(self.inputs[0])) if self.inputs else 0
        reduced = _checked(self, _integers(self.dimensions), rank)
        inputs = [AffineMap.identity(rank)] * len(self.inputs)
        outputs = [_without(rank, reduced)] * len(self.outputs)
        return [*inputs, *outputs], [REDUCTION if dim in reduced else PARALLEL for dim in range(rank)]


@irdl_op_definition
class MapOp(RegionOp):
    """The region applied to elements at equal positions. Its argument for the output may be left out."""

    name = "linalg.map"

    INIT_FIRST: ClassVar = False

    def loops(self) -> Loops:
        rank = len(shape_of(self.outputs[0]))
        return [AffineMap.identity(rank)] * len(self.operands), [PARALLEL] * rank


@irdl_op_definition
class SoftmaxOp(StructuredOp):
    """exp(x - max(x)) / sum(exp(x - max(x))) along `dimension`."""

    name = "linalg.softmax"
    dimension = prop_def(IntegerAttr)

    IN_PARENTHESES: ClassVar = "dimension"

    def loops(self) -> Loops:
        rank = len(shape_of(self.outputs[0]))
        _checked(self, [self.dimension.value.data], rank)
        return [AffineMap.identity(rank)] * len(self.operands), [PARALLEL] * rank


def _integers(values: DenseArrayBase) -> list[int]:
    return [int(value) for value in values.get_values()]  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]


def _checked(op: StructuredOp, chosen: Sequence[int], rank: int) -> Sequence[int]:
    if len(set(chosen)) != len(chosen) or any(not 0 <= dim < rank for dim in chosen):
        raise VerifyException(f"{op.name}: dimensions must be distinct ones of {rank}, got {list(chosen)}")
    return chosen


SHAPED_OPERATIONS = [TransposeOp, BroadcastOp, ReduceOp, MapOp, SoftmaxOp]
