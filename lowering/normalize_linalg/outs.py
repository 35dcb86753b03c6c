"""What a generic reads becomes plain: tensors are inputs, scalars are captured, and parallel ones only write outputs.

- a scalar operand, also one that fills a tensor, becomes a value that the body captures;
- constants that a body captures move into it, where they fuse and fold with it;
- an output that a parallel generic reads becomes an input of it, and it writes over an uninitialised tensor;
- a parallel generic runs over the dimensions of its first output in their order.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IntegerAttr, TensorType, i64
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Block, OpResult, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.rewriter import InsertPoint, Rewriter

from ...runtime.errors import UnsupportedError
from ...tosa.dialect.types import element_of
from ...tosa.source import described
from ..dialects.linalg import PARALLEL
from ..tosa_to_linalg.body import Body
from .editor import Editor
from .scalar_functions import convert


def settle_generic(op: GenericOp, edit: Editor) -> GenericOp:
    """Apply the rewrites above; what took the place of `op`. Raises UnsupportedError."""
    _sink_constants(op)
    if any(_scalar(op, index) is not None for index in range(len(op.inputs))):
        op = _capture_scalars(op, edit)
    if all(iterator.data is IteratorType.PARALLEL for iterator in op.iterator_types):
        op = _only_write(op, Editor(op, edit.sizes))
        _order_loops(op)
    return op


def settle_fill(op: FillOp, edit: Editor) -> None:
    """Fill an uninitialised tensor, with a value of the type of its elements."""
    (value,), (output,) = op.inputs, op.outputs
    element = element_of(output)
    if value.type != element:
        block = Block()
        value = convert(Body(block), value, element)
        for inner in list(block.ops):
            inner.detach()
            edit.insert(inner)
    elif isinstance(output, OpResult) and isinstance(output.op, EmptyOp):
        return
    fill = FillOp([value], [edit.empty_like(output)])
    fill.attributes |= op.attributes
    edit.replace(edit.insert(fill).res[0])


def _sink_constants(op: GenericOp) -> None:
    """Copies of captured scalar constants, at the start of the body."""
    block = op.body.block
    copies: dict[SSAValue, SSAValue] = {}
    for inner in list(op.body.walk()):
        for index, value in enumerate(inner.operands):
            producer = value.op if isinstance(value, OpResult) else None
            if not isinstance(producer, arith.ConstantOp) or op.is_ancestor(producer):
                continue
            if value not in copies:
                copy = producer.clone()
                Rewriter.insert_op(copy, InsertPoint.at_start(block))
                copies[value] = copy.result
            inner.operands[index] = copies[value]


def _capture_scalars(op: GenericOp, edit: Editor) -> GenericOp:
    block = op.body.block
    maps = list(op.indexing_maps)
    inputs = list(op.inputs)
    for index in reversed(range(len(inputs))):
        scalar = _scalar(op, index)
        if scalar is not None:
            block.args[index].replace_all_uses_with(scalar)
            block.erase_arg(block.args[index])
            del inputs[index], maps[index]
    rebuilt = _rebuild(op, edit, inputs, list(op.outputs), [map.data for map in maps])
    _sink_constants(rebuilt)
    return rebuilt


def _scalar(op: GenericOp, index: int) -> SSAValue | None:
    """The value that input `index` is everywhere: a scalar, or what it was filled with in a parallel generic.

    In a reduction only that input may tell how far a loop runs.
    """
    value = op.inputs[index]
    if not isinstance(value.type, TensorType):
        return value
    fill = value.op if isinstance(value, OpResult) else None
    parallel = all(iterator.data is IteratorType.PARALLEL for iterator in op.iterator_types)
    return fill.inputs[0] if isinstance(fill, FillOp) and parallel else None


def _only_write(op: GenericOp, edit: Editor) -> GenericOp:
    block = op.body.block
    count = len(op.inputs)
    maps = [map.data for map in op.indexing_maps]
    inputs, outputs, read_maps = list(op.inputs), list(op.outputs), maps[:count]
    changed = False
    for index, value in enumerate(outputs):
        map = maps[count + index]
        if not _writes_all(map):
            raise UnsupportedError(
                "the program cannot be compiled:", [f"{described(op)}: output {index} is written through {map}"]
            )
        argument = block.args[len(inputs) + index]
        if argument.uses:
            element = block.insert_arg(argument.type, len(inputs))
            argument.replace_all_uses_with(element)
            inputs.append(value)
            read_maps.append(map)
            changed = True
        if not (isinstance(value, OpResult) and isinstance(value.op, EmptyOp)):
            outputs[index] = edit.empty_like(value)
            changed = True
    return _rebuild(op, edit, inputs, outputs, [*read_maps, *maps[count:]]) if changed else op


def _writes_all(map: AffineMap) -> bool:
    """Whether each loop writes its own dimension; one of extent one may be written at the constant 0."""
    loops = [expr.position for expr in map.results if isinstance(expr, AffineDimExpr)]
    return sorted(loops) == list(range(map.num_dims))


def _rebuild(
    op: GenericOp, edit: Editor, inputs: Sequence[SSAValue], outputs: Sequence[SSAValue], maps: Sequence[AffineMap]
) -> GenericOp:
    results = edit.generic_of(inputs, outputs, maps, op.iterator_types.data, op.detach_region(op.body))
    edit.replace(*results)
    owner = results[0].owner
    assert isinstance(owner, GenericOp)
    return owner


def _order_loops(op: GenericOp) -> None:
    """Permute the loops so that the first output is written through the identity."""
    first = op.indexing_maps.data[len(op.inputs)].data
    if len(first.results) != first.num_dims or first == AffineMap.identity(first.num_dims):
        return
    order = [expr.position for expr in first.results if isinstance(expr, AffineDimExpr)]
    if len(order) != first.num_dims:
        return
    renamed = [AffineDimExpr(order.index(loop)) for loop in range(len(order))]
    op.indexing_maps = ArrayAttr(
        AffineMapAttr(
            AffineMap(len(order), 0, tuple(expr.replace_dims_and_symbols(renamed, []) for expr in map.data.results))
        )
        for map in op.indexing_maps
    )
    op.iterator_types = ArrayAttr([PARALLEL] * len(order))
    for inner in op.body.walk():
        if isinstance(inner, IndexOp):
            inner.dim = IntegerAttr(order.index(inner.dim.value.data), i64)
