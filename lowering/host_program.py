"""What surrounds the segments of a function becomes a host program (see `tosaic.runtime.host_program`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from xdsl.dialects import arith, func, scf
from xdsl.dialects.builtin import DYNAMIC_INDEX, FloatAttr, IntegerAttr, TensorType
from xdsl.dialects.tensor import (
    CollapseShapeOp,
    ConcatOp,
    DimOp,
    ExpandShapeOp,
    ExtractOp,
    ExtractSliceOp,
    FromElementsOp,
)
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.ir import Block as IRBlock

from ..runtime.artifact import Size
from ..runtime.artifact import TensorType as Type
from ..runtime.errors import UnsupportedError
from ..runtime.host_program import instructions as host
from ..runtime.host_program.verification import MOST_NESTED
from ..tosa.dialect import ConstOp
from ..tosa.elements import numpy_dtype
from .dialects.device import TransferOp
from .dialects.dispatch import CheckOp, SegmentOp
from .ir import host_blocks, shape_of
from .plan_memory import OFFSET
from .plan_memory.aliases import contiguous_axis
from .sizes import Sizes, merged

_COMPARISONS = (arith.CmpiOp, arith.CmpfOp)
_VIEWS = (CollapseShapeOp, ExpandShapeOp, ExtractSliceOp, ConcatOp)


def emit_host_program(
    function: func.FuncOp, devices: Sequence[str], numbers: Mapping[SegmentOp, int]
) -> host.HostProgram:
    """The host program of a function whose memory is planned.

    devices: their names, in the order of their slots. numbers: of each segment in the image of its device.
    Raises UnsupportedError for what the host cannot do.
    """
    axes, sizes = _axes(function), _sizes_of_views(function)
    return _Emitter(devices, numbers, sizes, axes).program(function)


def tensor_of(type: Attribute) -> Type:
    """The runtime's description of a tensor type."""
    tensor = cast("TensorType[Attribute]", type)
    return Type(numpy_dtype(tensor.get_element_type()).name, sizes_of(tensor))


def sizes_of(type: Attribute) -> tuple[Size, ...]:
    """The shape of a tensor type, None for unknown sizes."""
    return tuple(None if size == DYNAMIC_INDEX else size for size in shape_of(type))


def _sizes_of_views(function: func.FuncOp) -> dict[Operation, list[SSAValue]]:
    """An index for each unknown size of the result of each view that the host makes; their arithmetic is added."""
    sizes = Sizes()
    views = [op for block in host_blocks(function) for op in block.ops if isinstance(op, _VIEWS)]
    return {view: sizes.dynamic(view.result) for view in views}


def _axes(function: func.FuncOp) -> dict[Operation, int]:
    """The dimension along which each slice that the host makes takes part of its source.

    Raises UnsupportedError for one that is not contiguous.
    """
    sizes = Sizes()
    slices = [op for block in host_blocks(function) for op in block.ops if isinstance(op, ExtractSliceOp)]
    axes = {op: contiguous_axis(op, sizes.of(op.source)) for op in slices}
    if scattered := [f"{_where(op)} of other than rows" for op, axis in axes.items() if axis is None]:
        raise UnsupportedError("the host can only take rows, the rest is for devices", scattered)
    return {op: axis for op, axis in axes.items() if axis is not None}


class _Emitter:
    """Numbers values and blocks, and translates operations one by one."""

    def __init__(
        self,
        devices: Sequence[str],
        numbers: Mapping[SegmentOp, int],
        sizes: Mapping[Operation, Sequence[SSAValue]],
        axes: Mapping[Operation, int],
    ) -> None:
        self._devices = devices
        self._numbers = numbers
        self._sizes = sizes
        self._axes = axes
        self._registers: dict[SSAValue, int] = {}
        self._count = 0
        self._blocks: list[host.Block | None] = []

    def program(self, function: func.FuncOp) -> host.HostProgram:
        self._block(function.body.block, 1)
        blocks = tuple(block for block in self._blocks if block is not None)
        return host.HostProgram(function.sym_name.data, self._count, blocks)

    def _define(self, value: SSAValue) -> int:
        if value not in self._registers:
            self._registers[value] = self._fresh()
        return self._registers[value]

    def _fresh(self) -> int:
        """A register that nothing uses yet."""
        self._count += 1
        return self._count - 1

    def _read(self, values: Sequence[SSAValue]) -> tuple[int, ...]:
        return tuple(self._registers[value] for value in values)

    def _block(self, block: IRBlock, depth: int) -> int:
        """The number of `block`, which is translated."""
        if depth > MOST_NESTED:
            raise UnsupportedError("no program can be made", [f"control flow nested {depth} deep"])
        number = len(self._blocks)
        self._blocks.append(None)  # its number is lower than those of the blocks inside
        arguments = tuple(map(self._define, block.args))
        terminator = block.last_op
        assert terminator is not None
        instructions = [each for op in block.ops if op is not terminator for each in self._instructions(op, depth)]
        self._blocks[number] = host.Block(arguments, tuple(instructions), self._read(terminator.operands))
        return number

    def _branch(self, region: Region, depth: int) -> int:
        """The number of the block of a region of an scf.if, which may be missing."""
        if region.blocks:
            return self._block(region.block, depth + 1)
        self._blocks.append(host.Block((), (), ()))
        return len(self._blocks) - 1

    def _results(self, op: Operation) -> tuple[int, ...]:
        return tuple(map(self._define, op.results))

    def _instructions(self, op: Operation, depth: int) -> list[host.Instruction]:
        """What does `op`, with the numbers in front that it has as attributes."""
        if isinstance(op, ExtractSliceOp):
            return self._slice(op)
        return [self._instruction(op, depth)]

    def _slice(self, op: ExtractSliceOp) -> list[host.Instruction]:
        axis = self._axes[op]
        parts = (merged(op.static_offsets.get_values(), op.offsets), merged(op.static_sizes.get_values(), op.sizes))
        numbers: list[host.Instruction] = []
        registers = []
        for size in (part[axis] for part in parts):
            registers.append(self._fresh() if isinstance(size, int) else self._registers[size])
            numbers += [host.Number("index", size, registers[-1])] if isinstance(size, int) else []
        offset, size = registers
        source, (result,) = self._registers[op.source], self._results(op)
        dims = self._read(self._sizes[op])
        return [*numbers, host.Slice(source, axis, offset, size, sizes_of(op.result.type), dims, result, _where(op))]

    def _instruction(self, op: Operation, depth: int) -> host.Instruction:
        operands = self._read(op.operands)
        results = self._results(op)
        match op:
            case SegmentOp():
                device, segment = self._devices.index(op.device.data), self._numbers[op]
                groups = (op.inputs, op.scalars, op.result_dims)
                inputs, scalars, dims = (self._read(group) for group in groups)
                arena = self._registers[op.arena_size] if op.arena_size is not None else host.NONE
                return host.Execute(device, segment, inputs, scalars, dims, arena, results)
            case ConstOp():
                offset = cast(IntegerAttr, op.attributes[OFFSET]).value.data
                type = tensor_of(op.output.type)
                return host.Constant(type.dtype, cast("tuple[int, ...]", type.shape), offset, *results)
            case arith.ConstantOp():
                return host.Number(spell(op.result.type), _bits(op), *results)
            case DimOp():
                index = op.index.owner
                assert isinstance(index, arith.ConstantOp)
                return host.Dim(operands[0], cast(IntegerAttr, index.value).value.data, *results)
            case CollapseShapeOp() | ExpandShapeOp():
                dims = self._read(self._sizes[op])
                return host.Reshape(self._registers[op.src], sizes_of(op.result.type), dims, results[0], _where(op))
            case ExtractOp():
                tensor, *indices = operands
                return host.Extract(tensor, tuple(indices), spell(op.result.type), results[0], _where(op))
            case FromElementsOp():
                type = tensor_of(op.result.type)
                return host.FromElements(type.dtype, cast("tuple[int, ...]", type.shape), operands, *results)
            case ConcatOp():
                dims, axis = self._read(self._sizes[op]), op.dim.value.data
                return host.Concat(operands, axis, sizes_of(op.result.type), dims, results[0], _where(op))
            case TransferOp():
                return host.Transfer(operands[0], self._devices.index(op.device.root_reference.data), results[0])
            case CheckOp():
                condition, *values = operands
                return host.Check(condition, tuple(values), op.message.data)
            case scf.ForOp():
                lower, upper, step, *inits = operands
                body = self._block(op.body.block, depth + 1)
                return host.For(lower, upper, step, tuple(inits), body, results, _where(op))
            case scf.IfOp():
                branches = [self._branch(region, depth) for region in (op.true_region, op.false_region)]
                return host.If(operands[0], branches[0], branches[1], results)
            case scf.WhileOp():
                before = self._block(op.before_region.block, depth + 1)
                after = self._block(op.after_region.block, depth + 1)
                return host.While(operands, before, after, results)
            case _ if op.name.partition(".")[0] in ("arith", "math") and len(results) == 1:
                predicate = op.predicate.value.data if isinstance(op, _COMPARISONS) else 0
                of, type = (spell(value.type) for value in (op.operands[-1], op.results[0]))
                return host.Scalar(op.name, operands, of, type, results[0], predicate)
        raise UnsupportedError("no program can be made", [f"{op.name} outside of what devices run"])


def spell(type: Attribute) -> str:
    """A scalar type as in MLIR."""
    return str(type)


def _bits(op: arith.ConstantOp) -> int:
    """An integer's value, or a float's bits."""
    value: Any = op.value
    if isinstance(value, IntegerAttr):
        number = cast(int, value.value.data)
        return (number + (1 << 63)) % (1 << 64) - (1 << 63)
    assert isinstance(value, FloatAttr)
    array = np.asarray(value.value.data, np.float64).astype(numpy_dtype(value.type))
    return int.from_bytes(array.tobytes(), "little", signed=True)


def _where(op: Operation) -> str:
    """The operation as an error names it."""
    hint = next((result.name_hint for result in op.results if result.name_hint), None)
    return f"%{hint} = {op.name}" if hint else op.name
