"""Rewrites that let more of a model fuse, before dispatches are formed.

- an element-wise operation does not take what it does not use;
- a loop of extent one is read as that loop, not as the constant 0, so that in-place reads are told from broadcasts;
- a 1x1 convolution with stride 1 and no padding is a matmul over all pixels;
- a contraction waits until its consumers have everything else they need (see `schedule`);
- a contraction reads weights in the narrow type they are stored in: the conversion of a constant right side is its own;
- views sink behind element-wise operations (see `sink_views`);
- integer extensions are repeated for each reader (see `widening`).
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, TensorType
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import CollapseShapeOp, EmptyOp, ExpandShapeOp, PadOp
from xdsl.ir import Block, OpResult, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap
from xdsl.rewriter import Rewriter

from ..dialects.linalg import Conv2DNhwcFhwcOp, MatmulOp, PlainContraction
from ..ir import collapse, constant_array, erase, expand, reassociation_of, shape_of, tensor_type, view_source
from .elementwise import identity_operands, is_elementwise
from .extents import Extents
from .host import write_initial_values
from .schedule import schedule
from .sink_views import share_views, sink_views
from .widening import repeat_widenings

_CONVERSIONS = (arith.ExtFOp, arith.SIToFPOp, arith.ExtSIOp)


def prepare(block: Block, extents: Extents) -> None:
    """Apply the rewrites above to a host block."""
    write_initial_values(block, extents.sizes)
    extents.learn(block)
    for op in list(block.ops):
        if isinstance(op, GenericOp):
            _name_unit_loops(_without_unused_inputs(op))
        if isinstance(op, PlainContraction):
            _read_narrow_weights(op)
        if isinstance(op, Conv2DNhwcFhwcOp) and _is_pointwise(op):
            _pointwise_to_matmul(op)
    schedule(block, extents)
    sink_views(block, extents)
    share_views(block)
    repeat_widenings(block)


def _without_unused_inputs(op: GenericOp) -> GenericOp:
    """`op`, or what takes its place, with the inputs whose elements it uses: its loops are told by the output."""
    block = op.body.block
    used = [index for index in range(len(op.inputs)) if block.args[index].uses]
    told = {expr for expr in op.indexing_maps.data[-1].data.results if isinstance(expr, AffineDimExpr)}
    if len(used) == len(op.inputs) or len(told) < len(op.iterator_types):
        return op
    for argument in [argument for argument in block.args[: len(op.inputs)] if not argument.uses]:
        block.erase_arg(argument)
    maps = [*(op.indexing_maps.data[index] for index in used), *op.indexing_maps.data[len(op.inputs) :]]
    inputs, types = [op.inputs[index] for index in used], [result.type for result in op.res]
    new = GenericOp(inputs, op.outputs, op.detach_region(op.body), maps, op.iterator_types, types)
    new.attributes |= op.attributes
    Rewriter.replace_op(op, new)
    return new


def _name_unit_loops(op: GenericOp) -> None:
    """In maps with as many results as loops, (d0, d1) -> (0, d1) becomes the identity where d0 has extent one."""
    loops = len(op.iterator_types)
    if not any(isinstance(expr, AffineConstantExpr) for map in op.indexing_maps for expr in map.data.results):
        return
    if any(iterator.data != IteratorType.PARALLEL for iterator in op.iterator_types):
        return
    extents = shape_of(op.res[0])
    maps = []
    for value, attribute in zip(op.operands, op.indexing_maps, strict=True):
        results = list(attribute.data.results)
        if len(results) == loops and isinstance(value.type, TensorType):
            for dim, expr in enumerate(results):
                if isinstance(expr, AffineConstantExpr) and extents[dim] == 1:
                    results[dim] = AffineDimExpr(dim)
        maps.append(AffineMapAttr(AffineMap(loops, 0, tuple(results))))
    op.indexing_maps = ArrayAttr(maps)


def _read_narrow_weights(op: PlainContraction) -> None:
    stored = _stored(op.inputs[1])
    if stored is None:
        return
    views: list[CollapseShapeOp | ExpandShapeOp] = []
    value = op.inputs[1]
    while isinstance(value, OpResult) and isinstance(value.op, CollapseShapeOp | ExpandShapeOp):
        views.append(value.op)
        value = value.op.src
    block = op.parent
    assert block is not None
    for view in reversed(views):
        groups = reassociation_of(view)
        expands = isinstance(view, ExpandShapeOp)
        narrow = expand(stored, groups, shape_of(view.result)) if expands else collapse(stored, groups)
        block.insert_op_before(narrow, op)
        stored = narrow.result
    op.operands[1] = stored


def _stored(weights: SSAValue) -> SSAValue | None:
    """The constant that `weights` is the converted form of, seen through views."""
    converted = view_source(weights)
    producer = converted.op if isinstance(converted, OpResult) else None
    if not isinstance(producer, GenericOp) or not is_elementwise(producer) or identity_operands(producer) != [0]:
        return None
    body = producer.body.block
    conversion = body.first_op
    if not isinstance(conversion, _CONVERSIONS) or conversion.next_op is not body.last_op:
        return None
    stored = producer.inputs[0]
    constant = constant_array(view_source(stored)) is not None
    return stored if conversion.operands[0] is body.args[0] and constant else None


def _is_pointwise(op: Conv2DNhwcFhwcOp) -> bool:
    padded = isinstance(op.image, OpResult) and isinstance(op.image.op, PadOp)
    return shape_of(op.window)[1:3] == (1, 1) and op.stride_values == (1, 1) and not padded


def _pointwise_to_matmul(op: Conv2DNhwcFhwcOp) -> None:
    """conv_2d(image [N, H, W, C], filter [F, 1, 1, C]) -> matmul([N*H*W, C], [F, C] transposed)."""
    fill, block = op.init.owner, op.parent
    if not isinstance(fill, FillOp) or block is None:
        return
    result_type = tensor_type(op.result)
    n, h, w, f = result_type.get_shape()
    pixels = collapse(op.image, [[0, 1, 2], [3]])
    filter = collapse(op.window, [[0], [1, 2, 3]])
    empty = EmptyOp([], TensorType(result_type.get_element_type(), [n * h * w, f]))
    init = FillOp(fill.inputs, [empty.tensor])
    matmul = MatmulOp(pixels.result, filter.result, init.res[0], transpose_rhs=True)
    image = expand(matmul.result, [[0, 1, 2], [3]], (n, h, w, f))
    block.insert_ops_before([pixels, filter, empty, init, matmul, image], op)
    op.result.replace_all_uses_with(image.result)
    erase(op)
