"""What the compiler hands to the runtime: the plan of a program, its machine code and its constants.

These records are the whole interface between `lowering` and `runtime`. `artifact.fbs` is their form on disk and
`artifact_file.py` reads and writes it; the machine code's calling convention is in `abi.py`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np

from .errors import DeviceError

Space = Literal["arena", "constants", "input", "output"]
SPACES: tuple[Space, ...] = get_args(Space)

ALIGNMENT = 64
"""Bytes. Arena buffers, constants and scratch start at multiples of it: one cache line, one AVX-512 register."""

SLACK = 64
"""Readable bytes that follow the arena and the constants, so that a full vector load at their end is safe."""


@dataclass(frozen=True, slots=True)
class BufferReference:
    """Where a dispatch finds one of its buffers: `size` bytes from `offset` on in one of the four spaces.

    `index` counts the signature's inputs or outputs; it is 0 for "arena" and "constants".
    """

    STRUCT: ClassVar = struct.Struct("<B3xIQQ")

    space: Space
    index: int
    offset: int
    size: int

    def to_struct(self) -> tuple[int, int, int, int]:
        return SPACES.index(self.space), self.index, self.offset, self.size

    @classmethod
    def from_struct(cls, space: int, index: int, offset: int, size: int) -> BufferReference:
        if space >= len(SPACES):
            raise ValueError(f"{space} is no buffer space")
        return cls(SPACES[space], index, offset, size)


def numpy_dtype(name: str) -> np.dtype:
    """The dtype that TensorInfo.dtype names. "bfloat16" comes from ml_dtypes, imported only then.

    Raises DeviceError where that package is not installed.
    """
    if name == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            raise DeviceError("the program has bfloat16 tensors: they need the Python package ml_dtypes") from None
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


@dataclass(frozen=True)
class TensorInfo:
    """A user-visible tensor: dense, row-major. `dtype` is a numpy dtype name such as "float32" or "bfloat16"."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def numpy_dtype(self) -> np.dtype:
        return numpy_dtype(self.dtype)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.numpy_dtype.itemsize

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{'x'.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Step:
    """One dispatch of the plan, in execution order.

    kernel: name of the function in the machine code, shared by equal dispatches.
    buffers: operands first, then results.
    device: the device the step runs on, such as "cpu".
    flops, bytes: arithmetic operations and memory traffic of one execution, for reports and cost models.
    description: for people, such as "conv_2d 1x56x56x24 x 144 f32, weights 9x32 tiles".
    dtype: numpy dtype name of what its arithmetic multiplies; a profile compares `flops` with the peak for it.
    """

    kernel: str
    buffers: tuple[BufferReference, ...]
    device: str
    flops: int
    bytes: int
    description: str
    dtype: str = "float32"


@dataclass(frozen=True)
class Signature:
    """One callable function of a program, as its user sees it."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass(frozen=True)
class Plan:
    """How one image computes a signature: targets differ in the layouts they want, and so in their steps.

    signature: the name of the signature it belongs to.
    scratch_bytes: per thread, a multiple of ALIGNMENT.
    """

    signature: str
    steps: tuple[Step, ...]
    arena_bytes: int
    scratch_bytes: int


@dataclass(frozen=True)
class Image:
    """Position-independent machine code for one target, without unresolved symbols.

    target: the name it was compiled for, such as "x86-64-v3".
    features: CPU features the code needs, spelled as LLVM does ("avx512vnni"); checked before the code is mapped.
        The runtime knows an "x86_64" or "aarch64" CPU by a feature of that name, which every image lists too.
    code: instructions and read-only data in one block. It is mapped read-execute at a page boundary.
    entries: offset in `code` of "invoke", "worker" and one "run:NAME" per signature (see `abi`).
    plans: one per signature, what "run:NAME" does.
    """

    target: str
    features: tuple[str, ...]
    code: bytes | bytearray | memoryview
    entries: Mapping[str, int]
    plans: tuple[Plan, ...]

    def plan(self, signature: str) -> Plan:
        """The plan of the signature of that name, which a verified image has."""
        return next(plan for plan in self.plans if plan.signature == signature)


@dataclass(frozen=True)
class Artifact:
    """A compiled program.

    images: one per ISA level, best first; all share `constants`.
    constants: packed weights of all signatures as one blob; an array passes its `.data`.
    metadata: what the program came from. The runtime reads "devices" (the default, such as "cpu:2"); the rest is
        for people, such as "source", "target", "compiler".
    """

    signatures: tuple[Signature, ...]
    images: tuple[Image, ...]
    constants: bytes | bytearray | memoryview
    metadata: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the artifact to `path`; the file appears whole or not at all. Raises OSError."""
        from . import artifact_file

        artifact_file.save(self, Path(path))

    @staticmethod
    def load(path: str | Path) -> Artifact:
        """Map and verify an artifact; code and constants view the mapping. Raises MalformedFileError, OSError."""
        from . import artifact_file

        return artifact_file.load(Path(path))
