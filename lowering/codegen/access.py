"""Tensors in memory and how a linalg operation's loops walk them through its indexing maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.ir import Attribute
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from .arithmetic import i64
from .emit import Function
from .extent import Extent, emit_extent, product
from .types import BF16, F16, I1, I8, I16, Value, byte_size, memory_type, register_type, vector_type


@dataclass(frozen=True)
class Tensor:
    """A dense row-major buffer, or (with `fill`) a tensor whose every element is that scalar."""

    pointer: Value
    shape: tuple[Extent, ...]
    element: Attribute
    fill: Value | None = None

    @property
    def strides(self) -> tuple[Extent, ...]:
        """Elements between neighbours along each dimension."""
        return tuple(product(self.shape[axis + 1 :]) for axis in range(len(self.shape)))

    @property
    def nbytes(self) -> Extent:
        return product(self.shape) * byte_size(self.element)


@dataclass(frozen=True)
class Access:
    """Which element of `tensor` the iteration with the given loop indices touches.

    It is `offset` + the sum of index[d] * strides[d] + the sum of value * stride over `quasi`, the subscripts that
    are not linear (they contain mod, floordiv or ceildiv). All strides count elements.
    """

    tensor: Tensor
    strides: tuple[Extent, ...]
    offset: Extent
    quasi: tuple[tuple[AffineExpr, Extent], ...] = ()

    @staticmethod
    def of(tensor: Tensor, map: AffineMap) -> Access:
        strides: list[Extent] = [0] * map.num_dims
        offset: Extent = 0
        quasi: list[tuple[AffineExpr, Extent]] = []
        for expression, stride in zip(map.results, tensor.strides, strict=True):
            linear = _linear(expression, map.num_dims)
            if linear is None:
                quasi.append((expression, stride))
                continue
            coefficients, constant = linear
            strides = [total + stride * c for total, c in zip(strides, coefficients, strict=True)]
            offset = offset + stride * constant
        return Access(tensor, tuple(strides), offset, tuple(quasi))

    def varies_irregularly(self, dim: int) -> bool:
        """Whether steps along loop `dim` are not all of the same stride."""
        return any(dim in expression.used_dims() for expression, _ in self.quasi)

    def element(self, f: Function, indices: Sequence[Value]) -> Value:
        """The linear element index (i64)."""
        position = emit_extent(f, self.offset)
        for index, stride in zip(indices, self.strides, strict=True):
            if stride != 0:
                position = f.add(position, f.mul(index, emit_extent(f, stride)))
        for expression, stride in self.quasi:
            position = f.add(position, f.mul(evaluate(f, expression, indices), emit_extent(f, stride)))
        return position

    def pointer(self, f: Function, indices: Sequence[Value]) -> Value:
        return f.element_pointer(self.tensor.pointer, memory_type(self.tensor.element), self.element(f, indices))

    def load(
        self, f: Function, indices: Sequence[Value], lane_dim: int | None, lanes: int, mask: Value | None = None
    ) -> Value:
        """The elements for `lanes` iterations from `indices` along `lane_dim`; a scalar where all lanes share one."""
        if self.tensor.fill is not None:
            return self.tensor.fill
        stride = 0 if lane_dim is None else self.strides[lane_dim]
        irregular = lane_dim is not None and self.varies_irregularly(lane_dim)
        element = _stored_type(self.tensor.element)
        if lanes == 1 or (stride == 0 and not irregular):
            return to_register(f, f.load(element, self.pointer(f, indices)), self.tensor.element)
        type = vector_type(element, lanes)
        if stride == 1 and not irregular:
            pointer = self.pointer(f, indices)
            loaded = f.load(type, pointer) if mask is None else f.masked_load(type, pointer, mask)
            return to_register(f, loaded, self.tensor.element)
        if stride == -1 and not irregular and mask is None:
            pointer = f.gep(self.pointer(f, indices), -(lanes - 1) * byte_size(self.tensor.element))
            backwards = f.shuffle(f.load(type, pointer), None, range(lanes - 1, -1, -1))
            return to_register(f, backwards, self.tensor.element)
        return to_register(f, self._load_lanes(f, indices, lane_dim, lanes, mask), self.tensor.element)

    def _load_lanes(
        self, f: Function, indices: Sequence[Value], lane_dim: int | None, lanes: int, mask: Value | None
    ) -> Value:
        """Lane by lane; lanes outside the mask read the element of the first."""
        assert lane_dim is not None
        element = _stored_type(self.tensor.element)
        result = f.undefined(vector_type(element, lanes))
        for lane in range(lanes):
            index = f.add(indices[lane_dim], i64(lane))
            if mask is not None and lane:
                index = f.select(f.extract(mask, lane), index, indices[lane_dim])
            moved = [*indices[:lane_dim], index, *indices[lane_dim + 1 :]]
            result = f.insert(result, f.load(element, self.pointer(f, moved)), lane)
        return result

    def store(
        self,
        f: Function,
        value: Value,
        indices: Sequence[Value],
        lane_dim: int | None,
        lanes: int,
        mask: Value | None = None,
    ) -> None:
        """Writes `lanes` iterations' results; they must be contiguous along `lane_dim`."""
        if lanes > 1:
            assert lane_dim is not None
            assert self.strides[lane_dim] == 1, "results are vectorised along their contiguous dimension"
            value = value if value.type.startswith("<") else f.splat(value, lanes)
        value = _to_memory(f, value, self.tensor.element)
        pointer = self.pointer(f, indices)
        if mask is None:
            f.store(value, pointer)
        else:
            f.masked_store(value, pointer, mask)


def _stored_type(element: Attribute) -> str:
    """What memory is read and written as: 16-bit floats are bits, which LLVM would convert through a library."""
    type = memory_type(element)
    return I16 if type in (F16, BF16) else type


def to_register(f: Function, value: Value, element: Attribute) -> Value:
    """An element as it lies in memory as one to compute with."""
    if register_type(element) == I1:
        return f.icmp("ne", value, f.zero(value.type))
    return f.cast("bitcast", value, register_type(element))


def _to_memory(f: Function, value: Value, element: Attribute) -> Value:
    if register_type(element) == I1:
        return f.cast("zext", value, I8)
    return f.cast("bitcast", value, _stored_type(element))


def _linear(expression: AffineExpr, dims: int) -> tuple[list[int], int] | None:
    """(coefficient of each dimension, constant), None where the expression is not linear."""
    match expression:
        case AffineDimExpr():
            return [int(d == expression.position) for d in range(dims)], 0
        case AffineConstantExpr():
            return [0] * dims, expression.value
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
            left, right = _linear(expression.lhs, dims), _linear(expression.rhs, dims)
            if left is None or right is None:
                return None
            return [a + b for a, b in zip(left[0], right[0], strict=True)], left[1] + right[1]
        case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Mul):
            left, right = _linear(expression.lhs, dims), _linear(expression.rhs, dims)
            if left is None or right is None:
                return None
            if any(left[0]):
                left, right = right, left
            if any(left[0]):
                return None
            return [left[1] * c for c in right[0]], left[1] * right[1]
        case _:
            return None


def evaluate(f: Function, expression: AffineExpr, indices: Sequence[Value]) -> Value:
    """The value of an affine expression of loop indices, which are never negative."""
    match expression:
        case AffineDimExpr():
            return indices[expression.position]
        case AffineConstantExpr():
            return i64(expression.value)
        case AffineBinaryOpExpr():
            left, right = evaluate(f, expression.lhs, indices), evaluate(f, expression.rhs, indices)
            match expression.kind:
                case AffineBinaryOpKind.Add:
                    return f.add(left, right)
                case AffineBinaryOpKind.Mul:
                    return f.mul(left, right)
            if expression.kind == AffineBinaryOpKind.CeilDiv:
                left = f.add(left, f.sub(right, i64(1)))
            modulo = expression.kind == AffineBinaryOpKind.Mod
            if _never_negative(expression.lhs):
                return f.urem(left, right) if modulo else f.udiv(left, right)
            rest = f.op("srem", left, right)
            rest = f.select(f.icmp("slt", rest, i64(0)), f.add(rest, right), rest)
            return rest if modulo else f.op("sdiv", f.sub(left, rest), right)
    raise TypeError(f"indexing maps with symbols are not generated: {expression}")


def _never_negative(expression: AffineExpr) -> bool:
    match expression:
        case AffineConstantExpr():
            return expression.value >= 0
        case AffineBinaryOpExpr():
            modulo = expression.kind == AffineBinaryOpKind.Mod
            return modulo or (_never_negative(expression.lhs) and _never_negative(expression.rhs))
        case _:
            return True
