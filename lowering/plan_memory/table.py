"""The scalar table of a segment's call: which entry holds which size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, TensorType, i32
from xdsl.dialects.tensor import CollapseShapeOp, DimOp, ExpandShapeOp
from xdsl.ir import BlockArgument, OpResult, SSAValue

from ..dialects.dispatch import RegionOp, SegmentOp, dynamic_dims
from ..ir import reassociation_of, shape_of
from ..sizes import Size, Sizes, as_value, constant_of, merged, product


class ScalarTable:
    """Knows values inside of a segment by what the host calls them, and gives each an entry of the table.

    The table holds one entry for each unknown size of the segment's inputs and then its scalars, to which what is asked
    for beyond them is added.
    """

    def __init__(self, segment: SegmentOp, sizes: Sizes) -> None:
        self.segment = segment
        self._sizes = sizes
        self._arguments: dict[SSAValue, SSAValue] = dict(
            zip(segment.body.block.args, [*segment.inputs, *segment.scalars], strict=True)
        )
        self._slots: dict[SSAValue, int] = {}
        self._added: list[SSAValue] = []
        entries = [size for value in segment.inputs for size in sizes.dynamic(value)]
        for slot, value in enumerate([*entries, *segment.scalars]):
            self._slots.setdefault(value, slot)
        self._count = len(entries) + len(segment.scalars)

    def slot(self, value: SSAValue) -> int:
        """The entry of a value of the host, which is handed over from now on if it was not before."""
        if value not in self._slots:
            self._added.append(value)
            self._slots[value] = self._count
            self._count += 1
        return self._slots[value]

    def hand_over(self, arena_size: SSAValue | None) -> None:
        """Give the segment the scalars that were asked for, and the size of its arena where that is not known."""
        segment, block = self.segment, self.segment.body.block
        for value in self._added:
            block.insert_arg(value.type, len(block.args))
        groups = [
            list(segment.inputs),
            [*segment.scalars, *self._added],
            list(segment.result_dims),
            [arena_size] if arena_size else [],
        ]
        segment.operands = [value for group in groups for value in group]
        segment.properties["operandSegmentSizes"] = DenseArrayBase.from_list(i32, [len(group) for group in groups])
        self._added = []

    def outer(self, value: SSAValue) -> Size:
        """What the host calls a scalar inside of the segment, or the number it is."""
        number = constant_of(value)
        if number is not None:
            return number
        if isinstance(value, BlockArgument):
            return self._arguments[value]
        asked = cast(OpResult, value).op
        assert isinstance(asked, DimOp), f"{asked.name} on a size inside of a segment"
        dim = constant_of(asked.index)
        assert dim is not None
        return self.shape(asked.source)[dim]

    def shape(self, value: SSAValue) -> list[Size]:
        """The sizes of a tensor inside of the segment, as the host calls them."""
        static = shape_of(value)
        if DYNAMIC_INDEX not in static:
            return list(static)
        if isinstance(value, BlockArgument):
            return list(self._sizes.of(self._arguments[value]))
        op = cast(OpResult, value).op
        if isinstance(op, RegionOp):
            begin = dynamic_dims(op.result_types[: cast(OpResult, value).index])
            return self._merged(static, op.result_dims[begin : begin + dynamic_dims([value.type])])
        if isinstance(op, ExpandShapeOp):
            return self._merged(cast("tuple[int, ...]", op.static_output_shape.get_values()), op.dynamic_output_shape)
        assert isinstance(op, CollapseShapeOp), f"{op.name} inside of a segment"
        source = self.shape(op.src)
        return [product((source[dim] for dim in group), self.segment) for group in reassociation_of(op)]

    def _merged(self, static: tuple[int, ...], dynamic: Sequence[SSAValue]) -> list[Size]:
        shape = merged(static, dynamic)
        return [size if isinstance(size, int) else self.outer(size) for size in shape]

    def slots_of(self, region: RegionOp) -> list[int]:
        """The entries that the kernel of `region` is called with: its scalars, then its tensors' unknown sizes."""
        scalars = [value for value in region.inputs if not isinstance(value.type, TensorType)]
        tensors = [*region.tensors, *region.outputs]
        sizes = [self.outer(value) for value in scalars]
        for value in tensors:
            unknown = [known == DYNAMIC_INDEX for known in shape_of(value)]
            sizes += [size for size, asked in zip(self.shape(value), unknown, strict=True) if asked]
        return [self.slot(as_value(size, self.segment)) for size in sizes]
