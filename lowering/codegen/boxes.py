"""Copies and fills of boxes: what every data movement is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xdsl.dialects.builtin import IntegerType

from .access import Access, Tensor
from .extent import Extent, magnitude, product
from .kernel import KernelContext
from .nest import simplify
from .parallel import emit_parallel
from .types import Value, byte_size

Place: TypeAlias = tuple[Extent, tuple[Extent, ...]]
"""Where a box begins in a tensor, and the stride of each of its loops, in elements."""


@dataclass(frozen=True)
class Box:
    """Element i of a box of extents `sizes` goes from `source` (or is `fill`) to `target`.

    Each side is (offset, stride per loop), counted in elements.
    """

    sizes: tuple[Extent, ...]
    target: Place
    source: Place | None = None
    fill: Value | None = None


def emit_boxes(
    context: KernelContext, target: Tensor, boxes: Sequence[tuple[Tensor | None, Box]], *, divide: bool = True
) -> None:
    """Fills `target` from (source, box) pairs, which together cover it once; fills may overlap each other.

    Not to `divide` leaves all to one thread, which does one box after the other: any may overlap then.
    """
    for source, box in boxes:
        if product(box.sizes) == 0:
            continue
        write = Access(_bits(target), box.target[1], box.target[0])
        fill = box.fill if source is None else source.fill
        if source is None or box.source is None or fill is not None:
            read = Access(Tensor(target.pointer, (), target.element, fill), (0,) * len(box.sizes), 0)
            write = Access(target, write.strides, write.offset)
        else:
            read = Access(_bits(source), box.source[1], box.source[0])
        order = sorted(range(len(box.sizes)), key=lambda loop: magnitude(write.strides[loop]), reverse=True)
        nest = simplify(box.sizes, [read, write], order=order)
        lanes = context.target.vector_bits // (8 * byte_size(target.element))
        emit_parallel(context, nest, 1, lambda _, values: values, lanes=lanes, divide=divide)


def _bits(tensor: Tensor) -> Tensor:
    """The tensor as integers of the same size: a copy asks nothing of them."""
    return Tensor(tensor.pointer, tensor.shape, IntegerType(8 * byte_size(tensor.element)))


def copy_box(
    source: Tensor, target: Tensor, sizes: Sequence[Extent], *, source_at: Sequence[Extent], target_at: Sequence[Extent]
) -> Box:
    """The box of `sizes` at one position of the source and another of the target, of equal rank."""
    return Box(tuple(sizes), _place(target, target_at), _place(source, source_at))


def fill_around(target: Tensor, low: Sequence[Extent], sizes: Sequence[Extent], fill: Value) -> list[Box]:
    """Fills all of `target` but the box of `sizes` at `low`: below and above it, one dimension after the other."""
    boxes = []
    start: list[Extent] = [0] * len(sizes)
    extent = list(target.shape)
    for dim, (first, size) in enumerate(zip(low, sizes, strict=True)):
        end = first + size
        for begin, count in ((0, first), (end, target.shape[dim] - end)):
            at: list[Extent] = [*start[:dim], begin, *start[dim + 1 :]]
            boxes.append(Box((*extent[:dim], count, *extent[dim + 1 :]), _place(target, at), fill=fill))
        start[dim], extent[dim] = first, size
    return boxes


def _place(tensor: Tensor, at: Sequence[Extent]) -> Place:
    offset: Extent = 0
    for i, stride in zip(at, tensor.strides, strict=True):
        offset = offset + i * stride
    return offset, tensor.strides
