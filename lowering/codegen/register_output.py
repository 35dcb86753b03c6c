"""From the sums of a tile in registers to the results of a region, where little is done with them.

Storing sums, loading them again and counting the loop over them takes about two cycles a register, beside k / k0 for
multiplying: 4 to 10 % of the time up to some 32 steps. So where the body is a few operations on floats its code follows
the multiplications, once for every register of the tile. Requantisation gains nothing by it: it is bound by the same
ports as the multiplications, and the loop over sums in memory lets more of both go on at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from xdsl.dialects import arith
from xdsl.dialects.linalg.ops import YieldOp

from ..target import Target
from .arithmetic import i64
from .emit import Function
from .epilogue import Epilogue
from .microkernel import Microkernel
from .product import narrow
from .tile_output import TileOutput
from .types import I64, Value, is_float

_MOST_STEPS = 96
"""Steps from which on too little is gained for the code that it takes."""
_MOST_OPERATIONS = 8
"""Of a body: more need registers of their own."""
_SHORT = (
    *(arith.AddfOp, arith.SubfOp, arith.MulfOp, arith.MaximumfOp, arith.MinimumfOp, arith.MaxnumfOp, arith.MinnumfOp),
    *(arith.TruncFOp, arith.ExtFOp, YieldOp),
)


def is_short(target: Target, epilogue: Epilogue) -> bool:
    """Whether code for each register of a tile of floats is short enough."""
    body = epilogue.generic.body.block.ops if epilogue.generic is not None else ()
    operations = [op for op in body if not isinstance(op, arith.ConstantOp)]
    few = len(operations) <= _MOST_OPERATIONS and all(isinstance(op, _SHORT) for op in operations)
    return target.avx512 and few and not epilogue.context.scalars


def buffers_of(epilogue: Epilogue) -> list[Value]:
    """The addresses of what the body reads and writes."""
    pointers = (access.tensor.pointer for access in epilogue.accesses if access.tensor.fill is None)
    return list({pointer.text: pointer for pointer in pointers if pointer.text.startswith("%")}.values())


def parameters_of(names: Sequence[str], buffers: Sequence[Value]) -> list[tuple[str, str]]:
    """Of the function of a tile: indices, and buffers by the names that the body knows them by."""
    return [*((I64, f"finish_{name}") for name in names), *(("ptr noalias", buffer.text[1:]) for buffer in buffers)]


@dataclass(frozen=True)
class RegisterOutput:
    """Finishes tiles of `kernel` as `output`, of `n` columns, does those in memory.

    Buffers whose addresses are no arguments of the kernel are `others`: what the body knows them as, and the address.
    """

    kernel: Microkernel
    output: TileOutput
    n: int
    others: Mapping[str, Value] = field(default_factory=dict)

    @staticmethod
    def of(kernel: Microkernel, m: int, steps: int, output: TileOutput) -> RegisterOutput | None:
        """For `m` rows and `steps` steps in one go; None where it does not pay, or not work."""
        epilogue = output.epilogue
        if not (is_short(output.target, epilogue) and steps <= _MOST_STEPS):
            return None
        if not is_float(output.accumulator) or output.lanes != kernel.product.lanes or output.lanes == 1:
            return None
        if not isinstance(output.n, int) or not epilogue.rows_are_linear:
            return None
        # Rows that are finished twice must not read what finishing has overwritten.
        if epilogue.reads_rows and m % kernel.m0:
            return None
        return RegisterOutput(kernel, output, output.n)

    @cached_property
    def _buffers(self) -> list[Value]:
        return buffers_of(self.output.epilogue)

    @property
    def parameters(self) -> Sequence[tuple[str, str]]:
        return parameters_of(("batch", "row", "panel"), self._buffers)

    def arguments(self, batch: Value, row: Value, panel: Value) -> list[Value]:
        """What is passed for `parameters`."""
        return [batch, row, panel, *(self.others.get(pointer.text, pointer) for pointer in self._buffers)]

    def emit(self, f: Function, sums: Sequence[Value]) -> None:
        """Finishes the registers of a tile, row by row."""
        output, lanes = self.output, self.output.lanes
        batch, row, panel = (Value(I64, f"%finish_{name}") for name in ("batch", "row", "panel"))
        first = i64(0) if self.n <= output.n0 else f.mul(panel, i64(output.n0))
        vectors = output.n0 // lanes
        for vector in range(vectors):
            column, mask = f.add(first, i64(vector * lanes)), None
            if column.constant is not None and column.constant >= self.n:
                break
            if self.n % lanes or (self.n % output.n0 and self.n > output.n0):
                left = f.max(f.sub(i64(self.n), column), i64(0))
                mask = f.tail_mask(f.min(left, i64(lanes)), lanes)
            for line in range(self.kernel.m0):
                value = narrow(f, output.target, sums[line * vectors + vector], output.result)
                indices = output.indices(f, batch, f.add(row, i64(line)), column)
                output.epilogue.emit(f, indices, value, mask)
