"""The instructions of host programs.

Registers hold scalars or tensors and are numbered from 0. A scalar's type is spelled as in MLIR: "index", "i1", "i64",
"f32". A block lists its instructions in order; what it yields goes to the instruction that entered it, or, from the
first block, to the caller. Blocks are entered only by instructions of blocks before them, so that none enters itself.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

from ..flatbuffer import Size
from ..record import record

Register: TypeAlias = int
Registers: TypeAlias = tuple[int, ...]

NONE = -1
"""In place of a register that an instruction does without."""


@record
class Constant:
    """A tensor that lies `offset` bytes into the artifact's constants."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    result: Register


@record
class Number:
    """A scalar: an integer's value, or a float's bits."""

    type: str
    value: int
    result: Register


@record
class Scalar:
    """An operation of arith or math, by its name in MLIR, on scalars.

    of: the type of the operands (of a select, of what is chosen from). predicate: that of a comparison.
    """

    name: str
    operands: Registers
    of: str
    type: str
    result: Register
    predicate: int = 0


@record
class Dim:
    """The size of a dimension, of type index."""

    tensor: Register
    dimension: int
    result: Register


@record
class Reshape:
    """The elements of a tensor in another shape: `shape`, its unknown sizes from `dims` in order.

    Raises ArgumentError where that is another number of elements, naming `where`.
    """

    tensor: Register
    shape: tuple[Size, ...]
    dims: Registers
    result: Register
    where: str


@record
class Slice:
    """The part from `offset` on, `size` long, of a tensor along `axis`, in front of which all sizes are 1.

    Its shape is given as that of a Reshape. Nothing is copied. Raises ArgumentError, naming `where`, for a part that
    reaches outside.
    """

    tensor: Register
    axis: int
    offset: Register
    size: Register
    shape: tuple[Size, ...]
    dims: Registers
    result: Register
    where: str


@record
class Concat:
    """Tensors behind each other along `axis`; `shape` as that of a Reshape.

    What devices compute is written to its place in the whole at once where that is contiguous. Raises ArgumentError,
    naming `where`, for tensors that do not fit.
    """

    tensors: Registers
    axis: int
    shape: tuple[Size, ...]
    dims: Registers
    result: Register
    where: str


@record
class Extract:
    """One element of a tensor. Raises ArgumentError, naming `where`, for an index outside of it."""

    tensor: Register
    indices: Registers
    type: str
    result: Register
    where: str


@record
class FromElements:
    """A tensor of scalars, in row-major order."""

    dtype: str
    shape: tuple[int, ...]
    elements: Registers
    result: Register


@record
class Execute:
    """Run segment number `segment` of the image of device slot `device`.

    scalars: what follows the sizes of the inputs in the call's table.
    dims: one size for each unknown one of the outputs' types, in order.
    arena_bytes: the size of the arena, or NONE where the segment knows it.
    """

    device: int
    segment: int
    inputs: Registers
    scalars: Registers
    dims: Registers
    arena_bytes: Register
    results: Registers


@record
class Transfer:
    """Bring a tensor to the memory of device slot `device`; free where it is there already."""

    tensor: Register
    device: int
    result: Register


@record
class Check:
    """Raise ArgumentError with `message` unless the i1 `condition` holds; "{}" in it are the values of `operands`."""

    condition: Register
    operands: Registers
    message: str


@record
class For:
    """scf.for: block number `block` takes the induction variable and the carried values, and yields the next ones."""

    lower: Register
    upper: Register
    step: Register
    inits: Registers
    block: int
    results: Registers
    where: str


@record
class If:
    """scf.if: one of two blocks, which take nothing, yields the results."""

    condition: Register
    then: int
    otherwise: int
    results: Registers


@record
class While:
    """scf.while: `before` takes the carried values and yields an i1 and the results; as long as it holds, `after` takes
    them and yields the next carried values."""

    inits: Registers
    before: int
    after: int
    results: Registers


Instruction: TypeAlias = (
    Constant
    | Number
    | Scalar
    | Dim
    | Reshape
    | Slice
    | Concat
    | Extract
    | FromElements
    | Execute
    | Transfer
    | Check
    | For
    | If
    | While
)
INSTRUCTIONS: tuple[type, ...] = get_args(Instruction)


@record
class Block:
    """Instructions in order. `arguments` receive what the block is entered with."""

    arguments: Registers
    instructions: tuple[Instruction, ...]
    yields: Registers


@record
class HostProgram:
    """How one signature is computed: the first block takes its inputs and yields its outputs.

    registers: their number.
    """

    signature: str
    registers: int
    blocks: tuple[Block, ...]
