"""split-dispatches: one big contraction becomes several, each on a device of its own, which work at the same time.

The result is cut along one of its dimensions: rows (pixels of a convolution, images of a batch) where there are enough,
else columns (features). Every part is what the whole was, on less: it reads the rows it needs, with those around them
that a convolution's window covers, and the other operands whole; a constant that is cut along is cut at compile time,
so that each device holds only what it multiplies with. Rows lie in their source and parts of rows in the whole, without
a copy; columns are put together by a dispatch.

The shares are in proportion to what the devices do in a second. A dispatch is split where the user's pins say so
(`--place 'matmul*=a|b'`), and without being asked where the cost model predicts that it pays: nothing else binds the
dispatch, and together the devices have no more threads than there are processors.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, SymbolRefAttr, TensorType
from xdsl.dialects.tensor import ConcatOp, ExtractSliceOp
from xdsl.ir import OpResult, SSAValue

from ...runtime.device import DeviceSpec
from ...runtime.rates import Rates
from ..dialects.device import AFFINITY
from ..dialects.dispatch import RegionOp, YieldOp
from ..ir import constant_values, erase, functions, shape_of, tensor_type, view_source
from ..set_encodings import contraction_root
from ..target import Target
from .affinity import dispatches
from .cost_model import nominal_rates, seconds
from .cuts import cut_along
from .declarations import affinity_of
from .pins import parse_pins, pinned

_LEAST_SECONDS = 1e-3
"""A dispatch that takes less on the best device is not worth handing out."""

_LEAST_GAIN = 1.3
"""By this factor the parts together must be predicted to be faster: devices that work at the same time share caches and
memory, which the prediction leaves out."""


@dataclass(frozen=True)
class Part:
    """`size` of the extent from `begin` on, for the device of this name."""

    device: str
    begin: int
    size: int


def split_dispatches(
    module: ModuleOp,
    devices: Sequence[DeviceSpec],
    targets: Mapping[str, Target],
    rates: Mapping[str, Rates] | None = None,
    pins: str | None = None,
) -> None:
    """Split what should be; the parts say by `device.affinity` where they belong. Arguments as of `assign_devices`."""
    if len(devices) < 2:
        return
    rates = {spec.name: nominal_rates(spec, targets[spec.name]) for spec in devices} | dict(rates or {})
    everything = [region for function in functions(module) for region in dispatches(function)]
    chosen = pinned(everything, parse_pins(pins, devices)) if pins else {}
    fitting = _fitting_together(devices)
    for function in functions(module):
        constant = constant_values(function)
        for region in dispatches(function):
            if contraction_root(region) is None or all(result in constant for result in region.outputs):
                continue
            wanted = chosen.get(region)
            if wanted is None and affinity_of(region) is None and _pays(region, fitting, rates):
                wanted = fitting
            if wanted is not None and len(wanted) > 1:
                _split(region, [(name, seconds(region, rates[name])) for name in wanted])


def _fitting_together(devices: Sequence[DeviceSpec]) -> tuple[str, ...]:
    """The CPUs in the list, as many of the first as have no more threads than there are processors."""
    left = processors = len(os.sched_getaffinity(0))
    names: list[str] = []
    for spec in devices:
        threads = spec.threads or processors
        if spec.kind == "cpu" and threads <= left:
            names.append(spec.name)
            left -= threads
    return tuple(names)


def _pays(region: RegionOp, devices: Sequence[str], rates: Mapping[str, Rates]) -> bool:
    if len(devices) < 2:
        return False
    alone = [seconds(region, rates[name]) for name in devices]
    together = 1 / sum(1 / each for each in alone) + 2 * max(rates[name].call for name in devices)
    return min(alone) > _LEAST_SECONDS and min(alone) > _LEAST_GAIN * together


def shares(extent: int, unit: int, times: Sequence[tuple[str, float]]) -> list[Part]:
    """Cut `extent` in multiples of `unit` (the last part takes what is left over), in inverse proportion to the times.

    times: of the whole on each device, by name. Devices that would get nothing are left out.
    """
    total = sum(1 / time for _, time in times)
    units = -(-extent // unit)
    parts: list[Part] = []
    begin = done = 0.0
    start = 0
    for name, time in times:
        begin += units / time / total
        count = round(begin) - round(done)
        size = min(count * unit, extent - start)
        if size > 0:
            parts.append(Part(name, start, size))
            start += size
        done = begin
    return parts


def _split(region: RegionOp, times: Sequence[tuple[str, float]]) -> None:
    """Put parts in the place of `region`, if it can be cut."""
    cut = cut_along(region)
    if cut is None:
        return
    parts = shares(cut.extent, cut.unit, times)
    if len(parts) < 2:
        return
    block = region.parent
    assert block is not None
    made: list[RegionOp] = []
    for part in parts:
        inputs = [
            _rows(region, value, *taken) if (taken := cut.taken(index, part.begin, part.size)) is not None else value
            for index, value in enumerate(region.inputs)
        ]
        own = cut.part(inputs, part.begin, part.size)
        own.attributes |= region.attributes | {AFFINITY: SymbolRefAttr(part.device)}
        block.insert_op_before(own, region)
        made.append(own)
    for index, (result, axis) in enumerate(zip(region.outputs, cut.result_axes, strict=True)):
        joined = _joined(region, [own.outputs[index] for own in made], axis, tensor_type(result))
        joined.name_hint = result.name_hint
        result.replace_all_uses_with(joined)
    erase(region)


def _rows(region: RegionOp, value: SSAValue, axis: int, begin: int, size: int) -> SSAValue:
    """`size` of a tensor along `axis`, in front of `region`: where it lies if that is contiguous, else copied."""
    shape = list(shape_of(value))
    sizes = [*shape[:axis], size, *shape[axis + 1 :]]
    offsets = [begin if dim == axis else 0 for dim in range(len(shape))]
    type = TensorType(tensor_type(value).get_element_type(), sizes)
    source = view_source(value)
    constant = isinstance(source, OpResult) and source.op.name == "tosa.const"
    block = region.parent
    assert block is not None
    if not constant and set(shape[:axis]) <= {1}:
        slice = ExtractSliceOp(value, offsets, sizes, [1] * len(shape), type)
        block.insert_op_before(slice, region)
        return slice.result
    copy = RegionOp([value], [type])
    slice = ExtractSliceOp(copy.body.block.args[0], offsets, sizes, [1] * len(shape), type)
    copy.body.block.add_ops([slice, YieldOp(slice.result)])
    block.insert_op_before(copy, region)
    return copy.outputs[0]


def _joined(region: RegionOp, parts: Sequence[SSAValue], axis: int, type: TensorType) -> SSAValue:
    block = region.parent
    assert block is not None
    if set(type.get_shape()[:axis]) <= {1}:
        whole = ConcatOp(list(parts), axis, type)
        block.insert_op_before(whole, region)
        return whole.result
    copy = RegionOp(parts, [type])
    whole = ConcatOp(list(copy.body.block.args), axis, type)
    copy.body.block.add_ops([whole, YieldOp(whole.result)])
    block.insert_op_before(copy, region)
    return copy.outputs[0]
