"""What named linalg operations share: their iteration space, told by indexing maps and iterator kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, ArrayAttr, LocationAttr, TensorType
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    ParsePropInAttrDict,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from ....tosa.dialect.types import shape_of

PARALLEL = IteratorTypeAttr(IteratorType.PARALLEL)
REDUCTION = IteratorTypeAttr(IteratorType.REDUCTION)


def dims(count: int) -> tuple[AffineExpr, ...]:
    """The first `count` iteration dimensions, to build indexing maps from."""
    return tuple(AffineDimExpr(position) for position in range(count))


def affine_map(rank: int, *results: AffineExpr) -> AffineMap:
    """The map from `rank` iteration dimensions to `results`."""
    return AffineMap(rank, 0, results)


def loop_extents(op: Operation, maps: Sequence[AffineMap], loops: int) -> tuple[int, ...]:
    """The extent of each of `loops` dimensions that `maps` lead from to the operands, `DYNAMIC_INDEX` if unknown.

    Raises VerifyException where an operand has another rank than its map or two disagree about an extent.
    """
    extents: dict[int, int] = {}
    for index, (value, map) in enumerate(zip(op.operands, maps, strict=True)):
        shape = shape_of(value) if isinstance(value.type, TensorType) else ()
        if len(shape) != len(map.results):
            raise VerifyException(f"{op.name}: operand {index} must have {len(map.results)} dimensions: {shape}")
        for size, expression in zip(shape, map.results, strict=True):
            if not isinstance(expression, AffineDimExpr):
                continue
            known = extents.setdefault(expression.position, size)
            if known < 0:
                extents[expression.position] = size
            elif size >= 0 and size != known:
                raise VerifyException(
                    f"{op.name}: operand {index} {shape} disagrees about d{expression.position} = {known}"
                )
    return tuple(extents.get(position, DYNAMIC_INDEX) for position in range(loops))


def without_memo(attributes: Mapping[str, Attribute] | None) -> dict[str, Attribute]:
    """Without the indexing maps that MLIR's generic form repeats beside what they follow from."""
    return {key: value for key, value in (attributes or {}).items() if key != "linalg.memoized_indexing_maps"}


class NamedOp(IRDLOperation, ABC):
    """`result` = `init` accumulated with a function of two inputs over an iteration space.

    `indexing_maps()` are the maps of (first input, second input, init) from that space, `ITERATORS` its kinds.
    """

    inputs = var_operand_def(TensorType)
    outputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True), ParsePropInAttrDict())
    traits = traits_def(Pure())
    assembly_format: ClassVar[str | None] = (
        "attr-dict `ins` `(` $inputs `:` type($inputs) `)` `outs` `(` $outputs `:` type($outputs) `)` "
        "`->` type($result)"
    )

    ITERATORS: ClassVar[tuple[IteratorTypeAttr, ...]]

    def __init__(self, first: SSAValue | Operation, second: SSAValue | Operation, init: SSAValue | Operation) -> None:
        init = SSAValue.get(init)
        super().__init__(operands=[[first, second], [init]], result_types=[init.type])

    @classmethod
    def create(
        cls,
        *,
        operands: Sequence[SSAValue] = (),
        result_types: Sequence[Attribute] = (),
        properties: Mapping[str, Attribute] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        successors: Sequence[Block] = (),
        regions: Sequence[Region] = (),
        location: LocationAttr | None = None,
    ) -> Self:
        """As always, but that the region of MLIR's generic form, which only repeats what the name says, is dropped."""
        return super().create(
            operands=operands,
            result_types=result_types,
            properties=properties or {},
            attributes=without_memo(attributes),
            successors=successors,
            location=location,
        )

    @property
    def init(self) -> SSAValue:
        """The tensor accumulated into."""
        return self.outputs[0]

    @abstractmethod
    def indexing_maps_of_operands(self) -> tuple[AffineMap, AffineMap, AffineMap]:
        """The maps from the iteration space to (first input, second input, init)."""

    def get_indexing_maps(self) -> ArrayAttr[AffineMapAttr]:
        """`indexing_maps_of_operands` as the attribute that `linalg.generic` carries."""
        return ArrayAttr(AffineMapAttr(map) for map in self.indexing_maps_of_operands())

    def iteration_sizes(self) -> tuple[int, ...]:
        """The extent of each iteration dimension, `DYNAMIC_INDEX` where it is not known."""
        return loop_extents(self, self.indexing_maps_of_operands(), len(self.ITERATORS))

    def verify_(self) -> None:
        if len(self.inputs) != 2 or len(self.outputs) != 1:
            raise VerifyException(f"{self.name}: takes two inputs and one output")
        if self.init.type != self.result.type:
            raise VerifyException(f"{self.name}: the result must have the type of the output operand")
        self.iteration_sizes()
