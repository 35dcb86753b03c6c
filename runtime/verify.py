"""What must hold of an artifact's records before its code may run.

Structure and hashes are `artifact_file`'s part; these checks are about meaning, and hold for artifacts that come
straight from the compiler as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import abi
from .artifact import (
    ALIGNMENT,
    LARGEST,
    Artifact,
    BufferReference,
    Image,
    Launch,
    Segment,
    Signature,
    Step,
    StoredSteps,
    TensorType,
    Variant,
)
from .errors import MalformedFileError
from .host_program.verification import verify_program

_MOST_SCALARS = 1 << 20
"""Entries of a call's table."""

_MOST_THREADS, _MOST_BLOCKS, _MOST_SHARED, _MOST_BOX = 1024, 2**31 - 1, 227 * 1024, 256
"""Of a block, a grid, bytes of a block of compute capability 9.0, and of a box (CUDA programming guide, appendix)."""

MACHINE_CODE = "cpu"
"""The kind of device whose images are machine code with entries."""


def verify(artifact: Artifact) -> None:
    """Check every name, size, offset and reference. Raises MalformedFileError naming the first that is wrong."""
    _require(bool(artifact.signatures), "there is no signature")
    _require_unique((s.name for s in artifact.signatures), "signature")
    for signature in artifact.signatures:
        _verify_signature(signature)
    _require(bool(artifact.devices), "there is no device")
    _require_unique((slot.name for slot in artifact.devices), "device")
    for variant in artifact.variants:
        _verify_variant(variant, artifact)


def _verify_signature(signature: Signature) -> None:
    where = f"signature {signature.name!r}"
    _require_unique((t.name for t in signature.inputs), f"{where}: input")
    _require_unique((t.name for t in signature.outputs), f"{where}: output")
    for tensor in (*signature.inputs, *signature.outputs):
        _require(tensor.type.is_possible, f"{where}: tensor {tensor.name!r} has the impossible type {tensor.type}")


def _verify_variant(variant: Variant, artifact: Artifact) -> None:
    images, slots = variant.images, artifact.devices
    _require(len(images) == len(slots), f"a variant has {len(images)} images for {len(slots)} devices")
    constant_bytes = memoryview(artifact.constants).nbytes
    for image, slot in zip(images, slots, strict=True):
        _verify_image(image, slot.kind == MACHINE_CODE, constant_bytes)
    planned, named = [program.signature for program in variant.programs], [s.name for s in artifact.signatures]
    _require(planned == named, f"a variant has programs for {planned}; the signatures are {named}")
    for program, signature in zip(variant.programs, artifact.signatures, strict=True):
        verify_program(program, signature, variant, constant_bytes)


def _verify_image(image: Image, is_machine_code: bool, constant_bytes: int) -> None:
    where = f"image {image.target!r}"
    _require_unique((segment.name for segment in image.segments), f"{where}: segment")
    if is_machine_code:
        expected = {abi.INVOKE, abi.WORKER, *(abi.run_entry(segment.name) for segment in image.segments)}
        missing = sorted(expected - image.entries.keys())
        _require(not missing, f"{where} lacks the entry {', '.join(map(repr, missing))}")
    size = memoryview(image.code).nbytes
    for name, offset in image.entries.items():
        _require(0 <= offset < size, f"{where}: entry {name!r} at {offset} lies outside of its {size} bytes of code")
    for segment in image.segments:
        _verify_segment(segment, f"{where}: segment {segment.name!r}")
        if not isinstance(segment.steps, StoredSteps):
            verify_steps(segment, segment.steps, constant_bytes, where)
        elif not is_machine_code:
            segment.steps.verify()
    _require_unique((launch.kernel for launch in image.launches), f"{where}: launch of")
    for launch in image.launches:
        _verify_launch(launch, f"{where}: the launch of {launch.kernel!r}")


def _verify_launch(launch: Launch, where: str) -> None:
    _require(0 < launch.threads <= _MOST_THREADS, f"{where} has {launch.threads} threads in a block")
    _require(0 <= launch.blocks <= _MOST_BLOCKS, f"{where} has {launch.blocks} blocks")
    _require(0 <= launch.shared_bytes <= _MOST_SHARED, f"{where} wants {launch.shared_bytes} bytes of shared memory")
    for map in launch.tensor_maps:
        _require(
            TensorType(map.dtype, map.shape).is_possible
            and len(map.box) == len(map.shape)
            and all(0 < size <= _MOST_BOX for size in map.box)
            and map.swizzle in (0, 32, 64, 128)
            and map.buffer >= 0,
            f"{where} has an impossible tensor map of {map.dtype} {map.shape}, boxes of {map.box}",
        )


def _verify_segment(segment: Segment, where: str) -> None:
    for type in (*segment.inputs, *segment.outputs):
        _require(type.is_possible, f"{where} has the impossible type {type}")
    _require(0 <= segment.scalars <= _MOST_SCALARS, f"{where} takes {segment.scalars} scalars")
    _require(-1 <= segment.arena_bytes < LARGEST, f"{where}: {segment.arena_bytes} bytes of arena")
    _require(
        0 <= segment.scratch_bytes < LARGEST and segment.scratch_bytes % ALIGNMENT == 0,
        f"{where}: {segment.scratch_bytes} bytes of scratch, no multiple of {ALIGNMENT}",
    )


def verify_steps(segment: Segment, steps: Sequence[Step], constant_bytes: int, where: str) -> None:
    """Check the steps of a verified segment, of an image called `where`. Raises MalformedFileError."""
    unknown = -1
    sizes = {
        "arena": (segment.arena_bytes,),
        "constants": (constant_bytes,),
        "input": tuple(unknown if type.dynamic_dims else type.nbytes for type in segment.inputs),
        "output": tuple(unknown if type.dynamic_dims else type.nbytes for type in segment.outputs),
    }
    for number, step in enumerate(steps):
        place = f"{where}: segment {segment.name!r}: step {number} ({step.kernel})"
        _verify_step(step, sizes, segment.table_size, place)


def _verify_step(step: Step, sizes: dict[str, tuple[int, ...]], table_size: int, where: str) -> None:
    for entry in (*step.scalars, *step.dims, *(buffer.slot for buffer in step.buffers if buffer.slot != -1)):
        _require(0 <= entry < table_size, f"{where} reads entry {entry} of a table of {table_size}")
    for buffer in step.buffers:
        _verify_buffer(buffer, sizes[buffer.space], where)


def _verify_buffer(buffer: BufferReference, sizes: tuple[int, ...], where: str) -> None:
    """`sizes` of the space, -1 where a call decides. A view may forget sizes that its source's type knows."""
    _require(
        0 <= buffer.index < len(sizes),
        f"{where} uses {buffer.space} {buffer.index}, of {len(sizes)}",
    )
    size, end = sizes[buffer.index], buffer.offset + buffer.size
    _require(
        buffer.offset >= 0 and buffer.size >= -1 and end < LARGEST,
        f"{where} uses {buffer.size} bytes at {buffer.offset} of its {buffer.space}",
    )
    decided_by_call = -1 in (size, buffer.size)
    if decided_by_call and buffer.space != "constants" and (size == -1 or buffer.offset <= size):
        return
    _require(
        buffer.slot == -1 and buffer.size >= 0 and end <= size,
        f"{where} uses bytes {buffer.offset}..{end} of the {size} bytes of its {buffer.space}",
    )


def _require_unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        _require(name not in seen, f"{what} {name!r} occurs twice")
        seen.add(name)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise MalformedFileError(problem)
