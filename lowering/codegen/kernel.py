"""One dispatch region on its way to a kernel: the function being written, and where the region's tensors are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import CollapseShapeOp, ExpandShapeOp, ExtractOp
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

from ...runtime.errors import UnsupportedError
from ..dialects.dispatch import RegionOp
from ..ir import LOOPLESS, constant_array, view_source
from ..target import Target
from .access import Tensor
from .arithmetic import i64
from .body import constant
from .emit import Function
from .types import I64, PTR, Value, memory_type


@dataclass(frozen=True)
class Kernel:
    """The LLVM function of a region, the scratch memory each thread needs, and how many buffers it reads and writes.

    `void name(operands..., results..., ptr scratch, i64 thread, i64 threads)`, all buffers being pointers.
    """

    text: str
    scratch_bytes: int
    operands: int
    results: int


class KernelContext:
    """The function `name` being written for `region`.

    `inputs` and `outputs` are the buffers of the region's arguments and results, `scratch` the thread's own memory,
    `thread` and `threads` (i64) say which share of the work to do.
    """

    def __init__(self, region: RegionOp, target: Target, name: str) -> None:
        self.region = region
        self.target = target
        block = region.body.block
        parameters = [(f"ptr noalias readonly{_extent(arg.type)}", f"in{i}") for i, arg in enumerate(block.args)]
        parameters += [(f"ptr noalias{_extent(out.type)}", f"out{i}") for i, out in enumerate(region.outputs)]
        parameters += [(PTR + " noalias", "scratch"), (I64, "thread"), (I64, "threads")]
        self.f = Function(name, parameters, linkage="hidden")
        *buffers, self.scratch, self.thread, self.threads = self.f.arguments
        values = [*block.args, *region.yielded.values]
        placed = [_tensor(value.type, pointer) for value, pointer in zip(values, buffers, strict=True)]
        self.inputs = placed[: len(block.args)]
        self.outputs = placed[len(block.args) :]
        self._tensors: dict[SSAValue, Tensor] = dict(zip(block.args, self.inputs, strict=True))

    @property
    def block(self) -> Block:
        return self.region.body.block

    @property
    def operations(self) -> list[Operation]:
        """The root, its pad and the trailing generic, in order."""
        return [op for op in self.block.ops if op.results and not isinstance(op, LOOPLESS)]

    def place(self, value: SSAValue, pointer: Value) -> Tensor:
        """Says that an intermediate tensor lies at `pointer`."""
        self._tensors[value] = _tensor(value.type, pointer)
        return self._tensors[value]

    def tensor(self, value: SSAValue) -> Tensor:
        """The buffer that holds `value`; views share that of their source, fills are a scalar in no buffer."""
        if value not in self._tensors:
            self._tensors[value] = self._derive(value)
        return self._tensors[value]

    def _derive(self, value: SSAValue) -> Tensor:
        operation = value.op if isinstance(value, OpResult) else None
        if isinstance(operation, CollapseShapeOp | ExpandShapeOp):
            source = self.tensor(operation.src)
            return Tensor(source.pointer, _tensor(value.type, source.pointer).shape, source.element, source.fill)
        if isinstance(operation, FillOp) and isinstance(operation.inputs[0].owner, ConstantOp):
            scalar = constant(self.f, operation.inputs[0].owner)
            empty = _tensor(value.type, Value(PTR, "null"))
            return Tensor(empty.pointer, empty.shape, empty.element, scalar)
        array = constant_array(value)
        if array is not None:
            return self._constant_tensor(value, array)
        raise UnsupportedError("no code can be generated", [f"{value} inside of a dispatch is not in memory"])

    def _constant_tensor(self, value: SSAValue, array: np.ndarray[Any, Any]) -> Tensor:
        element = cast("TensorType[Attribute]", value.type).get_element_type()
        return _tensor(value.type, self.f.table(memory_type(element), array.reshape(-1).tolist()))

    def results_of(self, operation: Operation) -> list[list[Tensor]]:
        """For each result of `operation` the outputs that it is yielded to."""
        yielded = list(zip(self.region.yielded.values, self.outputs, strict=True))
        return [[out for value, out in yielded if view_source(value) is result] for result in operation.results]

    def extracted_tensors(self, generic: GenericOp) -> dict[SSAValue, Tensor]:
        """The tensors that the body of `generic` reads by `tensor.extract`."""
        extracts = (op for op in generic.body.block.ops if isinstance(op, ExtractOp))
        return {op.tensor: self.tensor(op.tensor) for op in extracts}

    def share(self, total: int, grain: int = 1, *, divide: bool = True) -> tuple[Value, Value]:
        """This thread's part [begin, end) of range(total), in multiples of `grain`; all of it on thread 0 if not
        `divide`, which small work should not be: waking to it costs other threads more than doing it saves."""
        f = self.f
        units = -(-total // grain)
        if not divide or units == 1:
            first = f.icmp("eq", self.thread, i64(0))
            return i64(0), f.select(first, i64(total), i64(0))
        begin = f.udiv(f.mul(self.thread, i64(units)), self.threads)
        end = f.udiv(f.mul(f.add(self.thread, i64(1)), i64(units)), self.threads)
        if grain == 1:
            return begin, end
        return f.mul(begin, i64(grain)), f.min(f.mul(end, i64(grain)), i64(total))

    def finish(self, scratch_bytes: int = 0) -> Kernel:
        return Kernel(self.f.text(), scratch_bytes, len(self.inputs), len(self.outputs))


def _tensor(type: Attribute, pointer: Value) -> Tensor:
    tensor = cast("TensorType[Attribute]", type)
    return Tensor(pointer, tuple(tensor.get_shape()), tensor.get_element_type())


def _extent(type: Attribute) -> str:
    """Lets LLVM load from the buffer ahead of a branch."""
    size = _tensor(type, Value(PTR, "null")).nbytes
    return f" dereferenceable({size})" if size > 0 else ""
