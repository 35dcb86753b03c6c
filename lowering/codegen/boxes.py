"""Copies and fills of boxes: what every data movement is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import IntegerType

from .access import Access, Tensor
from .kernel import KernelContext
from .nest import simplify
from .parallel import emit_parallel
from .types import Value, byte_size


@dataclass(frozen=True)
class Box:
    """Element i of a box of extents `sizes` goes from `source` (or is `fill`) to `target`.

    Each side is (offset, stride per loop), counted in elements.
    """

    sizes: tuple[int, ...]
    target: tuple[int, tuple[int, ...]]
    source: tuple[int, tuple[int, ...]] | None = None
    fill: Value | None = None


def emit_boxes(context: KernelContext, target: Tensor, boxes: Sequence[tuple[Tensor | None, Box]]) -> None:
    """Fills `target` from (source, box) pairs, which together cover it once; fills may overlap each other."""
    for source, box in boxes:
        if math.prod(box.sizes) == 0:
            continue
        write = Access(_bits(target), box.target[1], box.target[0])
        if source is None or box.source is None:
            read = Access(Tensor(target.pointer, (), target.element, box.fill), (0,) * len(box.sizes), 0)
            write = Access(target, write.strides, write.offset)
        else:
            read = Access(_bits(source), box.source[1], box.source[0])
        order = sorted(range(len(box.sizes)), key=lambda loop: -write.strides[loop])
        nest = simplify(box.sizes, [read, write], order=order)
        lanes = context.target.vector_bits // (8 * byte_size(target.element))
        emit_parallel(context, nest, 1, lambda _, values: values, lanes=lanes)


def _bits(tensor: Tensor) -> Tensor:
    """The tensor as integers of the same size: a copy asks nothing of them."""
    return Tensor(tensor.pointer, tensor.shape, IntegerType(8 * byte_size(tensor.element)))


def copy_box(
    source: Tensor, target: Tensor, sizes: Sequence[int], *, source_at: Sequence[int], target_at: Sequence[int]
) -> Box:
    """The box of `sizes` at one position of the source and another of the target, of equal rank."""
    return Box(tuple(sizes), _place(target, target_at), _place(source, source_at))


def fill_around(target: Tensor, low: Sequence[int], sizes: Sequence[int], fill: Value) -> list[Box]:
    """Fills all of `target` but the box of `sizes` at `low`: below and above it, one dimension after the other."""
    boxes = []
    start, extent = [0] * len(sizes), list(target.shape)
    for dim, (first, size) in enumerate(zip(low, sizes, strict=True)):
        end = first + size
        for begin, count in ((0, first), (end, target.shape[dim] - end)):
            at = [*start[:dim], begin, *start[dim + 1 :]]
            boxes.append(Box((*extent[:dim], count, *extent[dim + 1 :]), _place(target, at), fill=fill))
        start[dim], extent[dim] = first, size
    return boxes


def _place(tensor: Tensor, at: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    return sum(i * stride for i, stride in zip(at, tensor.strides, strict=True)), tensor.strides
