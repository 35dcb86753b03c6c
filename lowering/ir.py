"""Small questions that several phases ask of the IR: constants, views, shapes, and dead code.

`shape_of` and `tensor_type` are those of `tosaic.tosa`, which serve at every level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.dialects import func, scf
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import (
    AffineMapAttr,
    ArrayAttr,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    i64,
)
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.dialects.tensor import CollapseShapeOp, EmptyOp, ExpandShapeOp, PadOp
from xdsl.ir import Attribute, Block, Operation, OpResult, Region, SSAValue
from xdsl.ir.affine import AffineMap

from ..tosa.dialect import ConstOp
from ..tosa.dialect.types import element_of
from ..tosa.dialect.types import shape_of as shape_of
from ..tosa.dialect.types import tensor_type as tensor_type
from ..tosa.elements import ElementsAttr, numpy_dtype
from ..tosa.interface import IDENTIFIER, UNSIGNED
from .dialects.dispatch import RegionOp
from .dialects.encoding import SetOp, UnsetOp

LOOPLESS = (ConstantOp, EmptyOp, FillOp, CollapseShapeOp, ExpandShapeOp)
"""What a dispatch holds besides its root, pad and generic: values that need no loop of their own."""

CONTROL_FLOW = (scf.ForOp, scf.IfOp, scf.WhileOp)
"""What has host blocks inside."""

Reassociation = Sequence[Sequence[int]]


def functions(module: ModuleOp) -> list[func.FuncOp]:
    """The functions of a module that have a body, in order."""
    return [op for op in module.body.block.ops if isinstance(op, func.FuncOp) and not op.is_declaration]


def host_blocks(function: func.FuncOp) -> list[Block]:
    """The block of `function` and those of its control flow, outer ones first: what no device runs as a whole."""
    blocks = [function.body.block]
    for block in blocks:  # grows while it is walked
        for op in block.ops:
            if isinstance(op, CONTROL_FLOW):
                blocks += [block for region in op.regions for block in region.blocks]
    return blocks


def regions(function: func.FuncOp) -> list[RegionOp]:
    """The dispatches of a function that are in no segment, those of its loops and branches last."""
    return [op for block in host_blocks(function) for op in block.ops if isinstance(op, RegionOp)]


def constant_values(function: func.FuncOp) -> set[SSAValue]:
    """The tensors that constants alone decide, after form-dispatches: compile time computes them, no device does."""
    constant: set[SSAValue] = set()
    for block in host_blocks(function):
        for op in block.ops:
            computes = isinstance(op, CollapseShapeOp | ExpandShapeOp | SetOp | UnsetOp | RegionOp)
            if isinstance(op, ConstOp) or (computes and all(value in constant for value in op.operands)):
                constant.update(op.results)
    return constant


def input_name(function: func.FuncOp, position: int) -> str:
    """The name of an input; "input0", ... where the program gives none."""
    return _name(function.arg_attrs, position) or f"input{position}"


def output_name(function: func.FuncOp, position: int) -> str:
    """The name of an output; "output0", ... where the program gives none."""
    return _name(function.res_attrs, position) or f"output{position}"


def is_unsigned(attributes: ArrayAttr[DictionaryAttr] | None, position: int) -> bool:
    """Whether an argument or result, told by the attributes of all of them, is marked so."""
    return attributes is not None and UNSIGNED in attributes.data[position].data


def _name(attributes: ArrayAttr[DictionaryAttr] | None, position: int) -> str | None:
    name = attributes.data[position].data.get(IDENTIFIER) if attributes is not None else None
    return name.data if isinstance(name, StringAttr) else None


def byte_size(type: Attribute) -> int:
    """Bytes that the elements of a static tensor type take in memory, without padding."""
    return prod(shape_of(type)) * numpy_dtype(element_of(type)).itemsize


def constant_array(value: SSAValue) -> np.ndarray[Any, Any] | None:
    """The elements of a value that `tosa.const` defines."""
    if isinstance(value, OpResult) and value.op.name == "tosa.const":
        return cast(ElementsAttr, value.op.properties["values"]).array
    return None


def padding_value(pad: PadOp) -> FloatAttr | IntegerAttr | None:
    """What `pad` surrounds its source with, if that is one constant."""
    terminator = pad.region.block.last_op
    assert terminator is not None
    constant = terminator.operands[0].owner
    value = constant.value if isinstance(constant, ConstantOp) else None
    return value if isinstance(value, FloatAttr | IntegerAttr) else None


def view_source(value: SSAValue) -> SSAValue:
    """The value whose elements `value` has, in the same order: `value` itself unless reshapes lie between."""
    while isinstance(value, OpResult) and isinstance(value.op, CollapseShapeOp | ExpandShapeOp):
        value = value.op.src
    return value


def reassociation_of(op: CollapseShapeOp | ExpandShapeOp) -> list[list[int]]:
    """For each dimension of the lower-rank side, the dimensions of the other that it stands for."""
    groups = cast("ArrayAttr[ArrayAttr[IntegerAttr]]", op.reassociation)
    return [[cast(int, index.value.data) for index in group] for group in groups]


def collapse(value: SSAValue, reassociation: Reassociation) -> CollapseShapeOp:
    """A reshape to fewer dimensions, each the product of a run of dimensions of `value`."""
    type = tensor_type(value)
    shape = [prod(type.get_shape()[dim] for dim in group) for group in reassociation]
    return CollapseShapeOp.build(
        operands=[value],
        result_types=[TensorType(type.get_element_type(), shape)],
        properties={"reassociation": reassociation_attr(reassociation)},
    )


def expand(value: SSAValue, reassociation: Reassociation, shape: Sequence[int]) -> ExpandShapeOp:
    """A reshape to the static `shape`: dimension i of `value` becomes the dimensions `reassociation[i]`."""
    type = TensorType(tensor_type(value).get_element_type(), shape)
    return ExpandShapeOp(value, [], reassociation_attr(reassociation), shape, type)


def reassociation_attr(reassociation: Reassociation) -> ArrayAttr[ArrayAttr[IntegerAttr]]:
    """What `tensor.collapse_shape` and `tensor.expand_shape` carry; see `reassociation_of`."""
    return ArrayAttr(ArrayAttr(IntegerAttr(dim, i64) for dim in group) for group in reassociation)


def identity_generic(value: SSAValue, sizes: Sequence[SSAValue] = ()) -> tuple[EmptyOp, GenericOp]:
    """An element-wise generic that yields `value` unchanged, and the empty tensor it writes.

    `sizes` has an index for each unknown size of the type of `value`.
    """
    type = tensor_type(value)
    body = Block(arg_types=[type.get_element_type()] * 2)
    body.add_op(YieldOp(body.args[0]))
    empty = EmptyOp(sizes, type)
    identity = AffineMapAttr(AffineMap.identity(type.get_num_dims()))
    parallel = [IteratorTypeAttr.parallel()] * type.get_num_dims()
    return empty, GenericOp([value], [empty.tensor], Region(body), [identity] * 2, parallel, [empty.tensor.type])


def operands_with_captures(op: Operation) -> Iterator[SSAValue]:
    """The operands of `op` and the values from outside that its regions use."""
    yield from op.operands
    for region in op.regions:
        for inner in region.walk():
            for operand in inner.operands:
                if not op.is_ancestor(operand.owner):
                    yield operand


def erase(op: Operation) -> None:
    """Take `op` out of its block and drop it; nothing may use its results."""
    op.detach()
    op.erase()


def erase_dead(block: Block) -> None:
    """Erase the operations of `block` whose results nobody uses, last first so that chains go in one walk.

    Everything on tensors is free of side effects, whether or not its class says so; what has none has no results.
    """
    for op in reversed(list(block.ops)):
        if op.results and not any(result.uses for result in op.results):
            erase(op)
