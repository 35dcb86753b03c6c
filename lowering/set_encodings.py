"""set-encodings: says of every contraction operand what it is for, in words that no target owns.

Around each region whose root is a matmul, batch matmul or convolution, operands pass through `encoding.set_encoding`
and results through `encoding.unset_encoding`; inside, every tensor carries its encoding. Operands of the fused
element-wise consumers have the encoding of the result, seen through the map they are read by: a bias is tiled along n.

A convolution's filter [F, KH, KW, C] is encoded as the matrix [F, KH*KW*C] it is as the right side of a contraction;
the region starts with the expansion back.

A program can keep a contraction from being encoded (`encoding.data_tiling = false`) or ask for its tile
(`encoding.tile_sizes = array<i64: m0, n0, k0>`).
"""

from __future__ import annotations

from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    IntAttr,
    IntegerAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    UnitAttr,
    i1,
)
from xdsl.dialects.linalg.ops import GenericOp
from xdsl.dialects.tensor import PadOp
from xdsl.ir import Attribute, Block, BlockArgument, SSAValue
from xdsl.rewriter import Rewriter

from ..runtime.errors import ArgumentError
from ..tosa.source import described
from .dialects.dispatch import RegionOp
from .dialects.encoding import (
    CONSTANT_RHS,
    DATA_TILING,
    LHS,
    MULTIPLY_TYPE,
    RESULT,
    RHS,
    TILE_SIZES,
    UNKNOWN,
    EncodingAttr,
    SetOp,
    UnsetOp,
)
from .dialects.linalg import Conv2DNhwcFhwcOp, PlainContraction
from .ir import collapse, constant_values, expand, functions, regions, shape_of, tensor_type


def set_encodings(module: ModuleOp) -> None:
    """Encode every contraction of `module`, in place."""
    for function in functions(module):
        constant = constant_values(function)
        for region in regions(function):
            root = contraction_root(region)
            if root is not None and _wants_tiling(region, root):
                right = root.inputs[RHS]
                is_constant = isinstance(right, BlockArgument) and region.inputs[right.index] in constant
                _encode(region, root, encoding_of(root, constant_rhs=is_constant))


def contraction_root(region: RegionOp) -> PlainContraction | None:
    """The contraction that `region` computes, if that is what it does."""
    return next((op for op in region.body.block.ops if isinstance(op, PlainContraction)), None)


def _wants_tiling(region: RegionOp, root: PlainContraction) -> bool:
    """Whether `root` can be encoded and the program does not say otherwise.

    Consumers that ask where they are would be given wrong answers in tiles.
    """
    if root.attributes.get(DATA_TILING) == IntegerAttr(0, i1):
        return False
    names = {inner.name for op in region.body.block.ops if isinstance(op, GenericOp) for inner in op.body.block.ops}
    return "linalg.index" not in names


def encoding_of(root: PlainContraction, *, constant_rhs: bool = False) -> EncodingAttr:
    """The encoding of the left side of `root`, whose right side may be constant; `for_operand` leads to the others."""
    elements = [tensor_type(value).get_element_type() for value in root.operands]
    sizes = [UNKNOWN if size == DYNAMIC_INDEX else size for size in root.iteration_sizes()]
    return EncodingAttr(
        IntAttr(LHS),
        StringAttr("conv_2d" if isinstance(root, Conv2DNhwcFhwcOp) else "matmul"),
        ArrayAttr(elements),
        root.get_indexing_maps(),
        ArrayAttr(IntAttr(size) for size in sizes),
        root.get_indexing_maps().data[LHS],
        DictionaryAttr(_hints(root) | ({CONSTANT_RHS: UnitAttr()} if constant_rhs else {})),
    )


def _hints(root: PlainContraction) -> dict[str, Attribute]:
    """What the program asks for and allows. Raises ArgumentError for tile sizes that are none."""
    hints: dict[str, Attribute] = {}
    if DATA_TILING in root.attributes:
        hints["data_tiling"] = root.attributes[DATA_TILING]
    if MULTIPLY_TYPE in root.attributes:
        hints["multiply_type"] = root.attributes[MULTIPLY_TYPE]
    tile = root.attributes.get(TILE_SIZES)
    if tile is not None:
        sizes = tile.get_values() if isinstance(tile, DenseArrayBase) else ()
        if len(sizes) != 3 or min(sizes) < 1:
            what = "must be array<i64: m0, n0, k0> of positive numbers"
            raise ArgumentError(f"{described(root)}: {TILE_SIZES} {what}, got {tile}")
        hints["tile_sizes"] = tile
    return hints


def encoded(type: Attribute, encoding: Attribute) -> TensorType:
    """The tensor type `type` with `encoding`."""
    assert isinstance(type, TensorType)
    return TensorType(type.get_element_type(), type.get_shape(), encoding)


def _encode(region: RegionOp, root: PlainContraction, encoding: EncodingAttr) -> None:
    result = encoding.for_operand(RESULT)
    block = region.body.block
    split_roles(region)
    matrix = _flatten_filter(region, root) if isinstance(root, Conv2DNhwcFhwcOp) else root.inputs[RHS]
    image = root.inputs[LHS].owner
    generic = next((op for op in block.ops if isinstance(op, GenericOp)), None)

    roles: dict[SSAValue, EncodingAttr] = {}
    roles[image.source if isinstance(image, PadOp) else root.inputs[LHS]] = encoding.for_operand(LHS)
    roles[matrix] = encoding.for_operand(RHS)
    if generic is not None:
        for value, map in zip(generic.inputs, generic.indexing_maps, strict=False):
            if isinstance(value, BlockArgument):
                roles[value] = result.read_through(map)
    _encode_inside(block, roles, encoding, root)
    _encode_outside(region, result)


def _flatten_filter(region: RegionOp, root: Conv2DNhwcFhwcOp) -> SSAValue:
    """Collapse the filter to [F, KH*KW*C] in front of the region and expand it again inside; the new argument."""
    filter = root.window
    assert isinstance(filter, BlockArgument) and region.parent is not None
    shape = shape_of(filter)
    flat = collapse(region.inputs[filter.index], [[0], [1, 2, 3]])
    region.parent.insert_op_before(flat, region)
    region.operands[filter.index] = flat.result
    argument = Rewriter.replace_value_with_new_type(filter, flat.result.type)
    unflat = expand(argument, [[0], [1, 2, 3]], shape)
    block = region.body.block
    first = block.first_op
    assert first is not None
    block.insert_op_before(unflat, first)
    argument.replace_uses_with_if(unflat.result, lambda use: use.operation is not unflat)
    return argument


def split_roles(region: RegionOp) -> None:
    """Give every use of an argument with several uses an argument of its own, as their encodings differ."""
    block = region.body.block
    for argument in list(block.args):
        uses = list(argument.uses) if isinstance(argument.type, TensorType) else []
        for use in uses[1:]:
            copy = block.insert_arg(argument.type, len(block.args))
            region.set_inputs([*region.inputs, region.inputs[argument.index]])
            use.operation.operands[use.index] = copy


def _encode_inside(
    block: Block, roles: dict[SSAValue, EncodingAttr], encoding: EncodingAttr, root: PlainContraction
) -> None:
    """Put encodings on the types of all tensors of the region: those of `roles`, and what is computed from them."""
    result = encoding.for_operand(RESULT)
    for argument in list(block.args):
        if argument in roles:
            Rewriter.replace_value_with_new_type(argument, encoded(argument.type, roles[argument]))
    for op in block.ops:
        for value in list(op.results):
            if not isinstance(value.type, TensorType):
                continue
            if isinstance(op, PadOp):
                role = encoding.for_operand(LHS)
            elif any(use.operation is root and use.index == RHS for use in value.uses):
                role = encoding.for_operand(RHS)
            else:
                role = result
            Rewriter.replace_value_with_new_type(value, encoded(value.type, role))


def _encode_outside(region: RegionOp, result: EncodingAttr) -> None:
    """Set the operands' encodings in front of the region, unset the results' behind it."""
    parent = region.parent
    assert parent is not None
    for index, argument in enumerate(region.body.block.args):
        value = region.inputs[index]
        if argument.type != value.type:
            set_op = SetOp(value, tensor_type(argument))
            parent.insert_op_before(set_op, region)
            region.operands[index] = set_op.result
    for plain in list(region.outputs):
        uses = tuple(plain.uses)
        value = Rewriter.replace_value_with_new_type(plain, encoded(plain.type, result))
        unset = UnsetOp(value, tensor_type(plain))
        parent.insert_op_after(unset, region)
        for use in uses:
            use.operation.operands[use.index] = unset.result
