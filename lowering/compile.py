"""From a TOSA module to an artifact: the phases, machine code for every distinct dispatch, the plan, the constants."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Attribute

from ..runtime.artifact import Artifact, DeviceSlot, Signature, TensorInfo, Variant
from ..runtime.collection import collecting_rarely
from ..runtime.device import DeviceSpec, parse_device
from ..runtime.errors import ArgumentError, TosaicError
from ..runtime.rates import Rates
from ..tosa.elements import numpy_dtype
from . import pipeline
from .assign_devices import devices_of
from .backends import backend_of
from .dialects.dispatch import SegmentOp
from .host_program import emit_host_program, sizes_of
from .ir import functions, input_name, is_unsigned, output_name
from .plan_memory.constants import ConstantPool
from .target import Target, resolve_target
from .targets.devices import device_targets

VERIFY_VARIABLE = "TOSAIC_VERIFY_EACH"
"""Set to 1, every phase is verified at once, as it is in all tests."""

CODEGEN = "codegen"
"""What the time for machine code is reported as, beside the phases of the pipeline."""


@collecting_rarely()
def compile(
    module: ModuleOp,
    devices: Sequence[str] = (),
    target: str | Target | Sequence[str | Target] = "host",
    precision: str | None = None,
    *,
    place: str | None = None,
    rates: Callable[[DeviceSpec, Target], Rates] | None = None,
    dump_dir: str | Path | None = None,
    report: pipeline.Report | None = None,
) -> Artifact:
    """Compile a module of TOSA or linalg, which stays as it is.

    devices: where the program runs, such as ["cpu"], or ["cpu@x86-64-v3:1", "reference"] (see `parse_device`). They
        take the places of those that the program declares, which are taken where none are given (see `devices_of`).
    target: the instruction set of the devices that name none, such as "host" or "x86-64-v3" (see `resolve_target`);
        several make an artifact with a variant for each, of which the best one is chosen when it is loaded.
    precision: faster, less exact arithmetic by name; None computes in the types that the program says.
    place: dispatches that are bound to devices, such as "conv*=cpu,matmul*=reference" (see `assign_devices.pins`).
    rates: asked how fast each of several devices is, to place the rest by; nominal rates where it is not given.
    dump_dir: a folder for the IR after every phase; with several targets a folder in it for each.
    report: called with each phase and the seconds it took, for one target after the other.

    Raises UnsupportedError that lists every operator without a lowering, and ArgumentError for an unknown device or
    target, or dynamic shapes.
    """
    targets = [_resolve(each) for each in ([target] if isinstance(target, str | Target) else target)]
    if not targets:
        raise ArgumentError("name at least one target")
    targets.sort(key=lambda target: (-target.vector_bits, -len(target.features)))
    choices = [options_for(module, devices, each, precision, place, rates) for each in targets]
    constants = ConstantPool()
    signatures: tuple[Signature, ...] = ()
    variants: list[Variant] = []
    for each, options in zip(targets, choices, strict=True):
        folder = Path(dump_dir) / each.name if dump_dir and len(targets) > 1 else dump_dir
        lowered = _lower(module, replace(options, constants=constants), folder, report)
        begin = time.perf_counter()
        try:
            variants.append(_generate(lowered, options))
        except TosaicError:
            raise
        except Exception as error:
            raise pipeline.PhaseError(CODEGEN, error, pipeline.dump_folder(folder)) from error
        if report is not None:
            report(CODEGEN, time.perf_counter() - begin)
        signatures = tuple(map(_signature, functions(lowered)))  # the same for every target
    slots = tuple(_slot(spec) for spec in choices[0].devices)
    metadata = {"target": ",".join(each.name for each in targets)}
    return Artifact(signatures, slots, tuple(variants), constants.blob().data, metadata)


def _lower(
    module: ModuleOp, options: pipeline.Options, folder: str | Path | None, report: pipeline.Report | None
) -> ModuleOp:
    """What the phases make of `module`. Where one goes wrong, they run again and each is verified, to tell which."""
    lowered = module.clone()
    if os.environ.get(VERIFY_VARIABLE) != "1":
        try:
            pipeline.run(lowered, options, dump_dir=folder, report=report, verify_each=False)
            return lowered
        except pipeline.PhaseError:
            lowered = module.clone()
    pipeline.run(lowered, options, dump_dir=folder, report=report)
    return lowered


def options_for(
    module: ModuleOp,
    devices: Sequence[str],
    target: Target,
    precision: str | None = None,
    place: str | None = None,
    rates: Callable[[DeviceSpec, Target], Rates] | None = None,
) -> pipeline.Options:
    """What the phases are run with for the arguments of `compile`, of whose targets `target` is one."""
    specs = devices_of(module, [parse_device(device) for device in devices])
    targets = device_targets(specs, target)
    known = {spec.name: rates(spec, targets[spec.name]) for spec in specs} if rates and len(specs) > 1 else {}
    return pipeline.Options(specs, targets, precision=precision, place=place, rates=known)


def _slot(spec: DeviceSpec) -> DeviceSlot:
    return DeviceSlot(spec.name, spec.kind, spec.threads or 0, -1 if spec.ordinal is None else spec.ordinal)


def _resolve(target: str | Target) -> Target:
    return resolve_target(target) if isinstance(target, str) else target


def _generate(module: ModuleOp, options: pipeline.Options) -> Variant:
    """The host programs and, for each device, the image of a module whose memory is planned."""
    outlined = [segment for function in functions(module) for segment in _segments(function)]
    images = []
    numbers: dict[SegmentOp, int] = {}
    for device in options.devices:
        own = [segment for segment in outlined if segment.device.data == device.name]
        numbers.update({segment: number for number, segment in enumerate(own)})
        images.append(backend_of(device.kind)(_names(own), options.targets[device.name]))
    names = [device.name for device in options.devices]
    programs = tuple(emit_host_program(function, names, numbers) for function in functions(module))
    return Variant(tuple(images), programs)


def _segments(function: func.FuncOp) -> list[SegmentOp]:
    """The segments of a function, in program order."""
    return [op for op in function.walk() if isinstance(op, SegmentOp)]


def _names(segments: Sequence[SegmentOp]) -> dict[str, SegmentOp]:
    """Segments by names: that of their function, with a number where it has several."""
    names: dict[str, SegmentOp] = {}
    for segment in segments:
        function = segment.parent_op()
        while not isinstance(function, func.FuncOp):
            assert function is not None
            function = function.parent_op()
        name = function.sym_name.data
        number = sum(other.partition("#")[0] == name for other in names)
        names[f"{name}#{number}" if number else name] = segment
    return names


def _signature(function: func.FuncOp) -> Signature:
    types = function.function_type
    return Signature(
        function.sym_name.data,
        tuple(
            _info(input_name(function, index), type, is_unsigned(function.arg_attrs, index))
            for index, type in enumerate(types.inputs)
        ),
        tuple(
            _info(output_name(function, index), type, is_unsigned(function.res_attrs, index))
            for index, type in enumerate(types.outputs)
        ),
    )


def _info(name: str, type: Attribute, unsigned: bool) -> TensorInfo:
    tensor = cast("TensorType[Attribute]", type)
    dtype = numpy_dtype(tensor.get_element_type()).name
    return TensorInfo(name, f"u{dtype}" if unsigned else dtype, sizes_of(tensor))
