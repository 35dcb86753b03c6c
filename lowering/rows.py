"""What makes a region one of rows: generics, reductions among them, that all go over the same rows of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from xdsl.dialects import arith
from xdsl.dialects.builtin import DYNAMIC_INDEX
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from .attention import is_reducing
from .dialects.dispatch import RegionOp
from .ir import LOOPLESS, shape_of, tensor_type

_COMBINING = (
    *(arith.AddfOp, arith.MaximumfOp, arith.MinimumfOp),
    *(arith.AddiOp, arith.MaxSIOp, arith.MinSIOp),
)


@dataclass(frozen=True)
class Rows:
    """`generics`, in order, over `shape`, or over `shape` with one column: what there is once for each row.

    Reductions are along the last dimension and leave one column; each reads, of what others computed, a row in place
    or the one column of it.
    """

    generics: tuple[GenericOp, ...]
    shape: tuple[int, ...]

    @staticmethod
    def of(operations: Sequence[Operation]) -> Rows | None:
        """Those of a region whose `operations`, initial values and constants left out, are of rows: more than one
        reduction and what is element-wise behind it, for which there are kernels without this."""
        rows = Rows._over(operations)
        if rows is None or not any(map(is_reducing, rows.generics)):
            return None
        first, *others = rows.generics
        is_plain = is_reducing(first) and len(others) < 2 and not any(map(rows.is_whole, others))
        return None if is_plain else rows

    @staticmethod
    def of_region(region: RegionOp) -> Rows | None:
        """What `region` computes, as rows, whether or not another kernel could, too."""
        operations = [op for op in region.body.block.ops if op.results]
        if any(value.owner not in operations for value in region.yielded.values):
            return None
        return Rows._over([op for op in operations if not isinstance(op, LOOPLESS)])

    @staticmethod
    def _over(operations: Sequence[Operation]) -> Rows | None:
        generics = [op for op in operations if isinstance(op, GenericOp)]
        if not generics or len(generics) < len(operations):
            return None
        spaces = [_space(generic) for generic in generics]
        shape = max((space for space in spaces if space), key=lambda space: space[-1], default=None)
        if shape is None or shape[-1] < 2:
            return None
        rows = Rows(tuple(generics), shape)
        computed: set[SSAValue] = set()
        for generic, space in zip(generics, spaces, strict=True):
            if space not in (shape, (*shape[:-1], 1)) or not rows._reads_in_place(generic, computed):
                return None
            computed.update(generic.res)
        return rows

    def is_whole(self, generic: GenericOp) -> bool:
        """Whether its loops go over whole rows."""
        return _space(generic) == self.shape

    def is_whole_result(self, generic: GenericOp) -> bool:
        """Whether its results are whole rows."""
        return self.is_whole(generic) and not is_reducing(generic)

    def _reads_in_place(self, generic: GenericOp, computed: set[SSAValue]) -> bool:
        maps = (attribute.data for attribute in generic.indexing_maps.data)
        return all(
            self.reads_in_place(generic, shape_of(value), map)
            for value, map in zip(generic.inputs, maps, strict=False)
            if value in computed
        )

    def reads_in_place(self, generic: GenericOp, shape: Sequence[int], map: AffineMap) -> bool:
        """Whether `map` reads of a tensor of `shape`, computed row by row, what belongs to the row at hand."""
        loops = len(self.shape)
        if tuple(shape) == self.shape:
            return self.is_whole(generic) and map == AffineMap.identity(loops)
        return tuple(shape) == (*self.shape[:-1], 1) and map in (
            _one_column(loops),
            *([] if self.is_whole(generic) else [AffineMap.identity(loops)]),
        )


def _one_column(loops: int) -> AffineMap:
    return AffineMap(loops, 0, (*(AffineDimExpr(loop) for loop in range(loops - 1)), AffineConstantExpr(0)))


def _space(generic: GenericOp) -> tuple[int, ...] | None:
    """The sizes of its loops; None if it is no reduction of rows nor element-wise, or they are not known."""
    values = [*generic.inputs, *generic.outputs]
    if any(DYNAMIC_INDEX in shape_of(value) for value in values if hasattr(value.type, "get_shape")):
        return None
    loops = generic.get_static_loop_ranges()
    kinds = [kind.data for kind in generic.iterator_types]
    outputs = [attribute.data for attribute in generic.indexing_maps.data][len(generic.inputs) :]
    if not loops or any(kind != IteratorType.PARALLEL for kind in kinds[:-1]):
        return None
    if kinds[-1] == IteratorType.PARALLEL:
        whole = all(map == AffineMap.identity(len(loops)) for map in outputs)
        unread = not any(argument.uses for argument in generic.body.block.args[len(generic.inputs) :])
        return tuple(loops) if whole and unread else None
    reduces = kinds[-1] == IteratorType.REDUCTION and outputs == [_one_column(len(loops))]
    return tuple(loops) if reduces and _combines(generic) else None


def _combines(generic: GenericOp) -> bool:
    """Whether it combines 32-bit elements in any order."""
    accumulator, terminator = generic.body.block.args[-1], generic.body.block.last_op
    assert terminator is not None
    combining = terminator.operands[0].owner
    element = cast("int", getattr(tensor_type(generic.res[0]).get_element_type(), "bitwidth", 0))
    once = accumulator.has_one_use() and isinstance(combining, _COMBINING) and accumulator in combining.operands
    return once and element == 32
