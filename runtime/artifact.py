"""What the compiler hands to the runtime: the plan of a program, its machine code and its constants.

These records are the whole interface between `lowering` and `runtime`. `artifact.fbs` is their form on disk and
`artifact_file.py` reads and writes it; the machine code's calling convention is in `abi.py`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, cast, get_args, overload

import numpy as np

from .errors import DeviceError
from .flatbuffer import Size as Size
from .host_program.instructions import HostProgram
from .record import record

if TYPE_CHECKING:
    from .artifact_writer import Encoded

Space = Literal["arena", "constants", "input", "output"]
SPACES: tuple[Space, ...] = get_args(Space)

ALIGNMENT = 64
"""Bytes. Arena buffers, constants and scratch start at multiples of it: one cache line, one AVX-512 register."""

SLACK = 64
"""Readable bytes that follow the arena and the constants, so that a full vector load at their end is safe."""


LARGEST = 1 << 48
"""Bytes. No buffer is larger: the user half of a 48-bit address space is smaller still."""

_MOST_DIMENSIONS = 64

DTYPES = frozenset(
    [
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "bfloat16", "float32", "float64", "complex64"),
    ]
)
"""numpy dtype names of tensors."""


@record
class BufferReference:
    """Where a dispatch finds one of its buffers: `size` bytes from `offset` on in one of the four spaces.

    `index` counts the segment's inputs or outputs; it is 0 for "arena" and "constants". With a `slot` (not -1) the
    entry of that number in the segment's scalar table is added to the offset. `size` is -1 where the program's inputs
    decide it.
    """

    STRUCT: ClassVar = struct.Struct("<B3xIQqi4x")

    space: Space
    index: int
    offset: int
    size: int
    slot: int = -1

    def to_struct(self) -> tuple[int, int, int, int, int]:
        return SPACES.index(self.space), self.index, self.offset, self.size, self.slot

    @classmethod
    def from_struct(cls, space: int, index: int, offset: int, size: int, slot: int) -> BufferReference:
        if space >= len(SPACES):
            raise ValueError(f"{space} is no buffer space")
        return cls(SPACES[space], index, offset, size, slot)


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


@record
class TensorType:
    """A dense, row-major tensor. `dtype` is a numpy dtype name such as "float32" or "bfloat16"; a size that only the
    inputs of a call decide is None."""

    dtype: str
    shape: tuple[Size, ...]

    @property
    def numpy_dtype(self) -> np.dtype:
        return numpy_dtype(self.dtype)

    @property
    def is_possible(self) -> bool:
        """Whether there can be such a tensor: the type of a damaged file need not be one."""
        known = [size for size in self.shape if size is not None]
        return (
            self.dtype in DTYPES
            and len(self.shape) <= _MOST_DIMENSIONS
            and all(0 <= size < LARGEST for size in known)
            and math.prod(known) * self.numpy_dtype.itemsize < LARGEST
        )

    @property
    def dynamic_dims(self) -> int:
        """How many sizes are not known."""
        return self.shape.count(None)

    @property
    def nbytes(self) -> int:
        """Bytes of a tensor whose sizes are all known; 0 for others."""
        return 0 if None in self.shape else math.prod(cast("tuple[int, ...]", self.shape)) * self.numpy_dtype.itemsize

    def holds(self, shape: Sequence[Size]) -> bool:
        """Whether a tensor of `shape` is one of this type, its unknown sizes being any."""
        return len(shape) == len(self.shape) and all(
            wanted is None or wanted == size for wanted, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        return f"{self.dtype}[{'x'.join('?' if size is None else str(size) for size in self.shape)}]"


@record
class TensorInfo:
    """A tensor that a program's user sees, by name."""

    name: str
    dtype: str
    shape: tuple[Size, ...]

    @property
    def type(self) -> TensorType:
        return TensorType(self.dtype, self.shape)

    @property
    def numpy_dtype(self) -> np.dtype:
        return numpy_dtype(self.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes of a tensor whose sizes are all known; 0 for others."""
        return self.type.nbytes

    @property
    def computed(self) -> TensorInfo:
        """The same bits as programs compute with them: they know no unsigned types."""
        return TensorInfo(self.name, self.dtype.removeprefix("u"), self.shape)

    def __str__(self) -> str:
        return f"{self.name}: {self.type}"


@record
class Step:
    """One dispatch of a segment, in execution order.

    kernel: name of the function in the machine code, shared by equal dispatches.
    buffers: operands first, then results.
    scalars, dims: the entries of the segment's scalar table that the kernel receives: its scalar operands, and one for
        each unknown size of its tensor operands' types and then of its results'.
    flops, bytes: arithmetic operations and memory traffic of one execution, for reports and cost models; 0 where sizes
        are unknown.
    description: for people, such as "conv_2d 1x56x56x24 x 144 f32, weights 9x32 tiles".
    dtype: numpy dtype name of what its arithmetic multiplies; a profile compares `flops` with the peak for it.
    """

    kernel: str
    buffers: tuple[BufferReference, ...]
    flops: int
    bytes: int
    description: str
    dtype: str = "float32"
    scalars: tuple[int, ...] = ()
    dims: tuple[int, ...] = ()


class StoredSteps(Sequence[Step]):
    """The steps of a segment that came from a file, read and verified when somebody asks: running a CPU needs none.

    read: returns them; raises MalformedFileError.
    """

    def __init__(self, read: Callable[[], tuple[Step, ...]]) -> None:
        self._read = read

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        return self._read()

    def verify(self) -> None:
        """Raises MalformedFileError, now rather than when a step is asked for."""
        self._steps  # noqa: B018

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        return self._steps[index]

    def __eq__(self, other: object) -> bool:
        return self._steps == (other._steps if isinstance(other, StoredSteps) else other)

    def __hash__(self) -> int:
        return hash(self._steps)


@record
class Signature:
    """One callable function of a program, as its user sees it."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    @property
    def computed(self) -> Signature:
        """The signature as programs compute it (see `TensorInfo.computed`)."""
        inputs, outputs = (tuple(each.computed for each in group) for group in (self.inputs, self.outputs))
        return Signature(self.name, inputs, outputs)


@record
class Segment:
    """Consecutive dispatches that one device runs in one call.

    name: unique in its image.
    inputs, outputs: the tensors of the call.
    scalars: the number of scalars that a call hands over. Its table of 64-bit entries holds first one for each unknown
        size of `inputs`, in order, then these.
    arena_bytes: the size of the arena, or -1 where each call says it.
    scratch_bytes: per thread, a multiple of ALIGNMENT.
    """

    name: str
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    scalars: int
    steps: Sequence[Step]
    arena_bytes: int
    scratch_bytes: int

    @property
    def table_size(self) -> int:
        return sum(type.dynamic_dims for type in self.inputs) + self.scalars


@record
class TensorMap:
    """How the tensor memory accelerator of a GPU is to see a buffer of a step: as a dense matrix it copies boxes from.

    buffer: its number among the step's buffers. dtype: numpy dtype name of the elements.
    shape: sizes, the innermost dimension last. box: those of what one copy brings to shared memory.
    swizzle: the width in bytes over which rows of a box are permuted against bank conflicts: 0 (not), 32, 64 or 128.
    """

    buffer: int
    dtype: str
    shape: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int


@record
class Launch:
    """How a kernel of a CUDA device is launched.

    kernel: what steps call it. threads: in each block. blocks: as many as are best, 0 to fill the device; any other
    number computes the same. shared_bytes: of dynamic shared memory for each block.
    tensor_maps: what the kernel receives besides addresses, one for each (see `abi.ptx_entry`).
    """

    kernel: str
    threads: int
    blocks: int
    shared_bytes: int = 0
    tensor_maps: tuple[TensorMap, ...] = ()


@record
class Image:
    """The code of one device: for a CPU, position-independent machine code without unresolved symbols.

    target: the name it was compiled for, such as "x86-64-v3".
    features: CPU features the code needs, spelled as LLVM does ("avx512vnni"); checked before the code is mapped.
        The runtime knows an "x86_64" or "aarch64" CPU by a feature of that name, which every image of one lists too.
    code: a CPU's instructions and read-only data in one block, mapped read-execute at a page boundary; what another
        kind of device runs is up to that kind.
    entries: offset in a CPU's `code` of "invoke", "worker" and one "run:NAME" per segment (see `abi`).
    segments: what the device may be asked to run.
    launches: of a CUDA device, one for each kernel.
    """

    target: str
    features: tuple[str, ...]
    code: bytes | bytearray | memoryview
    entries: Mapping[str, int]
    segments: tuple[Segment, ...]
    launches: tuple[Launch, ...] = ()


@record
class DeviceSlot:
    """A device that the program was compiled for.

    name: unique, what plans and errors call it, such as "cpu:2#1".
    kind: such as "cpu"; `threads` is 0 where the runtime decides.
    ordinal: the number of a GPU, -1 where the runtime decides.
    """

    name: str
    kind: str
    threads: int
    ordinal: int = -1


@record
class Variant:
    """The whole program for one choice of targets: targets differ in the layouts they want, and so in their steps.

    images: one per device slot. programs: one per signature.
    """

    images: tuple[Image, ...]
    programs: tuple[HostProgram, ...]


@record
class Artifact:
    """A compiled program.

    variants: best first; the first whose images the devices at hand can run is loaded. All share `constants`.
    constants: packed weights of all variants as one blob; an array passes its `.data`.
    metadata: what the program came from, for people, such as "source", "target", "compiler".
    """

    signatures: tuple[Signature, ...]
    devices: tuple[DeviceSlot, ...]
    variants: tuple[Variant, ...]
    constants: bytes | bytearray | memoryview
    metadata: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the artifact to `path`; the file appears whole or not at all. Raises OSError."""
        self.encoded().save(Path(path))

    def encoded(self) -> Encoded:
        """What a file of this artifact holds, for who writes more than one."""
        from .artifact_writer import Encoded

        return Encoded(self)

    @staticmethod
    def load(path: str | Path) -> Artifact:
        """Verify an artifact and map its constants. Raises MalformedFileError, OSError."""
        from . import artifact_file

        return artifact_file.load(Path(path))
