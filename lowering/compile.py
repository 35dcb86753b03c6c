"""From a TOSA module to an artifact: the phases, machine code for every distinct dispatch, the plan, the constants."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from xdsl.dialects import func
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, TensorType
from xdsl.ir import Attribute, SSAValue

from ..runtime.artifact import Artifact, BufferReference, Image, Plan, Signature, Space, Step, TensorInfo
from ..runtime.device import parse_devices
from ..runtime.errors import ArgumentError, TosaicError
from ..tosa.elements import numpy_dtype
from . import pipeline
from .codegen import build_image
from .cost import arithmetic_dtype, describe, flops, traffic
from .dialects.dispatch import RegionOp
from .ir import byte_size, functions, input_name, is_unsigned, output_name, regions
from .kernels import Kernels
from .plan_memory import ARENA_BYTES
from .target import Target, resolve_target

CODEGEN = "codegen"
"""What the time for machine code is reported as, beside the phases of the pipeline."""


def compile(
    module: ModuleOp,
    devices: Sequence[str] = ("cpu",),
    target: str | Sequence[str] = "host",
    precision: str | None = None,
    *,
    dump_dir: str | Path | None = None,
    report: pipeline.Report | None = None,
) -> Artifact:
    """Compile a TOSA module, which stays as it is, for one device.

    devices: where the program runs, such as ["cpu"] or ["cpu:2"] for two threads by default.
    target: the instruction set, such as "host" or "x86-64-v3"; several make an artifact with an image for each, of
        which the best one is chosen when it is loaded.
    precision: faster, less exact arithmetic by name; None computes in the types that the program says.
    dump_dir: a folder for the IR after every phase; with several targets a folder in it for each.
    report: called with each phase and the seconds it took, for one target after the other.

    Raises UnsupportedError that lists every operator without a lowering, and ArgumentError for an unknown device or
    target, or dynamic shapes.
    """
    specs = tuple(spec for device in devices for spec in parse_devices(device))
    targets = [resolve_target(name) for name in ([target] if isinstance(target, str) else target)]
    if not targets:
        raise ArgumentError("name at least one target")
    targets.sort(key=lambda target: (-target.vector_bits, -len(target.features)))
    options = pipeline.Options(specs, {spec.kind: targets[0] for spec in specs}, precision=precision)
    signatures: tuple[Signature, ...] = ()
    images: list[Image] = []
    for each in targets:
        lowered = module.clone()
        folder = Path(dump_dir) / each.name if dump_dir and len(targets) > 1 else dump_dir
        pipeline.run(
            lowered,
            replace(options, targets={spec.kind: each for spec in specs}),
            dump_dir=folder,
            report=report,
        )
        begin = time.perf_counter()
        try:
            images.append(_generate(lowered, each))
        except TosaicError:
            raise
        except Exception as error:
            raise pipeline.PhaseError(CODEGEN, error, pipeline.dump_folder(folder)) from error
        if report is not None:
            report(CODEGEN, time.perf_counter() - begin)
        signatures = tuple(map(_signature, functions(lowered)))  # the same for every target
    metadata = {"devices": ",".join(map(str, specs)), "target": ",".join(each.name for each in targets)}
    return Artifact(signatures, tuple(images), options.constants.blob().data, metadata)


def _generate(module: ModuleOp, target: Target) -> Image:
    """The plan of every function of a module whose memory is planned, and the machine code that runs them."""
    kernels = Kernels(target)
    plans = tuple(_plan(function, kernels) for function in functions(module))
    return build_image(plans, kernels.by_name, target)


def _plan(function: func.FuncOp, kernels: Kernels) -> Plan:
    steps = tuple(_step(region, kernels) for region in regions(function))
    arena_bytes = cast(IntegerAttr, function.attributes[ARENA_BYTES]).value.data
    scratch_bytes = max((kernels.by_name[step.kernel].scratch_bytes for step in steps), default=0)
    return Plan(function.sym_name.data, steps, arena_bytes, scratch_bytes)


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


def _step(region: RegionOp, kernels: Kernels) -> Step:
    assert region.buffers is not None and region.device is not None
    values: list[SSAValue] = [*region.inputs, *region.outputs]
    buffers = tuple(
        BufferReference(cast(Space, place.space.data), place.index.data, place.offset.data, byte_size(value.type))
        for place, value in zip(region.buffers, values, strict=True)
    )
    name = kernels.name_of(region)
    work = (flops(region), traffic(region))
    return Step(name, buffers, region.device.data, *work, describe(region), arithmetic_dtype(region))


def _info(name: str, type: Attribute, unsigned: bool) -> TensorInfo:
    tensor = cast("TensorType[Attribute]", type)
    dtype = numpy_dtype(tensor.get_element_type()).name
    return TensorInfo(name, f"u{dtype}" if unsigned else dtype, tensor.get_shape())
