"""Operations on tensors that later phases do not know become those that they know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from xdsl.dialects import arith, tensor
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    DenseArrayBase,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    TensorType,
    i64,
)
from xdsl.dialects.linalg.ops import FillOp, IndexOp, YieldOp
from xdsl.ir import Operation, OpResult, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.rewriter import InsertPoint, Rewriter

from ...runtime.errors import UnsupportedError
from ...tosa.dialect import ConstOp
from ...tosa.dialect.types import element_of, shape_of, tensor_type
from ...tosa.elements import ElementsAttr, numpy_dtype
from ...tosa.source import described
from ..dialects.linalg import PARALLEL
from ..dialects.tensor import BitcastOp, GatherOp, GenerateOp, RankOp, ReshapeOp
from ..ir import padding_value, reassociation_attr
from ..sizes import Size, as_value, merged
from ..tosa_to_linalg.body import Body
from .editor import Editor


def _generate(op: GenerateOp, edit: Editor) -> None:
    output = edit.empty(merged(shape_of(op.result), op.sizes), element_of(op.result))
    region = op.detach_region(op.body)
    block = region.block
    for dim, argument in enumerate(list(block.args)):
        index = IndexOp(dim)
        Rewriter.insert_op(index, InsertPoint.at_start(block))
        argument.replace_all_uses_with(index.result)
        block.erase_arg(argument)
    block.insert_arg(element_of(output), 0)
    _end_with_linalg_yield(block.last_op)
    rank = len(shape_of(output))
    edit.replace(*edit.generic_of([], [output], [AffineMap.identity(rank)], [PARALLEL] * rank, region))


def _end_with_linalg_yield(terminator: Operation | None) -> None:
    assert terminator is not None
    Rewriter.replace_op(terminator, YieldOp(*terminator.operands), [])


def _splat(op: tensor.SplatOp, edit: Editor) -> None:
    output = edit.empty(merged(shape_of(op.result), op.dynamicSizes), element_of(op.result))
    edit.replace(_filled(op.input, output, edit))


def _filled(value: SSAValue, output: SSAValue, edit: Editor) -> SSAValue:
    if isinstance(value.type, IndexType):  # which linalg.fill of xDSL refuses
        return edit.elementwise([], output, lambda _b, _out: value)
    return edit.insert(FillOp([value], [output])).res[0]


def _insert(op: tensor.InsertOp, edit: Editor) -> None:
    rank = len(op.indices)
    single = edit.insert(tensor.FromElementsOp(op.scalar, result_type=TensorType(op.scalar.type, [1] * rank))).result
    edit.replace(_insert_slice(single, op.dest, list(op.indices), [1] * rank, [1] * rank, edit))


def _from_elements(op: tensor.FromElementsOp, edit: Editor) -> None:
    """Constants only: the host makes the others."""
    values = [_number(value) for value in op.elements]
    if any(value is None for value in values):
        return
    type = tensor_type(op.result)
    array = np.array(values).astype(numpy_dtype(type.get_element_type())).reshape(type.get_shape())
    edit.replace(edit.insert(ConstOp(ElementsAttr.from_array(array, type))).output)


def _number(value: SSAValue) -> float | None:
    constant = value.op if isinstance(value, OpResult) else None
    if isinstance(constant, arith.ConstantOp) and isinstance(constant.value, IntegerAttr | FloatAttr):
        return constant.value.value.data
    return None


def _cast(op: tensor.CastOp, edit: Editor) -> None:
    """No elements move, and the host checks that they are as many."""
    edit.replace(edit.as_type(op.source, op.dest.type))


def _reshape(op: ReshapeOp, edit: Editor) -> None:
    """Through one dimension; sizes that the type leaves open are read from the shape operand."""
    type = tensor_type(op.result)
    rank = len(shape_of(op.source))
    flat = edit.collapse(op.source, [list(range(rank))] if rank else [])
    if not type.get_shape():
        edit.replace(edit.collapse(flat, []) if rank == 0 else _to_scalar_tensor(flat, edit))
        return
    if rank == 0:
        flat = edit.expand(flat, [], [1])
    dynamic = [
        _to_index(edit.insert(tensor.ExtractOp(op.shape, [edit.index(dim)], element_of(op.shape))).result, edit)
        for dim, size in enumerate(type.get_shape())
        if size == DYNAMIC_INDEX
    ]
    groups = [list(range(len(type.get_shape())))]
    reshaped = tensor.ExpandShapeOp(flat, dynamic, reassociation_attr(groups), list(type.get_shape()), type)
    edit.replace(flat if type == flat.type else edit.insert(reshaped).result)


def _to_scalar_tensor(flat: SSAValue, edit: Editor) -> SSAValue:
    """One element as a tensor without dimensions."""
    type = TensorType(element_of(flat), [])
    collapse = tensor.CollapseShapeOp.build(
        operands=[flat], result_types=[type], properties={"reassociation": reassociation_attr([])}
    )
    return edit.insert(collapse).result


def _to_index(value: SSAValue, edit: Editor) -> SSAValue:
    return value if isinstance(value.type, IndexType) else edit.insert(arith.IndexCastOp(value, IndexType())).result


def _extract_slice(op: tensor.ExtractSliceOp, edit: Editor) -> None:
    """One that drops dimensions of extent one keeps them, and a reshape drops them behind."""
    shape, sizes = shape_of(op.result), _slice_sizes(op)
    if len(shape) == len(sizes):
        return
    full = tensor.ExtractSliceOp.build(
        operands=[op.source, op.offsets, op.sizes, op.strides],
        result_types=[TensorType(element_of(op.source), _numbers(op.static_sizes))],
        properties=dict(op.properties),
    )
    groups = _kept(sizes, edit.sizes.of(op.result), op)
    edit.replace(_collapsed(edit.insert(full).result, groups, tensor_type(op.result), edit))


def _collapsed(value: SSAValue, groups: list[list[int]], type: TensorType, edit: Editor) -> SSAValue:
    collapse = tensor.CollapseShapeOp.build(
        operands=[value], result_types=[type], properties={"reassociation": reassociation_attr(groups)}
    )
    return edit.insert(collapse).result


def _insert_slice_op(op: tensor.InsertSliceOp, edit: Editor) -> None:
    """A source that lacks dimensions of extent one gets them."""
    sizes = _slice_sizes(op)
    if len(shape_of(op.source)) == len(sizes):
        return
    groups = _kept(sizes, edit.sizes.of(op.source), op)
    op.operands[0] = edit.expand(op.source, groups, sizes)


def _slice_sizes(op: tensor.ExtractSliceOp | tensor.InsertSliceOp) -> list[Size]:
    return list(merged(_numbers(op.static_sizes), op.sizes))


def _kept(sizes: Sequence[Size], kept: Sequence[Size], op: Operation) -> list[list[int]]:
    """For each dimension that is left the dimensions of the slice that it stands for: itself and ones dropped."""
    groups: list[list[int]] = []
    pending: list[int] = []
    for dim, size in enumerate(sizes):
        pending.append(dim)
        rest = len(sizes) - dim - 1
        here = len(groups) < len(kept) and _alike(size, kept[len(groups)])
        if here and not (
            size == 1 and rest >= len(kept) - len(groups) and _fits(sizes[dim + 1 :], kept[len(groups) :])
        ):
            groups.append(pending)
            pending = []
    if len(groups) != len(kept):
        raise UnsupportedError(
            "the program cannot be compiled:", [f"{described(op)}: the dimensions dropped are not of extent one"]
        )
    if groups:
        groups[-1] += pending
    return groups


def _fits(sizes: Sequence[Size], kept: Sequence[Size]) -> bool:
    """Whether `kept` is what is left of `sizes` without some that are one."""
    if not sizes:
        return not kept
    if kept and _alike(sizes[0], kept[0]) and _fits(sizes[1:], kept[1:]):
        return True
    return sizes[0] == 1 and _fits(sizes[1:], kept)


def _alike(size: Size, kept: Size) -> bool:
    return size is kept or size == kept or not (isinstance(size, int) and isinstance(kept, int))


def _insert_slice(
    source: SSAValue, dest: SSAValue, offsets: list[SSAValue], sizes: list[int], strides: list[int], edit: Editor
) -> SSAValue:
    static = DenseArrayBase.from_list(i64, [DYNAMIC_INDEX] * len(offsets))
    op = tensor.InsertSliceOp.build(
        operands=[source, dest, offsets, [], []],
        result_types=[dest.type],
        properties={
            "static_offsets": static,
            "static_sizes": DenseArrayBase.from_list(i64, sizes),
            "static_strides": DenseArrayBase.from_list(i64, strides),
        },
    )
    return edit.insert(op).result


def _view(op: tensor.CollapseShapeOp | tensor.ExpandShapeOp, edit: Editor) -> None:
    """What is nothing or the same everywhere is made in the shape that is wanted."""
    source = op.src.op if isinstance(op.src, OpResult) else None
    if not isinstance(source, tensor.EmptyOp | FillOp):
        return
    output = edit.insert(tensor.EmptyOp(edit.sizes.dynamic(op.result), op.result.type)).tensor
    edit.replace(_filled(source.inputs[0], output, edit) if isinstance(source, FillOp) else output)


def _pad(op: tensor.PadOp, edit: Editor) -> None:
    """A value that is no constant is written first, and the source over it."""
    block = op.region.block
    if any(argument.uses for argument in block.args):
        raise UnsupportedError(
            "the program cannot be compiled:", [f"{described(op)}: a padding value that depends on the position"]
        )
    if padding_value(op) is not None:
        return
    terminator = block.last_op
    assert terminator is not None
    if len(list(block.ops)) > 1:
        for inner in list(block.ops)[:-1]:
            inner.detach()
            edit.insert(inner)
    value = terminator.operands[0]
    if _number(value) is not None:  # a constant from around: what later phases look for is one inside
        constant = cast(OpResult, value).op.clone()
        block.insert_op_before(constant, terminator)
        terminator.operands[0] = constant.results[0]
        return
    whole = _filled(value, edit.empty(edit.sizes.of(op.result), element_of(op.result)), edit)
    low = [as_value(size, edit.anchor) for size in merged(_numbers(op.static_low), op.low)]
    sizes = edit.sizes.of(op.source)
    insert = tensor.InsertSliceOp.build(
        operands=[op.source, whole, low, [size for size in sizes if isinstance(size, SSAValue)], []],
        result_types=[whole.type],
        properties={
            "static_offsets": DenseArrayBase.from_list(i64, [DYNAMIC_INDEX] * len(low)),
            "static_sizes": DenseArrayBase.from_list(
                i64, [size if isinstance(size, int) else DYNAMIC_INDEX for size in sizes]
            ),
            "static_strides": DenseArrayBase.from_list(i64, [1] * len(low)),
        },
    )
    edit.replace(edit.insert(insert).result)


def _gather(op: GatherOp, edit: Editor) -> None:
    """The source read, in the body, where the indices say."""
    source_rank, batch = len(shape_of(op.source)), len(shape_of(op.indices)) - 1
    keeps = len(shape_of(op.result)) == batch + source_rank
    slice_dims = [dim for dim in range(source_rank) if keeps or dim not in op.dims]
    indices, source = edit.sizes.of(op.indices), edit.sizes.of(op.source)
    sizes = [*indices[:-1], *(1 if dim in op.dims else source[dim] for dim in slice_dims)]
    rank = len(sizes)

    def body(b: Body, _out: SSAValue) -> SSAValue:
        position: list[SSAValue] = []
        for dim in range(source_rank):
            if dim not in op.dims:
                position.append(b.index(batch + slice_dims.index(dim)))
                continue
            which = b.constant(op.dims.index(dim), IndexType())
            chosen = b.extract(op.indices, [*(b.index(loop) for loop in range(batch)), which])
            position.append(chosen if isinstance(chosen.type, IndexType) else b.to_index(chosen))
        return b.extract(op.source, position)

    output = edit.empty(sizes, element_of(op.result))
    edit.replace(edit.generic([], output, [AffineMap.identity(rank)], [PARALLEL] * rank, body))


def _rank(op: RankOp, edit: Editor) -> None:
    edit.replace(edit.index(len(shape_of(op.source))))


def _bitcast(op: BitcastOp, edit: Editor) -> None:
    element = element_of(op.result)
    output = edit.empty_like(op.source, element)
    edit.replace(
        edit.elementwise([op.source], output, lambda b, value, _out: b.append(arith.BitcastOp(value, element)))
    )


def _numbers(values: DenseArrayBase) -> tuple[int, ...]:
    return cast("DenseArrayBase[IntegerType]", values).get_values()


TENSOR_OPERATIONS: dict[type[Operation], Callable[..., None]] = {
    GenerateOp: _generate,
    GatherOp: _gather,
    RankOp: _rank,
    BitcastOp: _bitcast,
    tensor.SplatOp: _splat,
    tensor.InsertOp: _insert,
    tensor.FromElementsOp: _from_elements,
    tensor.CastOp: _cast,
    ReshapeOp: _reshape,
    tensor.ExtractSliceOp: _extract_slice,
    tensor.InsertSliceOp: _insert_slice_op,
    tensor.PadOp: _pad,
    tensor.CollapseShapeOp: _view,
    tensor.ExpandShapeOp: _view,
}
"""What replaces an operation, or leaves it where later phases know it as it is."""
