"""Which devices a program runs on, and what it calls them.

A program that declares devices runs on those. --devices puts other devices in their places, the first one listed in the
place of the first one declared and so on; the symbols of the program keep their meaning. Devices listed beyond those
extend the program's list, and where fewer are listed the last one also stands in for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsl.dialects.builtin import ModuleOp, SymbolRefAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Operation

from ...runtime.device import DeviceSpec, parse_device, uniquely_named
from ...runtime.errors import ArgumentError
from ...tosa.source import described
from ..dialects.device import AFFINITY, DeclareOp, TransferOp

DEFAULT_DEVICE = "cpu"
"""Where programs run that declare no devices when none are listed."""


def devices_of(module: ModuleOp, listed: Sequence[DeviceSpec] = ()) -> tuple[DeviceSpec, ...]:
    """The devices of a program, each by a name of its own, when `listed` are those that the user named.

    A declared device is called as its symbol. Raises ArgumentError, with the line, where the program names another.
    """
    declared = _declared(module)
    given = list(listed) or [replace(parse_device(op.spec.data), name="") for op in declared]
    given = given or [parse_device(DEFAULT_DEVICE)]
    symbols = [op.sym_name.data for op in declared[: len(given)]]
    called = [replace(spec, name=symbol) for spec, symbol in zip(given, symbols, strict=False)]
    devices = uniquely_named([*called, *given[len(called) :]])
    _check_symbols(module, names_of_symbols(module, devices))
    return devices


def names_of_symbols(module: ModuleOp, devices: Sequence[DeviceSpec]) -> dict[str, str]:
    """The name of the device that each symbol means: declared ones, and the names of the devices themselves."""
    names = {spec.name: spec.name for spec in devices}
    for index, op in enumerate(_declared(module)):
        names[op.sym_name.data] = devices[min(index, len(devices) - 1)].name
    return names


def symbol_of(attribute: Attribute | None) -> str | None:
    """What a `device.affinity` names."""
    return attribute.root_reference.data if isinstance(attribute, SymbolRefAttr) else None


def affinity_of(op: Operation) -> str | None:
    """The symbol of the device that `op` wants to run on."""
    return symbol_of(op.attributes.get(AFFINITY))


def _declared(module: ModuleOp) -> list[DeclareOp]:
    return [op for op in module.body.block.ops if isinstance(op, DeclareOp)]


def _check_symbols(module: ModuleOp, known: dict[str, str]) -> None:
    for op in module.walk():
        wanted: list[Attribute | None] = [op.attributes.get(AFFINITY)]
        if isinstance(op, TransferOp):
            wanted.append(op.device)
        if isinstance(op, FuncOp):
            for attributes in (op.arg_attrs, op.res_attrs):
                wanted += [each.data.get(AFFINITY) for each in attributes or ()]
        for attribute in wanted:
            symbol = symbol_of(attribute)
            if symbol is None and attribute is not None:
                raise ArgumentError(f"{described(op)}: {AFFINITY} must name a device, such as @cpu; got {attribute}")
            if symbol is not None and symbol not in known:
                raise ArgumentError(f"{described(op)}: unknown device @{symbol}; there are: {', '.join(known)}")
