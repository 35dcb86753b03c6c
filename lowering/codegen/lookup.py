"""`tensor.extract` on vectors: one load where lanes share or follow one another, else a table lookup or a gather.

An index computed from a model's input may be anything, so indices are limited to the tensor: memory outside it is
never read, whatever the data.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..target import Target
from .access import Tensor
from .arithmetic import i64
from .emit import Function
from .extent import Extent, emit_extent
from .types import I8, I64, Value, bits_of, lanes_of, mangled, memory_type, vector_type

BYTE_TABLE = 256
"""Entries of a table that every 8-bit index is inside of."""


def is_byte_table(tensor: Tensor) -> bool:
    return tensor.shape == (BYTE_TABLE,) and memory_type(tensor.element) == I8


def extract(f: Function, target: Target, tensor: Tensor, indices: Sequence[Value], lanes: int) -> Value:
    """Elements at `indices` (i64, each a scalar or a vector of `lanes`), in their memory type."""
    if all(not index.type.startswith("<") for index in indices):
        return f.load(memory_type(tensor.element), _element(f, tensor, indices, 1))
    if is_byte_table(tensor) and target.has("avx512vbmi"):
        return _permute(f, tensor.pointer, f.cast("trunc", indices[0], I8))
    return _gather(f, target, tensor, indices, lanes)


def extract_run(f: Function, tensor: Tensor, indices: Sequence[Value], lanes: int, mask: Value | None) -> Value:
    """Elements from scalar `indices` on along the last dimension, which the caller knows to lie inside the tensor."""
    pointer = f.element_pointer(
        tensor.pointer, memory_type(tensor.element), _position(f, tensor, [*indices[:-1]], indices[-1], 1)
    )
    type = vector_type(memory_type(tensor.element), lanes)
    return f.load(type, pointer) if mask is None else f.masked_load(type, pointer, mask)


def _limit(f: Function, index: Value, size: Extent) -> Value:
    """`index` limited to 0..size - 1; negative ones count as too large."""
    if isinstance(size, int) and index.constant is not None and 0 <= index.constant < size:
        return index
    return f.call_intrinsic("llvm.umin", index.type, [index, _like(f, index, size - 1)])


def _like(f: Function, index: Value, extent: Extent) -> Value:
    """`extent` in as many lanes as `index`."""
    if isinstance(extent, int):
        return f.const(index.type, extent)
    return f.splat(emit_extent(f, extent), lanes_of(index.type))


def _position(f: Function, tensor: Tensor, leading: Sequence[Value], last: Value | None, lanes: int) -> Value:
    """The linear index of `leading`, limited, and then of `last`, trusted."""
    position = i64(0)
    for index, size, stride in zip(leading, tensor.shape, tensor.strides, strict=False):
        term = f.mul(_limit(f, index, size), _like(f, index, stride))
        if term.type.startswith("<") and not position.type.startswith("<"):
            position = f.splat(position, lanes)
        elif position.type.startswith("<") and not term.type.startswith("<"):
            term = f.splat(term, lanes)
        position = f.add(position, term)
    return position if last is None else f.add(position, last)


def _element(f: Function, tensor: Tensor, indices: Sequence[Value], lanes: int) -> Value:
    position = _position(f, tensor, indices, None, lanes)
    return f.element_pointer(tensor.pointer, memory_type(tensor.element), position)


def _gather(f: Function, target: Target, tensor: Tensor, indices: Sequence[Value], lanes: int) -> Value:
    element = memory_type(tensor.element)
    positions = _position(f, tensor, indices, None, lanes)
    result_type = vector_type(element, lanes)
    if bits_of(element) >= 32 and target.has("avx2"):
        pointers = f.emit(
            vector_type("ptr", lanes),
            f"getelementptr {element}, ptr {tensor.pointer.text}, {positions.type} {positions.text}",
        )
        mask = f.const(vector_type("i1", lanes), True)
        return f.emit(
            result_type,
            f"call {result_type} @llvm.masked.gather.{mangled(result_type)}.v{lanes}p0("
            f"{pointers.type} align {bits_of(element) // 8} {pointers.text}, {mask.type} {mask.text}, "
            f"{result_type} poison)",
        )
    result = f.undefined(result_type)
    for lane in range(lanes):
        pointer = f.element_pointer(tensor.pointer, element, f.extract(positions, lane))
        result = f.insert(result, f.load(element, pointer), lane)
    return result


def _permute(f: Function, table: Value, indices: Value) -> Value:
    """A 256-byte table in four registers: two permutes of 128 bytes each, chosen by the top bit of the index."""
    lanes = lanes_of(indices.type)
    quarters = [f.load(vector_type(I8, 64), f.gep(table, 64 * i)) for i in range(4)]
    parts = []
    for start in range(0, lanes, 64):
        width = min(64, lanes - start)
        picks = [start + lane if lane < width else -1 for lane in range(64)]
        part = indices if lanes == 64 else f.shuffle(indices, None, picks)
        low = f.instruction("vpermi2b", quarters[0], part, quarters[1])
        high = f.instruction("vpermi2b", quarters[2], part, quarters[3])
        parts.append(f.select(f.icmp("slt", part, f.zero(part.type)), high, low))
    if lanes < 64:
        return f.shuffle(parts[0], None, range(lanes))
    result = parts[0]
    for part in parts[1:]:
        result = f.shuffle(result, part, range(lanes_of(result.type) + 64))
    return result


def index_vector(f: Function, base: Value, lanes: int) -> Value:
    """base, base + 1, ... as i64 lanes."""
    return f.add(f.splat(base, lanes), f.iota(I64, lanes))
