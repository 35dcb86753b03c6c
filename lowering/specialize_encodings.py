"""specialize-encodings: the resolver of each dispatch's own target turns encodings into layouts.

A tensor whose target wants it in rows loses its encoding; the sets and unsets around it vanish. The rest become
`#encoding.layout`: concrete tiles of a concrete target.
"""

from __future__ import annotations

from collections.abc import Mapping

from xdsl.dialects.builtin import ModuleOp, NoneAttr, TensorType
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue
from xdsl.ir.affine import AffineDimExpr
from xdsl.rewriter import Rewriter

from .dialects.dispatch import RegionOp
from .dialects.encoding import LHS, RHS, EncodingAttr, LayoutAttr, SetOp, UnsetOp
from .hoist_encodings import cancel_pairs, hoist_sets
from .ir import erase_dead, functions, host_blocks, regions, tensor_type
from .set_encodings import contraction_root, encoded
from .target import Target, Tile
from .tiles import check_hints, chosen_tile


def specialize_encodings(module: ModuleOp, targets: Mapping[str, Target]) -> None:
    """Replace every EncodingAttr of `module`; `targets` maps the name of each device to the target of its code.

    Raises ArgumentError where a program asks for a tile that the target does not have.
    """
    resolved: dict[tuple[Attribute, str], Attribute] = {}
    for function in functions(module):
        blocks = host_blocks(function)
        for block in blocks:
            for op in block.ops:
                if isinstance(op, RegionOp | SetOp | UnsetOp):
                    device = _device_of(op)
                    if isinstance(op, RegionOp):
                        _check(op, targets[device])
                    for value in _values(op):
                        _specialize(value, targets[device], device, resolved)
        for block in reversed(blocks):
            cancel_pairs(block)
            hoist_sets(block)
            erase_dead(block)
        for region in regions(function):
            _merge_equal_operands(region)


def layout_of(encoding: EncodingAttr, tile: Tile | None) -> LayoutAttr | None:
    """The layout of a tensor whose contraction is computed with `tile`; None for rows.

    Where rows are not tiled, a left side that lies transposed is turned.
    """
    if tile is None:
        return None
    operand = encoding.operand_index.data
    if encoding.op_type.data == "conv_2d":
        return LayoutAttr.of([0, 1], [tile.n0, tile.k0], [0, 1]) if operand == RHS else None
    *_, m, n, k = range(len(encoding.iteration_sizes))
    position_of = {
        expr.position: position
        for position, expr in enumerate(encoding.tensor_map.data.results)
        if isinstance(expr, AffineDimExpr)
    }
    sizes = {m: tile.m0, n: tile.n0, k: tile.k0}
    tiled = [(position_of[dim], size) for dim, size in sizes.items() if dim in position_of]
    positions = [position for position, _ in tiled]
    # Batches, and dimensions of extent one that are read at the constant 0, stay outermost as they are.
    outer = [position for position in range(len(encoding.tensor_map.data.results)) if position not in positions]
    if operand == RHS or tile.pack_rows:
        return LayoutAttr.of(positions, [size for _, size in tiled], [*outer, *positions]) if tiled else None
    rows = [*outer, *positions]
    is_left_side = operand == LHS and encoding.tensor_map == encoding.user_indexing_maps.data[LHS]
    return LayoutAttr.of([], [], rows) if is_left_side and rows != sorted(rows) else None


def _check(region: RegionOp, target: Target) -> None:
    root = contraction_root(region)
    encoding = tensor_type(root.result).encoding if root is not None else None
    if root is not None and isinstance(encoding, EncodingAttr):
        check_hints(root, encoding, target)


def _merge_equal_operands(region: RegionOp) -> None:
    """Read once more through one argument what had several encodings and now has one layout."""
    block = region.body.block
    kept: dict[SSAValue, BlockArgument] = {}
    for argument, value in zip(list(block.args), list(region.inputs), strict=True):
        first = kept.setdefault(value, argument)
        if first is not argument:
            argument.replace_all_uses_with(first)
            block.erase_arg(argument)
    region.set_inputs(list(kept))


def _device_of(op: Operation) -> str:
    """The device that a cast is for: that of the region that reads or wrote the encoded value."""
    if isinstance(op, RegionOp):
        assert op.device is not None
        return op.device.data
    if isinstance(op, UnsetOp):
        return _device_of(_owner(op.source))
    return _device_of(next(iter(op.results[0].uses)).operation)


def _owner(value: SSAValue) -> Operation:
    assert isinstance(value, OpResult)
    return value.op


def _values(op: Operation) -> list[SSAValue]:
    """The results of `op` and of the operations in its body, and the body's arguments."""
    values: list[SSAValue] = list(op.results)
    if isinstance(op, RegionOp):
        block: Block = op.body.block
        values += block.args
        values += [result for inner in block.ops for result in inner.results]
    return values


def _specialize(value: SSAValue, target: Target, device: str, resolved: dict[tuple[Attribute, str], Attribute]) -> None:
    if not isinstance(value.type, TensorType) or not isinstance(value.type.encoding, EncodingAttr):
        return
    encoding = value.type.encoding
    if (encoding, device) not in resolved:
        resolved[encoding, device] = layout_of(encoding, chosen_tile(target, encoding)) or NoneAttr()
    Rewriter.replace_value_with_new_type(value, encoded(tensor_type(value), resolved[encoding, device]))
