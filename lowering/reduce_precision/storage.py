"""Which results of dispatches can be stored in a narrow type.

A result is, if all that read it are dispatches that can widen it as they load: contractions and windows do, the bodies
of generics are told to. What a program returns, hands to its control flow or looks elements up in keeps its type. So do
the results of reductions (the means and deviations of a normalisation, the sums of a softmax), which are few and
on which everything else depends, unless a contraction reads them. Dispatches that only move elements (pad, concat,
slices) have all their operands and results narrow, or none.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsl.dialects.builtin import DYNAMIC_INDEX, bf16, f16, f32
from xdsl.dialects.func import FuncOp
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import (
    CollapseShapeOp,
    ConcatOp,
    ExpandShapeOp,
    ExtractSliceOp,
    InsertSliceOp,
    PadOp,
)
from xdsl.ir import Operation, OpResult, SSAValue, Use

from ..attention import is_product, is_reducing
from ..dialects.dispatch import RegionOp
from ..dialects.linalg import PlainContraction
from ..dialects.linalg.windows import WindowOp
from ..ir import padding_value, regions, shape_of, tensor_type, view_source

VIEWS = (CollapseShapeOp, ExpandShapeOp)
MOVES = (PadOp, ConcatOp, ExtractSliceOp, InsertSliceOp)


def narrow_results(function: FuncOp) -> set[SSAValue]:
    """The results of the dispatches of `function` that can be stored narrow."""
    dispatches = regions(function)
    found: set[SSAValue] = {
        result
        for region in dispatches
        for result, value in zip(region.outputs, region.yielded.values, strict=True)
        if tensor_type(result).get_element_type() == f32
        and result.uses
        and _can_be_rounded(value)
        and all(_widens(use) for use in outer_uses(result))
        and (not _is_reduced(value) or any(_is_contracted(use) for use in outer_uses(result)))
    }
    moving = [region for region in dispatches if any(_is_moved(value) for value in region.yielded.values)]
    while True:
        spoilt = {
            value
            for region in moving
            if not found.issuperset(around := _floats_around(region))
            for value in around
            if value in found
        }
        if not spoilt:
            return found
        found -= spoilt


def outer_uses(value: SSAValue) -> Iterator[Use]:
    """The uses of `value`, those through reshapes among them."""
    for use in value.uses:
        if isinstance(use.operation, VIEWS):
            yield from outer_uses(use.operation.result)
        else:
            yield use


def is_elementwise_result(value: SSAValue) -> bool:
    """Whether a generic without reductions computes `value`."""
    op = value.op if isinstance(value, OpResult) else None
    return isinstance(op, GenericOp) and not is_reducing(op)


def contracts_floats(op: Operation) -> bool:
    """Whether `op` is a contraction that is computed narrow: of f32 by f32, as far as they are not narrow yet."""
    if not isinstance(op, PlainContraction) or tensor_type(op.result).get_element_type() != f32:
        return False
    return all(map(_can_be_read_narrow, op.inputs))


def _can_be_read_narrow(value: SSAValue) -> bool:
    """Whether `value` is an argument of the region, or pads one: of f32, or weights stored as f16."""
    argument = _argument_behind(value)
    if argument is None:
        return False
    element = tensor_type(argument).get_element_type()
    return element in (f32, bf16) or (element == f16 and argument.has_one_use())


def _argument_behind(value: SSAValue) -> SSAValue | None:
    """The argument of the region that `value` is, or pads."""
    while isinstance(value, OpResult) and isinstance(value.op, PadOp):
        value = value.op.source
    return None if isinstance(value, OpResult) else value


def _can_be_rounded(value: SSAValue) -> bool:
    """Whether the region can yield `value` narrow: in a body, or in one put behind a root of known sizes."""
    if not isinstance(value, OpResult) or not value.has_one_use():
        return False
    return is_elementwise_result(value) or _is_moved(value) or DYNAMIC_INDEX not in shape_of(value)


def _is_moved(value: SSAValue) -> bool:
    return isinstance(value, OpResult) and isinstance(value.op, MOVES)


def _is_reduced(value: SSAValue) -> bool:
    region = value.owner.parent_op() if isinstance(value, OpResult) else None
    return isinstance(region, RegionOp) and any(
        isinstance(op, GenericOp) and is_reducing(op) for op in region.body.block.ops
    )


def _floats_around(region: RegionOp) -> set[SSAValue]:
    values = [*(view_source(value) for value in region.tensors), *region.outputs]
    return {value for value in values if tensor_type(value).get_element_type() == f32}


def _is_contracted(use: Use) -> bool:
    readers = [inner.operation for inner in _inner_uses(use)]
    return any(isinstance(op, PlainContraction | WindowOp) or is_product(op) for op in readers)


def _inner_uses(use: Use) -> Iterator[Use]:
    """Where the region that is the user of `use` reads it, seen through its padding."""
    region = use.operation
    assert isinstance(region, RegionOp)
    for inner in region.body.block.args[use.index].uses:
        if isinstance(inner.operation, PadOp):
            yield from inner.operation.result.uses
        else:
            yield inner


def _widens(use: Use) -> bool:
    region = use.operation
    return (
        isinstance(region, RegionOp)
        and use.index < len(region.inputs)
        and all(_reads_narrow(inner) for inner in region.body.block.args[use.index].uses)
    )


def _reads_narrow(use: Use) -> bool:
    op = use.operation
    if isinstance(op, GenericOp):
        return use.index < len(op.inputs)
    if isinstance(op, PlainContraction):
        return use.index < 2 and contracts_floats(op)
    if isinstance(op, WindowOp):
        return use.index == 0
    if isinstance(op, PadOp):
        return padding_value(op) is not None and all(
            _reads_narrow(inner) or inner.operation.name == "dispatch.yield" for inner in op.result.uses
        )
    return isinstance(op, MOVES) and all(inner.operation.name == "dispatch.yield" for inner in op.results[0].uses)
