"""Where a dispatch can be cut in two, and what a part of it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import DYNAMIC_INDEX, I64, DenseArrayBase, TensorType, i64
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import EmptyOp, PadOp
from xdsl.ir import BlockArgument, Operation, OpResult, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.rewriter import Rewriter

from ..dialects.dispatch import RegionOp
from ..dialects.linalg import Conv2DNhwcFhwcOp, PlainContraction
from ..ir import shape_of, tensor_type
from ..set_encodings import contraction_root, split_roles

_ROW_UNIT, _COLUMN_UNIT = 16, 64
"""Cuts lie at multiples of these: whole register tiles, mostly."""


@dataclass
class Cut:
    """A cut along loop `loop` of the root, whose extent is `extent`.

    axes: the dimension along which values in the region are cut, for those that are. result_axes: of the results.
    image: the value of a convolution that is cut with its halo, if rows of pixels are shared out.
    """

    region: RegionOp
    root: PlainContraction
    loop: int
    extent: int
    unit: int
    axes: dict[SSAValue, int] = field(default_factory=dict)
    result_axes: tuple[int, ...] = ()
    image: SSAValue | None = None

    def taken(self, index: int, begin: int, size: int) -> tuple[int, int, int] | None:
        """(dimension, begin, size) of what a part reads of input `index`; None for all of it."""
        argument = self.region.body.block.args[index]
        if argument is self.image:
            first, last, _, _ = self._halo(begin, size)
            return 1, first, last - first
        axis = self.axes.get(argument)
        return None if axis is None else (axis, begin, size)

    def part(self, inputs: Sequence[SSAValue], begin: int, size: int) -> RegionOp:
        """The region that computes `size` from `begin` on, of `inputs` that are cut."""
        copy = self.region.clone()
        copy.device = None
        values = list(_values(self.region))
        for old, new in zip(values, list(_values(copy)), strict=True):
            axis = self.axes.get(old)
            if axis is not None:
                Rewriter.replace_value_with_new_type(new, _cut_type(old, axis, size))
        if self.image is not None:
            self._cut_image(copy, values, begin, size)
        copy.operands = list(inputs)
        return copy

    def _halo(self, begin: int, size: int) -> tuple[int, int, int, int]:
        """(first row of the image, one behind the last, rows of padding above, below) of these rows of the result."""
        root = self.root
        assert isinstance(root, Conv2DNhwcFhwcOp) and self.image is not None
        above = self._padding()
        stride, dilation = root.stride_values[0], root.dilation_values[0]
        first = begin * stride - above
        last = (begin + size - 1) * stride + (shape_of(root.window)[1] - 1) * dilation + 1 - above
        height = shape_of(self.image)[1]
        return max(first, 0), min(last, height), max(-first, 0), max(last - height, 0)

    def _padding(self) -> int:
        pad = self.root.inputs[0].owner
        return pad.static_low.get_values()[1] if isinstance(pad, PadOp) else 0

    def _cut_image(self, copy: RegionOp, values: Sequence[SSAValue], begin: int, size: int) -> None:
        first, last, above, below = self._halo(begin, size)
        new_values = list(_values(copy))
        for old, new in zip(values, new_values, strict=True):
            if old is self.image:
                Rewriter.replace_value_with_new_type(new, _cut_type(old, 1, last - first))
            elif isinstance(old.owner, PadOp):
                padded = Rewriter.replace_value_with_new_type(new, _cut_type(old, 1, above + last - first + below))
                pad = padded.owner
                assert isinstance(pad, PadOp)
                pad.static_low = _with(pad.static_low.get_values(), above)
                pad.static_high = _with(pad.static_high.get_values(), below)


def cut_along(region: RegionOp) -> Cut | None:
    """The best cut of a dispatch: along rows, images or pixels if there are some for everybody, else along columns."""
    root = contraction_root(region)
    if root is None or any(DYNAMIC_INDEX in shape_of(value) for value in (*region.tensors, *region.outputs)):
        return None
    result = root.get_indexing_maps().data[2].data
    candidates = [expr.position for expr in result.results if isinstance(expr, AffineDimExpr)]
    extents = root.iteration_sizes()
    units = [_COLUMN_UNIT if loop == candidates[-1] else _ROW_UNIT for loop in candidates]
    if isinstance(root, Conv2DNhwcFhwcOp):
        units = [1, 1, extents[candidates[1]], _COLUMN_UNIT]  # whole rows of pixels
    elif len(candidates) > 2:
        units[0] = 1
    for loop, unit in zip(candidates, units, strict=True):
        if extents[loop] >= 2 * unit:
            split_roles(region)
            cut = Cut(region, root, loop, extents[loop], unit)
            if _follow(cut):
                return cut
    return None


def _follow(cut: Cut) -> bool:
    """Find what is cut with the result of the root, and along which dimension; False where that is not possible."""
    root = cut.root
    for value, attribute in zip(root.operands, root.get_indexing_maps(), strict=True):
        if not _read(cut, value, attribute.data, cut.loop):
            return False
    (axis,) = [dim for dim, expr in enumerate(_results(root)) if _is_loop(expr, cut.loop)]
    cut.axes[root.result] = axis
    known: set[Operation] = {root}
    for op in cut.region.body.block.ops:
        if isinstance(op, GenericOp):
            if not _follow_generic(cut, op):
                return False
        elif op not in known and any(value in cut.axes for value in op.operands) and not _is_harmless(op):
            return False
    results = [cut.axes.get(value) for value in cut.region.yielded.values]
    if any(axis is None for axis in results):
        return False
    cut.result_axes = tuple(axis for axis in results if axis is not None)
    for yielded, output in zip(cut.region.yielded.values, cut.region.outputs, strict=True):
        cut.axes[output] = cut.axes[yielded]
    return True


def _follow_generic(cut: Cut, op: GenericOp) -> bool:
    """A generic behind the root, all loops of which are those of the result."""
    maps = [attribute.data for attribute in op.indexing_maps]
    read = [(value, map) for value, map in zip(op.operands, maps, strict=True) if cut.axes.get(value) is not None]
    if not read or any(inner.name in ("linalg.index", "tensor.extract") for inner in op.body.block.ops):
        return False
    loops = {map.results[cut.axes[value]] for value, map in read}
    if len(loops) != 1 or not isinstance(loop := loops.pop(), AffineDimExpr):
        return False
    if not all(_read(cut, value, map, loop.position) for value, map in zip(op.operands, maps, strict=True)):
        return False
    for result, map in zip(op.res, maps[len(op.inputs) :], strict=True):
        (axis,) = [dim for dim, expr in enumerate(map.results) if _is_loop(expr, loop.position)] or [None]
        if axis is None:
            return False
        cut.axes[result] = axis
    return True


def _read(cut: Cut, value: SSAValue, map: AffineMap, loop: int) -> bool:
    """Note how an operand that is read by `map` is cut along `loop`; False where it cannot be."""
    if not isinstance(value.type, TensorType):
        return True
    axes = [dim for dim, expr in enumerate(map.results) if _depends(expr, loop)]
    if not axes:
        return value not in cut.axes
    if len(axes) > 1:
        return False
    if not _is_loop(map.results[axes[0]], loop):
        return _read_image(cut, value, axes[0])
    return _note(cut, value, axes[0])


def _note(cut: Cut, value: SSAValue, axis: int) -> bool:
    """Have `value`, and what it is made from in the region, cut along `axis`."""
    if cut.axes.setdefault(value, axis) != axis:
        return False
    if isinstance(value, BlockArgument):
        return value.has_one_use()
    assert isinstance(value, OpResult)
    op = value.op
    if isinstance(op, EmptyOp | GenericOp | PlainContraction):
        return True
    if op.name == "linalg.fill":
        return _note(cut, op.operands[1], axis)
    if isinstance(op, PadOp):  # by images or channels that are not padded
        low, high = op.static_low.get_values(), op.static_high.get_values()
        return low[axis] == high[axis] == 0 and _note(cut, op.source, axis)
    return False


def _read_image(cut: Cut, value: SSAValue, axis: int) -> bool:
    """The image of a convolution whose rows of pixels are cut, through its padding."""
    source = value.owner.source if isinstance(value.owner, PadOp) else value
    if axis != 1 or not isinstance(cut.root, Conv2DNhwcFhwcOp) or not isinstance(source, BlockArgument):
        return False
    cut.image = source
    return source.has_one_use()


def _is_harmless(op: Operation) -> bool:
    return op.name in ("dispatch.yield", "linalg.fill") or isinstance(op, PadOp)


def _results(root: PlainContraction) -> Sequence[object]:
    return root.get_indexing_maps().data[2].data.results


def _is_loop(expr: object, loop: int) -> bool:
    return isinstance(expr, AffineDimExpr) and expr.position == loop


def _depends(expr: object, loop: int) -> bool:
    return any(_is_loop(inner, loop) for inner in expr.dfs())  # pyright: ignore[reportAttributeAccessIssue]


def _values(region: RegionOp) -> list[SSAValue]:
    """The arguments and results in a region and its own results, in an order that clones keep."""
    block = region.body.block
    return [*block.args, *(result for op in block.ops for result in op.results), *region.outputs]


def _cut_type(value: SSAValue, axis: int, size: int) -> TensorType:
    type = tensor_type(value)
    shape = list(type.get_shape())
    shape[axis] = size
    return TensorType(type.get_element_type(), shape)


def _with(values: Sequence[int], row: int) -> DenseArrayBase[I64]:
    """The padding [N, H, W, C] with `row` for H."""
    return DenseArrayBase.from_list(i64, [values[0], row, *values[2:]])
