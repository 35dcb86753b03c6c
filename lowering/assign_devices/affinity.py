"""Where values are, and which devices dispatches are bound to before the cost model chooses the rest.

A value that a dispatch computes is on its device. Arguments of functions are where their affinity says; those without,
like what loops carry and what the host makes, are on the first device. Constants are wherever they are needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xdsl.dialects import scf
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.func import FuncOp
from xdsl.dialects.tensor import CollapseShapeOp, ConcatOp, ExpandShapeOp, ExtractSliceOp
from xdsl.ir import Block, BlockArgument, Operation, OpResult, SSAValue

from ..dialects.device import AFFINITY, TransferOp
from ..dialects.dispatch import RegionOp
from ..dialects.encoding import SetOp, UnsetOp
from ..ir import constant_values, host_blocks
from .declarations import affinity_of, symbol_of

VIEWS = (CollapseShapeOp, ExpandShapeOp)
_CASTS = (SetOp, UnsetOp)


def dispatches(function: FuncOp) -> list[RegionOp]:
    """All dispatches of a function, in program order."""
    return [op for block in host_blocks(function) for op in block.ops if isinstance(op, RegionOp)]


def bound_device(region: RegionOp, names: Mapping[str, str]) -> str | None:
    """The device that the program binds a dispatch to, by what its operations or the transfers in front of it say."""
    symbol = affinity_of(region)
    if symbol is None:
        sources = [origin(value).owner for value in region.tensors]
        brought = {source.device.root_reference.data for source in sources if isinstance(source, TransferOp)}
        symbol = brought.pop() if len(brought) == 1 else None
    return None if symbol is None else names[symbol]


def origin(value: SSAValue) -> SSAValue:
    """What a tensor is, seen through views and casts."""
    while isinstance(value, OpResult) and isinstance(value.op, (*VIEWS, *_CASTS)):
        value = value.op.operands[0]
    return value


def origins(value: SSAValue) -> list[SSAValue]:
    """The results of dispatches and arguments of blocks that a tensor comes from, seen through all that only moves."""
    source = origin(value)
    match source.owner:
        case TransferOp() | ExtractSliceOp():
            return origins(source.owner.source)
        case ConcatOp():
            return [made for part in source.owner.inputs for made in origins(part)]
        case RegionOp() | Block():
            return [source]
        case _:
            return []


class Locations:
    """Tells where values are; of what dispatches make, once they have their devices."""

    def __init__(self, function: FuncOp, names: Mapping[str, str], home: str) -> None:
        """names: the devices that the symbols of the program mean. home: where everything else is."""
        self._names = names
        self.home = home
        self._arguments = {
            argument: names[symbol]
            for argument, attributes in zip(function.args, function.arg_attrs or (), strict=False)
            if (symbol := symbol_of(attributes.data.get(AFFINITY))) is not None
        }
        self.constants = constant_values(function)

    def of(self, value: SSAValue) -> str | None:
        """The device that `value` is on; None for constants, which are on all."""
        if value in self.constants:
            return None
        if isinstance(value, BlockArgument):
            return self._arguments.get(value, self.home)
        assert isinstance(value, OpResult)
        match value.op:
            case RegionOp():
                assert value.op.device is not None
                return value.op.device.data
            case TransferOp():
                return self._names[value.op.device.root_reference.data]
            case CollapseShapeOp() | ExpandShapeOp() | SetOp() | UnsetOp() | ExtractSliceOp():
                return self.of(value.op.operands[0])
            case _:
                return self.home

    def result_devices(self, function: FuncOp) -> list[str | None]:
        """Where the results of the function are wanted; None where anywhere will do."""
        attributes = function.res_attrs.data if function.res_attrs is not None else ()
        symbols = [symbol_of(each.data.get(AFFINITY)) for each in attributes]
        return [None if symbol is None else self._names[symbol] for symbol in symbols]


def carried(blocks: Iterable[Block]) -> list[tuple[Operation, int]]:
    """The uses of tensors that leave the body of control flow or enter it, as (operation, operand)."""
    return [
        (op, index)
        for block in blocks
        for op in block.ops
        if isinstance(op, scf.ForOp | scf.WhileOp | scf.YieldOp | scf.ConditionOp)
        for index, value in enumerate(op.operands)
        if isinstance(value.type, TensorType)
    ]
