"""Transfers, where what one device makes is read on another: one for each value and destination.

They are put behind what defines the value, so that loops bring it over once. Plain tensors travel: an encoding is
undone before and set again behind, as each device has layouts of its own. Constants stay: each device reads its own
copies, which compile time brings into its layouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from xdsl.dialects.builtin import NoneAttr, StringAttr, SymbolRefAttr, TensorType
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import BlockArgument, Operation, OpResult, SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from ..dialects.device import TransferOp
from ..dialects.dispatch import RegionOp
from ..dialects.encoding import SetOp, UnsetOp
from ..ir import erase, erase_dead, host_blocks, tensor_type
from .affinity import VIEWS, Locations, carried, dispatches


def insert_transfers(function: FuncOp, names: Mapping[str, str], home: str) -> None:
    """Let every dispatch of `function` read its operands on its own device, and results be where they are wanted."""
    blocks = host_blocks(function)
    locations = Locations(function, names, home)
    mover = _Mover(locations)
    _bind_written(function, names, locations)
    for region in dispatches(function):
        if all(result in locations.constants for result in region.outputs):
            continue
        assert region.device is not None
        for index, value in enumerate(region.operands):
            if isinstance(value.type, TensorType):
                region.operands[index] = mover.local(value, region.device.data)
    for op, index in carried(blocks):
        op.operands[index] = mover.local(op.operands[index], home)
    terminator = cast(ReturnOp, function.body.block.last_op)
    for index, device in enumerate(locations.result_devices(function)):
        if device is not None:
            terminator.operands[index] = mover.local(terminator.operands[index], device)
    for block in reversed(blocks):
        erase_dead(block)


class _Mover:
    """Makes values local to devices, each once."""

    def __init__(self, locations: Locations) -> None:
        self.locations = locations
        self._local: dict[tuple[SSAValue, str], SSAValue] = {}
        self._plain: dict[SSAValue, SSAValue] = {}
        self._copies: dict[tuple[Operation, str], Operation] = {}
        self._owners: dict[Operation, str] = {}

    def local(self, value: SSAValue, device: str) -> SSAValue:
        """`value` as `device` can read it, in the same encoding."""
        if (value, device) not in self._local:
            self._local[value, device] = self._made_local(value, device)
        return self._local[value, device]

    def _made_local(self, value: SSAValue, device: str) -> SSAValue:
        op = value.op if isinstance(value, OpResult) else None
        constant = value in self.locations.constants
        if isinstance(op, SetOp) or (constant and isinstance(op, RegionOp | UnsetOp)):
            assert isinstance(value, OpResult)
            return self._own(value.op, device).results[value.index]
        if constant or self.locations.of(value) == device:
            return value
        if isinstance(op, VIEWS):
            return self._own(op, device).results[0]
        plain = self._without_encoding(value)
        if plain is not value:
            return _behind(set_again := self.local(plain, device), SetOp(set_again, tensor_type(value))).result
        return _behind(value, TransferOp(value, device)).result

    def _own(self, op: Operation, device: str) -> Operation:
        """What computes for `device` what `op` does: `op` itself for the first that asks, if it can read the same."""
        if (op, device) not in self._copies:
            operands = [self.local(v, device) if isinstance(v.type, TensorType) else v for v in op.operands]
            own = op
            if operands != list(op.operands) or op in self._owners:
                own = op.clone()
                own.operands = operands
                for old, new in zip(op.results, own.results, strict=True):
                    new.name_hint = old.name_hint
                Rewriter.insert_op(own, InsertPoint.after(op))
            else:
                self._owners[op] = device
            if isinstance(own, RegionOp):
                own.device = StringAttr(device)
                self.locations.constants.update(own.results)
            self._copies[op, device] = own
        return self._copies[op, device]

    def _without_encoding(self, value: SSAValue) -> SSAValue:
        """`value` in rows, on the device where it is."""
        type = tensor_type(value)
        if isinstance(type.encoding, NoneAttr):
            return value
        if value not in self._plain:
            rows = TensorType(type.get_element_type(), type.get_shape())
            self._plain[value] = _behind(value, UnsetOp(value, rows)).result
        return self._plain[value]


_Op = TypeVar("_Op", bound=Operation)


def _behind(value: SSAValue, op: _Op) -> _Op:
    """Insert `op` where `value` is known first."""
    if isinstance(value, BlockArgument):
        place = InsertPoint.at_start(value.block)
    else:
        assert isinstance(value, OpResult)
        place = InsertPoint.after(value.op)
    Rewriter.insert_op(op, place)
    return op


def _bind_written(function: FuncOp, names: Mapping[str, str], locations: Locations) -> None:
    """Let the transfers that the program has name devices, and drop those that lead nowhere."""
    for block in host_blocks(function):
        for op in list(block.ops):
            if isinstance(op, TransferOp):
                device = names[op.device.root_reference.data]
                op.device = SymbolRefAttr(device)
                if locations.of(op.source) in (device, None):
                    op.result.replace_all_uses_with(op.source)
                    erase(op)
