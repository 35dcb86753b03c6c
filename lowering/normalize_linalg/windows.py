"""Convolutions and poolings of other layouts become those that have kernels, between transpositions and reshapes.

A layout is told by the loops of the dimensions, in the letters of `dialects.linalg.spaces`. Those that an operation of
one dimension lacks have extent one. Static shapes only: the rest become generics, as do three dimensions and groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import DYNAMIC_INDEX, IndexType, i1
from xdsl.ir import SSAValue

from ...tosa.dialect.types import element_of, is_float, shape_of
from ..dialects.linalg import NamedOp
from ..dialects.linalg.named import MULTIPLY_ADD, SpaceOp
from ..dialects.linalg.windows import (
    Conv2DNhwcFhwcOp,
    DepthwiseConv2DNhwcHwcmOp,
    PoolingNhwcMaxOp,
    PoolingNhwcSumOp,
)
from .editor import Editor

Layout = tuple[str, ...]

_IMAGE: Layout = ("n", "h+y", "w+x", "c")


@dataclass(frozen=True)
class _Form:
    """An operation that has a kernel, and the layouts of its operands."""

    op: type[Conv2DNhwcFhwcOp | DepthwiseConv2DNhwcHwcmOp | PoolingNhwcMaxOp | PoolingNhwcSumOp]
    window: Layout
    result: Layout


_CONVOLUTION = _Form(Conv2DNhwcFhwcOp, ("f", "y", "x", "c"), ("n", "h", "w", "f"))
_DEPTHWISE = _Form(DepthwiseConv2DNhwcHwcmOp, ("y", "x", "c", "m"), ("n", "h", "w", "c", "m"))
_MAXIMUM = _Form(PoolingNhwcMaxOp, ("y", "x"), ("n", "h", "w", "c"))
_SUM = _Form(PoolingNhwcSumOp, ("y", "x"), ("n", "h", "w", "c"))


def lower_window(op: SpaceOp, edit: Editor) -> bool:
    """Replace `op` if one of the forms above expresses it; whether it was."""
    form = _form(op)
    if form is None or op.unsigned or op.indexing_maps is not None or not has_static_shapes(op):
        return False
    if not sums_exactly(op):
        return False
    layouts = (_IMAGE, form.window, form.result)
    if any(not set(have) <= set(want) for have, want in zip(op.SPACE.operands, layouts, strict=True)):
        return False
    strides, dilations = (_pair(op.SPACE.operands[0], steps) for steps in op.steps())
    operands = [
        _arranged(value, have, want, edit)
        for value, have, want in zip(op.operands, op.SPACE.operands, layouts, strict=True)
    ]
    window = form.op(*operands, strides=strides, dilations=dilations)
    window.attributes |= op.attributes
    edit.replace(_restored(edit.insert(window).result, op.SPACE.operands[2], form.result, edit))
    return True


def has_static_shapes(op: SpaceOp | NamedOp) -> bool:
    return all(DYNAMIC_INDEX not in shape_of(value) for value in op.operands)


def sums_exactly(op: SpaceOp | NamedOp) -> bool:
    """Whether the cast of elements to those of the result widens them, which is what the kernels do."""
    result = element_of(op.outputs[0])
    if isinstance(result, IndexType) or result == i1:
        return False
    for value in op.inputs:
        element = element_of(value)
        if element == result:
            continue
        if is_float(element) != is_float(result) or isinstance(element, IndexType) or element == i1:
            return False
        if element.bitwidth >= result.bitwidth:  # pyright: ignore[reportAttributeAccessIssue]
            return False
    return True


def _form(op: SpaceOp) -> _Form | None:
    if not 1 <= op.SPACE.windows <= 2 or len(op.operands) != 3:
        return None
    if op.function == MULTIPLY_ADD:
        return _DEPTHWISE if "c" in op.SPACE.operands[2] else _CONVOLUTION
    return {"pooled_max": _MAXIMUM, "pooled_sum": _SUM}.get(op.function)


def _pair(image: Layout, steps: Sequence[int]) -> tuple[int, int]:
    """Vertical and horizontal steps of an image that may lack the vertical dimension."""
    found = dict(zip([dimension for dimension in image if "+" in dimension], steps, strict=True))
    return found.get("h+y", 1), found.get("w+x", 1)


def _arranged(value: SSAValue, have: Layout, want: Layout, edit: Editor) -> SSAValue:
    """A tensor of layout `have` in the layout `want`."""
    kept = [dimension for dimension in want if dimension in have]
    ordered = edit.transpose(value, [have.index(dimension) for dimension in kept])
    sizes = iter(shape_of(ordered))
    return edit.expand(ordered, _groups(kept, want), [next(sizes) if dim in have else 1 for dim in want])


def _restored(value: SSAValue, have: Layout, want: Layout, edit: Editor) -> SSAValue:
    """The inverse of `_arranged`."""
    kept = [dimension for dimension in want if dimension in have]
    collapsed = edit.collapse(value, _groups(kept, want))
    return edit.transpose(collapsed, [kept.index(dimension) for dimension in have])


def _groups(kept: Sequence[str], want: Layout) -> list[list[int]]:
    """For each kept dimension those of `want` that it stands for: itself, and missing ones in front (last: behind)."""
    groups: list[list[int]] = []
    pending: list[int] = []
    for index, dimension in enumerate(want):
        pending.append(index)
        if dimension in kept:
            groups.append(pending)
            pending = []
    if groups:
        groups[-1] += pending
    return groups
