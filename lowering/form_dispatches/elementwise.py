"""What counts as element-wise: the generics that fuse into one another."""

from __future__ import annotations

from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir import Operation
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap


def is_elementwise(op: Operation) -> bool:
    """Whether `op` computes each element of its results from elements of its inputs alone, in the order of the loops.

    Inputs are read in place or broadcast along dimensions; a transposing generic moves data and is not one. Its body
    may look elements up in whole tensors (`tensor.extract`), but must not read the initial value of its results.
    """
    return (
        isinstance(op, GenericOp)
        and all(iterator.data == IteratorType.PARALLEL for iterator in op.iterator_types)
        and all(_is_identity(map) for map in output_maps(op))
        and all(_is_broadcast(map.data) for map in op.indexing_maps.data[: len(op.inputs)])
        and not any(argument.uses for argument in op.body.block.args[len(op.inputs) :])
    )


def output_maps(op: GenericOp) -> list[AffineMap]:
    return [map.data for map in op.indexing_maps.data[len(op.inputs) :]]


def identity_operands(op: GenericOp) -> list[int]:
    """The inputs that are read in place: each element exactly when the same element of the results is written."""
    return [index for index, map in enumerate(op.indexing_maps.data[: len(op.inputs)]) if _is_identity(map.data)]


def _is_identity(map: AffineMap) -> bool:
    return map.results == AffineMap.identity(map.num_dims).results


def _is_broadcast(map: AffineMap) -> bool:
    last = -1
    for result in map.results:
        if isinstance(result, AffineDimExpr) and result.position > last:
            last = result.position
        elif not isinstance(result, AffineConstantExpr):
            return False
    return True
