"""One dispatch region on its way to a kernel: the function being written, and where the region's tensors are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, cast

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import DYNAMIC_INDEX, DenseArrayBase, IndexType, IntegerAttr, TensorType
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.dialects.tensor import CollapseShapeOp, DimOp, ExpandShapeOp, ExtractOp, PadOp
from xdsl.ir import Attribute, Block, Operation, OpResult, SSAValue

from ...runtime.artifact import ALIGNMENT, TensorMap
from ...runtime.errors import UnsupportedError
from ..dialects.dispatch import RegionOp, dynamic_dims
from ..ir import LOOPLESS, constant_array, view_source
from ..target import Target
from ..targets import nvptx
from .access import Tensor
from .arithmetic import i64
from .body import Scope, constant, emit_scalar
from .emit import Function
from .extent import Extent, emit_extent, extent_of
from .sizes import Sizes
from .types import I1, I64, PTR, Value, bits_of, byte_size, is_float, memory_type, register_type


@dataclass(frozen=True)
class Kernel:
    """The LLVM function of a region, the scratch memory each thread needs, and what it is to be called with.

    `void name(ptr operands..., ptr results..., i64 scalars..., ptr scratch, i64 thread, i64 threads)`. The scalars are
    the region's scalar inputs in order, and then one size for each `?` of the types of its tensor inputs and of its
    results. A scalar is an i64 whose low bits are those of the value, whatever its type; the others do not matter.

    `grid` is set for a kernel written for a GPU, which asks the hardware which of how many threads it is.
    """

    text: str
    scratch_bytes: int
    operands: int
    results: int
    scalars: int = 0
    grid: Grid | None = None


@dataclass(frozen=True)
class Grid:
    """How a kernel written for a GPU is launched (see `artifact.Launch`)."""

    threads: int
    blocks: int
    shared_bytes: int = 0
    tensor_maps: tuple[TensorMap, ...] = ()


class KernelContext:
    """The function `name` being written for `region`.

    `inputs` and `outputs` are the buffers of the region's tensor arguments and results, `scratch` the thread's own
    memory, `thread` and `threads` (i64) say which share of the work to do. `scalars` are the region's values that are
    no tensors: arguments, sizes and what is computed from them outside of bodies. `grid` is set by what is emitted for
    a GPU.
    """

    def __init__(self, region: RegionOp, target: Target, name: str) -> None:
        self.region = region
        self.target = target
        self.grid: Grid | None = None
        tensors = [arg for arg in region.body.block.args if isinstance(arg.type, TensorType)]
        scalars = [arg for arg in region.body.block.args if not isinstance(arg.type, TensorType)]
        types = [value.type for value in [*tensors, *region.outputs]]
        parameters = [(f"ptr noalias readonly{_extent(arg.type)}", f"in{i}") for i, arg in enumerate(tensors)]
        parameters += [(f"ptr noalias{_extent(out.type)}", f"out{i}") for i, out in enumerate(region.outputs)]
        parameters += [(I64, f"scalar{i}") for i in range(len(scalars))]
        parameters += [(I64, f"size{i}") for i in range(dynamic_dims(types))]
        parameters += [(PTR + " noalias", "scratch"), (I64, "thread"), (I64, "threads")]
        self.f = Function(name, parameters, linkage="hidden")
        for argument in self.f.arguments[: len(types)]:
            argument.multiple = target.buffer_alignment
        *arguments, self.scratch, self.thread, self.threads = self.f.arguments
        pointers, rest = arguments[: len(types)], arguments[len(types) :]
        self._arguments = len(rest)
        self.scalars: dict[SSAValue, Value] = {
            arg: _from_bits(self.f, bits, arg.type) for arg, bits in zip(scalars, rest, strict=False)
        }
        self._extents: dict[SSAValue, Extent] = {}
        sizes = iter(rest[len(scalars) :])
        shapes = [
            [extent_of(next(sizes)) if s == DYNAMIC_INDEX else s for s in _type(type).get_shape()] for type in types
        ]
        self.sizes = Sizes(self.extent)
        for value, shape in zip(tensors, shapes, strict=False):
            self.sizes.define(value, shape)
        placed = [_tensor(type, shape, at) for type, shape, at in zip(types, shapes, pointers, strict=True)]
        self._tensors: dict[SSAValue, Tensor] = dict(zip(tensors, placed, strict=False))
        for operation in self.block.ops:
            self._take_up(operation)
        for value, shape in zip(region.yielded.values, shapes[len(tensors) :], strict=True):
            self.sizes.equate(value, shape)
        self.sizes.solve()
        for value, extent in self._extents.items():
            self.scalars[value] = emit_extent(self.f, *self.sizes.resolve([extent]))
        placed = [replace(tensor, shape=self.sizes.resolve(tensor.shape)) for tensor in placed]
        self.inputs, self.outputs = placed[: len(tensors)], placed[len(tensors) :]
        self._tensors = dict(zip(tensors, self.inputs, strict=True))

    def _take_up(self, operation: Operation) -> None:
        """Learns of sizes what `operation` tells; computes it if it is one on scalars."""
        if isinstance(operation, DimOp):
            dim = self.extent(operation.index)
            if not isinstance(dim, int):
                raise UnsupportedError("no code can be generated", ["tensor.dim of a dimension known only at run time"])
            self._extents[operation.result] = self.sizes.raw(operation.source)[dim]
        elif isinstance(operation, arith.AddiOp | arith.SubiOp | arith.MuliOp) and _is_index(operation.result):
            left, right = self.extent(operation.lhs), self.extent(operation.rhs)
            total = left * right if isinstance(operation, arith.MuliOp) else left + right
            self._extents[operation.result] = left - right if isinstance(operation, arith.SubiOp) else total
        elif isinstance(operation, arith.ConstantOp) or not operation.results:
            return
        elif not isinstance(operation.results[0].type, TensorType):
            for operand in operation.operands:
                if operand in self._extents:
                    self.scalars[operand] = emit_extent(self.f, *self.sizes.resolve([self._extents[operand]]))
            tensors = {operation.tensor: self.tensor(operation.tensor)} if isinstance(operation, ExtractOp) else {}
            scope = Scope(self.f, self.target, tensors=tensors, scalars=self.scalars)
            self.scalars[operation.results[0]] = emit_scalar(scope, operation)
        else:
            self.sizes.add(operation)

    @property
    def block(self) -> Block:
        return self.region.body.block

    @property
    def operations(self) -> list[Operation]:
        """The root, its pad and the trailing generic, in order."""
        return [
            op
            for op in self.block.ops
            if op.results and isinstance(op.results[0].type, TensorType) and not isinstance(op, LOOPLESS)
        ]

    @property
    def on_grid(self) -> bool:
        """Whether the threads are a GPU's."""
        return self.target.architecture == nvptx.ARCHITECTURE

    @property
    def root(self) -> Operation:
        """The operation that says what the region is; a pad in front of it is its affair."""
        return next((op for op in self.operations if not isinstance(op, PadOp)), self.operations[0])

    def extent(self, value: SSAValue) -> Extent:
        """The size that an index value of the region is."""
        if isinstance(value.owner, arith.ConstantOp) and isinstance(value.owner.value, IntegerAttr):
            return value.owner.value.value.data
        if value in self._extents:
            return self._extents[value]
        return extent_of(self.scalar(value))

    def scalar(self, value: SSAValue) -> Value:
        """The value of a scalar of the region."""
        if isinstance(value.owner, arith.ConstantOp):
            return constant(self.f, value.owner)
        if value not in self.scalars:
            raise UnsupportedError("no code can be generated", [f"{value} inside of a dispatch is not known"])
        return self.scalars[value]

    def extents(self, static: DenseArrayBase[Any], dynamic: Sequence[SSAValue]) -> tuple[Extent, ...]:
        """Offsets, sizes or strides of an operation, of which some are operands."""
        return self.sizes.resolve(self.sizes.mixed(static, dynamic))

    def shape(self, value: SSAValue) -> tuple[Extent, ...]:
        """The shape of any tensor of the region."""
        return self.sizes.shape(value)

    def place(self, value: SSAValue, pointer: Value) -> Tensor:
        """Says that an intermediate tensor lies at `pointer`."""
        self._tensors[value] = _tensor(value.type, self.shape(value), pointer)
        return self._tensors[value]

    def tensor(self, value: SSAValue) -> Tensor:
        """The buffer that holds `value`; views share that of their source, fills and scalars are in no buffer."""
        if value not in self._tensors:
            self._tensors[value] = self._derive(value)
        return self._tensors[value]

    def _derive(self, value: SSAValue) -> Tensor:
        operation = value.op if isinstance(value, OpResult) else None
        if not isinstance(value.type, TensorType):
            return Tensor(Value(PTR, "null"), (), value.type, self.scalar(value))
        if isinstance(operation, CollapseShapeOp | ExpandShapeOp):
            return replace(self.tensor(operation.src), shape=self.shape(value))
        if isinstance(operation, FillOp):
            return _tensor(value.type, self.shape(value), Value(PTR, "null"), self.scalar(operation.inputs[0]))
        array = constant_array(value)
        if array is not None:
            return self._constant_tensor(value, array)
        raise UnsupportedError("no code can be generated", [f"{value} inside of a dispatch is not in memory"])

    def _constant_tensor(self, value: SSAValue, array: np.ndarray[Any, Any]) -> Tensor:
        table = self.f.table(memory_type(_type(value.type).get_element_type()), array.reshape(-1).tolist())
        return _tensor(value.type, array.shape, table)

    def results_of(self, operation: Operation) -> list[list[Tensor]]:
        """For each result of `operation` the outputs that it is yielded to."""
        yielded = list(zip(self.region.yielded.values, self.outputs, strict=True))
        return [[out for value, out in yielded if view_source(value) is result] for result in operation.results]

    def extracted_tensors(self, generic: GenericOp) -> dict[SSAValue, Tensor]:
        """The tensors that the body of `generic` reads by `tensor.extract`."""
        extracts = (op for op in generic.body.block.ops if isinstance(op, ExtractOp))
        return {op.tensor: self.tensor(op.tensor) for op in extracts}

    def share(self, total: Extent, grain: int = 1, *, divide: bool | Value = True) -> tuple[Value, Value]:
        """This thread's part [begin, end) of range(total), in multiples of `grain`; all of it on thread 0 if not
        `divide`, which small work should not be: waking to it costs other threads more than doing it saves.

        `divide` may be an i1 where the work is known only at run time.
        """
        f = self.f
        if isinstance(total, int) and not isinstance(divide, Value):
            return self._share_known(total, grain, divide=divide)
        size, threads = emit_extent(f, total), self.threads
        if isinstance(divide, Value):
            threads = f.select(divide, threads, i64(1))
        elif not divide:
            threads = i64(1)
        units = f.udiv(f.add(size, i64(grain - 1)), i64(grain))
        begin = f.udiv(f.mul(self.thread, units), threads)
        end = f.udiv(f.mul(f.add(self.thread, i64(1)), units), threads)
        return f.min(f.mul(begin, i64(grain)), size), f.min(f.mul(end, i64(grain)), size)

    def _share_known(self, total: int, grain: int, *, divide: bool) -> tuple[Value, Value]:
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
        scratch_bytes = -(-scratch_bytes // ALIGNMENT) * ALIGNMENT
        return Kernel(self.f.text(), scratch_bytes, len(self.inputs), len(self.outputs), self._arguments, self.grid)


def _from_bits(f: Function, bits: Value, type: Attribute) -> Value:
    """A scalar argument as its own type."""
    register = register_type(type)
    if register == I1:
        return f.icmp("ne", f.and_(bits, i64(1)), i64(0))
    narrow = f.cast("trunc", bits, f"i{bits_of(register)}")
    return f.bitcast(narrow, register) if is_float(register) else narrow


def _is_index(value: SSAValue) -> bool:
    return isinstance(value.type, IndexType)


def _type(type: Attribute) -> TensorType[Attribute]:
    return cast("TensorType[Attribute]", type)


def _tensor(type: Attribute, shape: Sequence[Extent], pointer: Value, fill: Value | None = None) -> Tensor:
    return Tensor(pointer, tuple(shape), _type(type).get_element_type(), fill)


def _extent(type: Attribute) -> str:
    """Lets LLVM load from the buffer ahead of a branch."""
    size = byte_size(_type(type).get_element_type()) * prod(_type(type).get_shape())
    return f" dereferenceable({size})" if size > 0 and not dynamic_dims([type]) else ""
