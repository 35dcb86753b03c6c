"""From the segments of one device to its image, by the kind of the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from xdsl.dialects.builtin import DenseArrayBase, TensorType
from xdsl.ir import SSAValue

from ..runtime.artifact import BufferReference, Image, Segment, Space, Step
from .codegen import build_image
from .codegen.ptx import build_ptx_image
from .cost import arithmetic_dtype, describe, flops, traffic
from .dialects.dispatch import RegionOp, SegmentOp
from .host_program import tensor_of
from .kernels import Kernels
from .plan_memory import SLOTS
from .reference_image import encode_segments
from .target import Target

Backend: TypeAlias = Callable[[Mapping[str, SegmentOp], Target], Image]
"""Makes the image of the segments, by name, whose memory is planned."""


def backend_of(kind: str) -> Backend:
    """What makes the images of a kind of device."""
    return _BACKENDS[kind]


def build_cpu_image(segments: Mapping[str, SegmentOp], target: Target) -> Image:
    """Machine code through LLVM."""
    kernels = Kernels(target)
    return build_image(_plans(segments, kernels), kernels.by_name, target)


def build_cuda_image(segments: Mapping[str, SegmentOp], target: Target) -> Image:
    """PTX through LLVM."""
    kernels = Kernels(target)
    return build_ptx_image(_plans(segments, kernels), kernels.by_name, target)


def _plans(segments: Mapping[str, SegmentOp], kernels: Kernels) -> tuple[Segment, ...]:
    """The segments, after everything they run was compiled."""
    return tuple(
        plan_segment(name, segment, kernels.name_of, kernels.scratch_bytes) for name, segment in segments.items()
    )


def build_reference_image(segments: Mapping[str, SegmentOp], target: Target) -> Image:
    """The operations themselves, for the runtime to evaluate."""
    regions = [op for segment in segments.values() for op in segment.body.block.ops if isinstance(op, RegionOp)]
    names = {region: f"region{number}" for number, region in enumerate(regions)}
    plans = tuple(plan_segment(name, segment, names.__getitem__, lambda _: 0) for name, segment in segments.items())
    return Image(target.name, (), encode_segments(segments), {}, plans)


def plan_segment(
    name: str, segment: SegmentOp, kernel_of: Callable[[RegionOp], str], scratch_bytes_of: Callable[[str], int]
) -> Segment:
    """What the artifact says of a segment, whose regions are run by the kernels that `kernel_of` names."""
    steps = tuple(_step(op, kernel_of(op)) for op in segment.body.block.ops if isinstance(op, RegionOp))
    return Segment(
        name,
        tuple(tensor_of(value.type) for value in segment.inputs),
        tuple(tensor_of(result.type) for result in segment.outputs),
        len(segment.scalars),
        steps,
        segment.arena_bytes.value.data if segment.arena_bytes is not None else -1,
        max((scratch_bytes_of(step.kernel) for step in steps), default=0),
    )


def _step(region: RegionOp, kernel: str) -> Step:
    assert region.buffers is not None
    values: list[SSAValue] = [*region.tensors, *region.outputs]
    buffers = tuple(
        BufferReference(
            cast(Space, place.space.data), place.index.data, place.offset.data, _bytes(value), place.slot.data
        )
        for place, value in zip(region.buffers, values, strict=True)
    )
    slots = region.attributes.get(SLOTS)
    entries = cast("tuple[int, ...]", slots.get_values()) if isinstance(slots, DenseArrayBase) else ()
    scalars = sum(not isinstance(value.type, TensorType) for value in region.inputs)
    return Step(
        kernel,
        buffers,
        flops(region),
        traffic(region),
        describe(region),
        arithmetic_dtype(region),
        tuple(entries[:scalars]),
        tuple(entries[scalars:]),
    )


def _bytes(value: SSAValue) -> int:
    """-1 where a call's inputs decide the size."""
    type = tensor_of(value.type)
    return -1 if type.dynamic_dims else type.nbytes


_BACKENDS: dict[str, Backend] = {
    "cpu": build_cpu_image,
    "cuda": build_cuda_image,
    "cuda-emulator": build_cuda_image,
    "reference": build_reference_image,
}
