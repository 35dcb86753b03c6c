"""Merging a chain of element-wise generics, and the reduction they may feed, into one `linalg.generic`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import DYNAMIC_INDEX, AffineMapAttr, FloatAttr, IntegerAttr
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, IndexOp, YieldOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute, Block, OpResult, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap

from ..ir import constant_array, tensor_type
from ..sizes import Size, as_value

_SPLAT_PROBE = 64
"""Elements looked at first: few constants that are not splats get past them, so big weights are not scanned."""


def merge_elementwise(
    chain: Sequence[GenericOp],
    results: Sequence[SSAValue],
    root: SSAValue | None,
    sizes: Sequence[Size],
    local: Callable[[SSAValue], SSAValue],
) -> tuple[list[EmptyOp], GenericOp]:
    """One generic that computes `results` of the element-wise `chain`, whose bodies move into it.

    `results` may name `root`, what the region computed before; `sizes` are the extents of the loops. `local` maps a
    value to what it is called inside the region. Returns the empty tensors that the new op writes, and the op.
    """
    merger = _Merger(len(sizes), local)
    identity = AffineMap.identity(len(sizes))
    if root is not None and root in results:
        merger.scalars[root] = merger.read(root, identity)
    for op in chain:
        merger.add(op, None)
    empties = [_empty_like(result, sizes, local) for result in results]
    for empty in empties:
        merger.add_argument(empty.tensor, identity)
    parallel = [IteratorTypeAttr.parallel()] * len(sizes)
    scalars = [merger.scalars[result] for result in results]
    return empties, merger.finish([empty.tensor for empty in empties], scalars, parallel)


def _empty_like(value: SSAValue, sizes: Sequence[Size], local: Callable[[SSAValue], SSAValue]) -> EmptyOp:
    """A tensor of the type of `value`, whose unknown sizes are among the `sizes`, as they are called inside."""
    type = tensor_type(value)
    asked = [size for size, known in zip(sizes, type.get_shape(), strict=True) if known == DYNAMIC_INDEX]
    return EmptyOp([local(as_value(size, value)) for size in asked], type)


def merge_into_reduction(
    producers: Sequence[GenericOp], reduction: GenericOp, init: SSAValue, local: Callable[[SSAValue], SSAValue]
) -> GenericOp:
    """`reduction` with the element-wise ops that compute its operands done in its own loops; `init` is local."""
    loops = len(reduction.iterator_types)
    merger = _Merger(loops, local)
    read_by = dict(zip(reduction.inputs, reduction.indexing_maps.data, strict=False))
    for chain in _chains(producers, set(read_by)):
        read = read_by[chain[-1].res[0]].data
        for op in chain:
            merger.add(op, read.results)
    merger.add(reduction, None, init)
    scalars = [merger.scalars[result] for result in reduction.res]
    return merger.finish([init], scalars, reduction.iterator_types.data)


def _chains(producers: Sequence[GenericOp], last: set[SSAValue]) -> list[list[GenericOp]]:
    """The producers, cut after each op whose result the reduction reads."""
    chains: list[list[GenericOp]] = [[]]
    for op in producers:
        chains[-1].append(op)
        if op.res[0] in last:
            chains.append([])
    return chains[:-1]


class _Merger:
    def __init__(self, loops: int, local: Callable[[SSAValue], SSAValue]) -> None:
        self.loops = loops
        self.local = local
        self.body = Block()
        self.operands: list[SSAValue] = []
        self.maps: list[AffineMap] = []
        self.scalars: dict[SSAValue, SSAValue] = {}
        self.arguments: dict[tuple[SSAValue, AffineMap], SSAValue] = {}
        self.constants: dict[Attribute, SSAValue] = {}

    def add(self, op: GenericOp, dims: Sequence[AffineExpr] | None, init: SSAValue | None = None) -> None:
        """Append the body of `op`, whose loop i runs over `dims[i]` of ours (None: over our loop i).

        `init` is what a reduction, the last to be added, accumulates into.
        """
        block = op.body.block
        for value, map, argument in zip(op.inputs, op.indexing_maps, block.args, strict=False):
            if argument.uses:
                argument.replace_all_uses_with(self._scalar(value, self._substituted(map.data, dims)))
        if init is not None:
            accumulator = self.add_argument(init, op.indexing_maps.data[-1].data)
            block.args[-1].replace_all_uses_with(accumulator)
        for inner in list(block.ops):
            if isinstance(inner, YieldOp):
                continue
            inner.detach()
            if isinstance(inner, arith.ConstantOp) and inner.value in self.constants:
                inner.result.replace_all_uses_with(self.constants[inner.value])
                continue
            if isinstance(inner, IndexOp) and dims is not None:
                expr = dims[inner.dim.value.data]
                assert isinstance(expr, AffineDimExpr)
                inner.dim = IndexOp(expr.position).dim
            inner.operands = [self._inside(operand) for operand in inner.operands]
            self.body.add_op(inner)
            if isinstance(inner, arith.ConstantOp):
                self.constants[inner.value] = inner.result
        yielded = block.last_op
        assert yielded is not None
        self.scalars.update(zip(op.res, [self._inside(value) for value in yielded.operands], strict=True))

    def _inside(self, value: SSAValue) -> SSAValue:
        """What an operand is called in the body: constants from outside are repeated there."""
        owner = value.owner
        if (owner if isinstance(owner, Block) else owner.parent) is self.body:
            return value
        constant = owner.value if isinstance(owner, arith.ConstantOp) else None
        return self._constant(constant) if isinstance(constant, FloatAttr | IntegerAttr) else self.local(value)

    def _substituted(self, map: AffineMap, dims: Sequence[AffineExpr] | None) -> AffineMap:
        return map if dims is None else map.replace_dims_and_symbols(dims, [], self.loops, 0)

    def _scalar(self, value: SSAValue, map: AffineMap) -> SSAValue:
        """The element of `value` that one iteration reads: computed before, a constant, or a new argument."""
        if value in self.scalars:
            return self.scalars[value]
        constant = splat_constant(value)
        if constant is not None:
            return self._constant(constant)
        return self.read(value, map)

    def _constant(self, constant: FloatAttr | IntegerAttr) -> SSAValue:
        if constant not in self.constants:
            op = arith.ConstantOp(constant)
            self.body.add_op(op)
            self.constants[constant] = op.result
        return self.constants[constant]

    def read(self, value: SSAValue, map: AffineMap) -> SSAValue:
        """The argument of the body that holds `value` at `map`, shared by all who read it there."""
        if (value, map) not in self.arguments:
            self.arguments[value, map] = self.add_argument(self.local(value), map)
        return self.arguments[value, map]

    def add_argument(self, operand: SSAValue, map: AffineMap) -> SSAValue:
        self.operands.append(operand)
        self.maps.append(map)
        return self.body.insert_arg(tensor_type(operand).get_element_type(), len(self.body.args))

    def finish(
        self, outputs: Sequence[SSAValue], scalars: Sequence[SSAValue], iterators: Sequence[IteratorTypeAttr]
    ) -> GenericOp:
        self.body.add_op(YieldOp(*scalars))
        inputs = self.operands[: len(self.operands) - len(outputs)]
        maps = [AffineMapAttr(map) for map in self.maps]
        types = [output.type for output in outputs]
        return GenericOp(inputs, outputs, Region(self.body), maps, iterators, types)


def splat_constant(value: SSAValue) -> FloatAttr | IntegerAttr | None:
    """The one element that all of a tensor has, if a constant or a fill says so."""
    if isinstance(value, OpResult) and isinstance(value.op, FillOp):
        scalar = value.op.inputs[0]
        if isinstance(scalar, OpResult) and isinstance(scalar.op, arith.ConstantOp):
            attribute = scalar.op.value
            return attribute if isinstance(attribute, FloatAttr | IntegerAttr) else None
        return None
    array = constant_array(value)
    if array is None or not array.size or not _is_splat(array):
        return None
    element_type: Any = tensor_type(value).get_element_type()
    first = array.reshape(-1)[0]
    if array.dtype.kind in "iub":
        return IntegerAttr(int(first), element_type)
    return FloatAttr(float(first), element_type)


def _is_splat(array: np.ndarray[Any, Any]) -> bool:
    """Whether all elements have the same bits; -0.0 is not 0.0, and every NaN is itself."""
    bits = array.reshape(-1).view(f"u{array.dtype.itemsize}")
    first = bits[:1]
    return bool((bits[:_SPLAT_PROBE] == first).all() and (bits == first).all())
