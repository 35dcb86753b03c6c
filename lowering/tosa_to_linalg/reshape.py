"""Reshaping by collapsing and expanding dimensions, both of which are views."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, TensorType
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineMap

from ...tosa.dialect.types import element_of, shape_of
from ..ir import reassociation_attr
from .builder import Builder, CannotLower

_UNKNOWN = (1 << 61) - 1
"""Stands for a dynamic extent while dimensions are paired: a prime that no product of static extents contains."""


def reshape(b: Builder, value: SSAValue, shape: Sequence[int]) -> SSAValue:
    """`value` with another shape of as many elements: itself, or a collapse, an expansion or both.

    A dynamic extent must be among the dimensions of both shapes, or be the only one of `shape`.
    """
    source = shape_of(value)
    if tuple(shape) == source:
        return value
    if not source:  # xDSL's tensor.expand_shape wants a group for each result dimension, and none is left here
        return b.elementwise([(value, AffineMap(len(shape), 0, ()))], shape, element_of(value), lambda _, x: x)
    if DYNAMIC_INDEX in source and list(shape).count(DYNAMIC_INDEX) == 1 and not _can_pair(source, shape):
        return _through_one_dimension(b, value, shape)
    pairs = pair_dimensions(source, shape)
    collapsed = [_product([source[dim] for dim in left]) for left, _ in pairs]
    if len(collapsed) < len(source):
        value = _collapse(b, value, [left for left, _ in pairs], collapsed)
    return _expand(b, value, [right for _, right in pairs], shape) if len(collapsed) < len(shape) else value


def pair_dimensions(source: Sequence[int], target: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The finest pairing of runs of dimensions of both shapes that hold equally many elements."""
    if 0 in source and 0 in target:
        return [(list(range(len(source))), list(range(len(target))))]
    lefts, rights = (
        [_UNKNOWN if extent == DYNAMIC_INDEX else extent for extent in shape] for shape in (source, target)
    )
    if math.prod(lefts) != math.prod(rights):
        raise CannotLower(f"cannot reshape {list(source)} to {list(target)}: give all shapes with --shape")
    pairs: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(lefts) and j < len(rights):
        left, right = [i], [j]
        while (a := math.prod(lefts[dim] for dim in left)) != (c := math.prod(rights[dim] for dim in right)):
            if a < c:
                left.append(left[-1] + 1)
            else:
                right.append(right[-1] + 1)
        pairs.append((left, right))
        i, j = left[-1] + 1, right[-1] + 1
    if pairs:  # what is left over on one side are extents of 1
        pairs[-1][0].extend(range(i, len(lefts)))
        pairs[-1][1].extend(range(j, len(rights)))
    return pairs


def _can_pair(source: Sequence[int], target: Sequence[int]) -> bool:
    try:
        pair_dimensions(source, target)
    except CannotLower:
        return False
    return True


def _through_one_dimension(b: Builder, value: SSAValue, shape: Sequence[int]) -> SSAValue:
    """The dynamic extent of `shape` is what the elements make with the static ones."""
    everything = [list(range(len(shape_of(value))))]
    flat = _collapse(b, value, everything, [DYNAMIC_INDEX]) if len(everything[0]) > 1 else value
    if len(shape) == 1:
        return flat
    count = b.insert(tensor.DimOp(flat, b.scalar(0, IndexType()))).result
    known = math.prod(extent for extent in shape if extent != DYNAMIC_INDEX)
    extent = b.insert(arith.DivUIOp(count, b.scalar(max(1, known), IndexType()))).result
    groups = reassociation_attr([list(range(len(shape)))])
    result = TensorType(element_of(value), shape)
    return b.insert(tensor.ExpandShapeOp(flat, [extent], groups, list(shape), result)).result


def _collapse(b: Builder, value: SSAValue, groups: list[list[int]], shape: Sequence[int]) -> SSAValue:
    collapse = tensor.CollapseShapeOp(
        operands=[value],
        result_types=[TensorType(element_of(value), shape)],
        properties={"reassociation": reassociation_attr(groups)},
    )
    return b.insert(collapse).result


def _expand(b: Builder, value: SSAValue, groups: list[list[int]], shape: Sequence[int]) -> SSAValue:
    dynamic = [
        b.insert(tensor.DimOp(value, b.scalar(group, IndexType()))).result
        for group, members in enumerate(groups)
        if any(shape[dim] == DYNAMIC_INDEX for dim in members)
    ]
    result = TensorType(element_of(value), shape)
    return b.insert(tensor.ExpandShapeOp(value, dynamic, reassociation_attr(groups), list(shape), result)).result


def _product(extents: Sequence[int]) -> int:
    return DYNAMIC_INDEX if DYNAMIC_INDEX in extents else math.prod(extents)
