"""assign-devices: where each dispatch runs, and what has to be brought there.

The user's pins come first, then what the program says, then the cost model. What one device makes and another reads is
transferred once; each device sets and unsets its own encodings, so that every side of a transfer has its own layouts.

- `declarations`: the devices of a program and what its symbols mean
- `pins`: what the user places by pattern
- `affinity`: where values are, and what the program binds
- `capabilities`: what devices can run at all
- `cost_model`, `placement`, `minimum_cut`: seconds, and the devices that need the fewest
- `transfers`: what follows from it
- `splitting`, `cuts`: the phase split-dispatches, which hands parts of big contractions to several devices before
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import cast

from xdsl.dialects.builtin import ModuleOp, StringAttr, TensorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import BlockArgument, SSAValue

from ...runtime.device import DeviceSpec
from ...runtime.rates import Rates
from ..dialects.device import AFFINITY
from ..dialects.dispatch import RegionOp
from ..ir import constant_values, functions, host_blocks
from ..target import Target
from .affinity import Locations, bound_device, carried, dispatches, origins
from .capabilities import able_devices
from .cost_model import nominal_rates, seconds, size_in_bytes
from .declarations import devices_of as devices_of
from .declarations import names_of_symbols
from .pins import parse_pins, pinned
from .placement import Problem, Value, place
from .splitting import split_dispatches as split_dispatches
from .transfers import insert_transfers

_NEVER = float("inf")


def assign_devices(
    module: ModuleOp,
    devices: Sequence[DeviceSpec],
    targets: Mapping[str, Target],
    rates: Mapping[str, Rates] | None = None,
    pins: str | None = None,
) -> None:
    """Set `device` of every dispatch to the name of one of `devices`, and insert transfers.

    targets, rates: those of the devices, by name; nominal rates for devices that have none. pins: as `--place` has
    them. Raises ArgumentError for a wrong pin, UnsupportedError for what no device can run.
    """
    rates = {spec.name: nominal_rates(spec, targets[spec.name]) for spec in devices} | dict(rates or {})
    names = names_of_symbols(module, devices)
    everything = [region for function in functions(module) for region in dispatches(function)]
    chosen = pinned(everything, parse_pins(pins, devices)) if pins else {}
    home = devices[0].name
    for function in functions(module):
        computed = _computed(function)
        for region in dispatches(function):
            region.device = StringAttr(home)
        bound = {region: _bound(region, chosen.get(region), names, devices) for region in computed}
        _place(function, computed, devices, rates, bound, Locations(function, names, home))
        _forget_affinities(function)
        insert_transfers(function, names, home)


def _computed(function: FuncOp) -> list[RegionOp]:
    """The dispatches that devices run: what is constant runs at compile time."""
    constant = constant_values(function)
    return [region for region in dispatches(function) if any(result not in constant for result in region.outputs)]


def _bound(
    region: RegionOp, pinned: tuple[str, ...] | None, names: Mapping[str, str], devices: Sequence[DeviceSpec]
) -> tuple[str, ...]:
    """The devices that a dispatch may run on. A part of what was split is on its own."""
    wanted = pinned
    written = bound_device(region, names)
    if written is not None and (pinned is None or written in pinned):
        wanted = (written,)
    return tuple(
        spec.name for spec in able_devices(region, [spec for spec in devices if wanted is None or spec.name in wanted])
    )


def _forget_affinities(function: FuncOp) -> None:
    """What is done where is said by dispatches now."""
    for region in dispatches(function):
        for op in region.walk():
            op.attributes.pop(AFFINITY, None)


def _place(
    function: FuncOp,
    regions: Sequence[RegionOp],
    devices: Sequence[DeviceSpec],
    rates: Mapping[str, Rates],
    bound: Mapping[RegionOp, Sequence[str]],
    locations: Locations,
) -> None:
    """Bind `regions` so that they and what is brought to them take the least time.

    For each device there is one dispatch more, which takes none: it makes the arguments that are there, and reads the
    results that are wanted there.
    """
    costs = [
        [seconds(region, rates[spec.name]) if spec.name in bound[region] else _NEVER for spec in devices]
        for region in regions
    ]
    costs += [[0.0 if spec is here else _NEVER for spec in devices] for here in devices]
    values = _values(function, regions, {spec.name: rates[spec.name] for spec in devices}, locations)
    for region, device in zip(regions, place(Problem(len(devices), costs, values)), strict=False):
        region.device = StringAttr(devices[device].name)


def _values(
    function: FuncOp, regions: Sequence[RegionOp], rates: Mapping[str, Rates], locations: Locations
) -> list[Value]:
    """What flows between `regions`, from the arguments to them, and from them to the results."""
    number = {region: index for index, region in enumerate(regions)}
    ends = {name: len(regions) + index for index, name in enumerate(rates)}
    readers: dict[SSAValue, list[int]] = {}

    def read(value: SSAValue, reader: int) -> None:
        for source in origins(value):
            readers.setdefault(source, []).append(reader)

    for region in regions:
        for value in region.tensors:
            read(value, number[region])
    for op, index in carried(host_blocks(function)):
        read(op.operands[index], ends[locations.home])
    host = next((name for name, rate in rates.items() if rate.in_host_memory), locations.home)
    terminator = function.body.block.last_op
    assert terminator is not None
    for value, device in zip_longest(terminator.operands, locations.result_devices(function)):
        if isinstance(value.type, TensorType):
            read(value, ends[device or host])
    values: list[Value] = []
    for value, consumers in readers.items():
        argument = isinstance(value, BlockArgument)
        producer = ends[locations.of(value) or locations.home] if argument else number.get(cast(RegionOp, value.owner))
        if producer is None:
            continue
        # The caller waits for nobody and is waited for anyway: only between dispatches does the change itself cost.
        waits = not argument and min(consumers) < len(regions)
        transfer = [
            [
                0.0 if a == b else there.transfer_seconds(here, size_in_bytes(value)) + waits * there.call
                for b, there in rates.items()
            ]
            for a, here in rates.items()
        ]
        values.append(Value(producer, tuple(consumers), transfer))
    return values
