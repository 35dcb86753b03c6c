"""What must hold of an artifact's records before its code may run.

Structure and hashes are `artifact_file`'s part; these checks are about meaning, and hold for artifacts that come
straight from the compiler as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import abi
from .artifact import ALIGNMENT, Artifact, BufferReference, Image, Plan, Signature, TensorInfo
from .errors import MalformedFileError

DTYPES = frozenset(
    [
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "bfloat16", "float32", "float64", "complex64"),
    ]
)

_LIMIT = 1 << 48
"""Bytes. No buffer is larger: the user half of a 48-bit address space is smaller still."""


def verify(artifact: Artifact) -> None:
    """Check every name, size, offset and reference. Raises MalformedFileError naming the first that is wrong."""
    _require(bool(artifact.signatures), "there is no signature")
    _require_unique((s.name for s in artifact.signatures), "signature")
    for signature in artifact.signatures:
        _verify_signature(signature)
    for image in artifact.images:
        _verify_image(image, artifact.signatures, memoryview(artifact.constants).nbytes)


def _verify_signature(signature: Signature) -> None:
    where = f"signature {signature.name!r}"
    _require_unique((t.name for t in signature.inputs), f"{where}: input")
    _require_unique((t.name for t in signature.outputs), f"{where}: output")
    for tensor in (*signature.inputs, *signature.outputs):
        _verify_tensor(tensor, where)


def _verify_tensor(tensor: TensorInfo, where: str) -> None:
    _require(tensor.dtype in DTYPES, f"{where}: tensor {tensor.name!r} has the unknown dtype {tensor.dtype!r}")
    _require(
        len(tensor.shape) <= 64 and all(0 <= size < _LIMIT for size in tensor.shape) and tensor.nbytes < _LIMIT,
        f"{where}: tensor {tensor.name!r} has the impossible shape {tensor.shape}",
    )


def _verify_buffer(buffer: BufferReference, sizes: tuple[int, ...], where: str) -> None:
    _require(
        0 <= buffer.index < len(sizes),
        f"{where} uses {buffer.space} {buffer.index}, of {len(sizes)}",
    )
    size = sizes[buffer.index]
    _require(
        min(buffer.offset, buffer.size) >= 0 and buffer.offset + buffer.size <= size,
        f"{where} uses bytes {buffer.offset}..{buffer.offset + buffer.size} of the {size} bytes of its {buffer.space}",
    )


def _verify_image(image: Image, signatures: tuple[Signature, ...], constant_bytes: int) -> None:
    where = f"image {image.target!r}"
    expected = {abi.INVOKE, abi.WORKER, *(abi.run_entry(s.name) for s in signatures)}
    missing = sorted(expected - image.entries.keys())
    _require(not missing, f"{where} lacks the entry {', '.join(map(repr, missing))}")
    size = memoryview(image.code).nbytes
    for name, offset in image.entries.items():
        _require(0 <= offset < size, f"{where}: entry {name!r} at {offset} lies outside of its {size} bytes of code")
    planned, named = [plan.signature for plan in image.plans], [signature.name for signature in signatures]
    _require(sorted(planned) == sorted(named), f"{where} has plans for {planned}; the signatures are {named}")
    for signature in signatures:
        _verify_plan(image.plan(signature.name), signature, constant_bytes, f"{where}: plan of {signature.name!r}")


def _verify_plan(plan: Plan, signature: Signature, constant_bytes: int, where: str) -> None:
    for name, size in (("arena", plan.arena_bytes), ("scratch", plan.scratch_bytes)):
        _require(0 <= size < _LIMIT, f"{where}: {size} bytes of {name}")
    _require(
        plan.scratch_bytes % ALIGNMENT == 0,
        f"{where}: {plan.scratch_bytes} bytes of scratch, no multiple of {ALIGNMENT}",
    )
    sizes = {
        "arena": (plan.arena_bytes,),
        "constants": (constant_bytes,),
        "input": tuple(t.nbytes for t in signature.inputs),
        "output": tuple(t.nbytes for t in signature.outputs),
    }
    for number, step in enumerate(plan.steps):
        for buffer in step.buffers:
            _verify_buffer(buffer, sizes[buffer.space], f"{where}: step {number} ({step.kernel})")


def _require_unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        _require(name not in seen, f"{what} {name!r} occurs twice")
        seen.add(name)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise MalformedFileError(problem)
