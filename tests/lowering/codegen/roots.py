"""Makes a kernel of one root operation with no epilogue, to be run on numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import ml_dtypes
import numpy as np
from tosaic.lowering.codegen.kernel import Kernel, KernelContext
from tosaic.lowering.dialects.dispatch import RegionOp, YieldOp
from tosaic.lowering.target import Target
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import (
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    TensorType,
    bf16,
    f16,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
)
from xdsl.dialects.linalg.ops import FillOp
from xdsl.dialects.tensor import EmptyOp, PadOp
from xdsl.dialects.tensor import YieldOp as PadYieldOp
from xdsl.ir import Attribute, Block, Operation, OpResult, Region, SSAValue

from .harness import Array, Code, run_kernel

NAME = "kernel"
ELEMENTS = {
    np.dtype(np.float32): f32,
    np.dtype(np.float64): f64,
    np.dtype(np.float16): f16,
    np.dtype(ml_dtypes.bfloat16): bf16,
    np.dtype(np.int8): i8,
    np.dtype(np.int16): i16,
    np.dtype(np.int32): i32,
    np.dtype(np.int64): i64,
}


def tensor_type(array: Array) -> TensorType[Attribute]:
    return TensorType(ELEMENTS[array.dtype], array.shape)


def values(*arrays: Array) -> Sequence[SSAValue]:
    """Tensors with the types of the arrays and no particular content."""
    return [EmptyOp([], tensor_type(array)).tensor for array in arrays]


@dataclass(frozen=True)
class Root:
    """A kernel inputs -> result made of a dispatch region."""

    target: Target
    kernel: Kernel
    result: Array

    def run(self, *inputs: Array, threads: int = 1, at_end: bool = True) -> Array:
        code = Code(self.kernel.text, target=self.target)
        scratch = self.kernel.scratch_bytes
        (result,) = run_kernel(code, NAME, inputs, [self.result], threads=threads, scratch_bytes=scratch, at_end=at_end)
        return result


def emit_region(
    emitter: Callable[[KernelContext, Any], int],
    target: Target,
    inputs: Sequence[Array],
    result: Array,
    fill: Callable[[Sequence[SSAValue]], Operation],
) -> Root:
    """The kernel that `emitter` makes of `make_region`; `result` also gives the previous content."""
    region, operation = make_region(inputs, result, fill)
    context = KernelContext(region, target, NAME)
    scratch_bytes = emitter(context, operation)
    return Root(target, context.finish(scratch_bytes), result)


def make_region(
    inputs: Sequence[Array], result: Array, fill: Callable[[Sequence[SSAValue]], Operation]
) -> tuple[RegionOp, Operation]:
    """A region of `inputs` and its root; `result` gives shape and dtype.

    `fill` makes the root from the region's arguments; all it depends on comes along, its result is yielded.
    """
    region = RegionOp(values(*inputs), [tensor_type(result)])
    operation = fill(region.body.block.args)
    for needed in [*_producers(operation), operation]:
        region.body.block.add_op(needed)
    region.body.block.add_op(YieldOp(*operation.results))
    return region, operation


def _producers(operation: Operation) -> list[Operation]:
    """The detached operations that `operation` depends on, in an order in which they can be executed."""
    found: list[Operation] = []
    for operand in operation.operands:
        if isinstance(operand, OpResult) and operand.op.parent is None and operand.op not in found:
            found += [op for op in [*_producers(operand.op), operand.op] if op not in found]
    return found


def filled(like: Array, value: float) -> SSAValue:
    """A tensor with the shape and type of `like`, filled with one value."""
    constant, empty = _scalar(value, ELEMENTS[like.dtype]), EmptyOp([], tensor_type(like))
    return FillOp([constant.result], [empty.tensor], [tensor_type(like)]).results[0]


def padded(image: SSAValue, pad: Sequence[int], value: float) -> SSAValue:
    """An image [n, h, w, c] with `pad` (top, bottom, left, right) rows and columns around it."""
    if not any(pad):
        return image
    type = cast("TensorType[Attribute]", image.type)
    n, h, w, c = type.get_shape()
    top, bottom, left, right = pad
    block = Block(arg_types=[IndexType()] * 4)
    constant = _scalar(value, type.get_element_type())
    block.add_ops([constant, PadYieldOp(constant.result)])
    shape = TensorType(type.get_element_type(), [n, h + top + bottom, w + left + right, c])
    return PadOp(image, [], [], Region(block), [0, top, left, 0], [0, bottom, right, 0], shape).result


def _scalar(value: float, element: Attribute) -> ConstantOp:
    if isinstance(element, IntegerType):
        return ConstantOp(IntegerAttr(int(value), element))
    return ConstantOp(FloatAttr(float(value), cast("Any", element)))


def random_array(rng: np.random.Generator, dtype: Any, shape: Sequence[int]) -> Array:
    """Normal floats, or integers over the whole range of the type, extremes included."""
    dtype = np.dtype(dtype)
    if dtype.kind == "i":
        info = np.iinfo(dtype)
        array = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
        extremes = rng.choice(np.array([info.min, info.max], dtype), shape)
        return np.where(rng.random(shape) < 0.2, extremes, array)
    return rng.normal(size=shape).astype(np.float32).astype(dtype)


def pack_right(right: Array, n0: int, k0: int) -> Array:
    """[..., k, n] in tiles [..., n1, k1, n0, k0], zero beyond the edges."""
    *batch, k, n = right.shape
    n1, k1 = -(-n // n0), -(-k // k0)
    padded = np.zeros((*batch, k1 * k0, n1 * n0), right.dtype)
    padded[..., :k, :n] = right
    tiles = padded.reshape(*batch, k1, k0, n1, n0)
    return np.ascontiguousarray(np.moveaxis(tiles, (-2, -4, -1, -3), (-4, -3, -2, -1)))


def pack_left(left: Array, m0: int, k0: int) -> Array:
    """[..., m, k] in tiles [..., m1, k1, m0, k0], zero beyond the edges."""
    return pack_right(np.swapaxes(left, -1, -2), m0, k0)


def assert_products_close(actual: Array, left: Array, right: Array, offset: int = 0) -> None:
    """`actual` is left @ right: integers exactly, floats within the error of summing k products in f32 (f64 in f64).

    |error| <= k * eps * (|left| @ |right|) for any order of summation (Higham, Accuracy and Stability, 3.1);
    `vdpbf16ps` flushes subnormals, at most one smallest normal number per product and sum. Rounding the sum to a
    16-bit result adds half an eps of that type.
    """
    if actual.dtype.kind == "i":
        exact = (left.astype(np.int64) + offset) @ right.astype(np.int64)
        np.testing.assert_array_equal(actual, exact.astype(actual.dtype))
        return
    a, b = left.astype(np.float64), right.astype(np.float64)
    k, info = left.shape[-1], np.finfo(np.float64 if actual.dtype == np.float64 else np.float32)
    bound = k * (float(info.eps) * (np.abs(a) @ np.abs(b)) + 2 * float(info.tiny))
    if actual.dtype.itemsize == 2:
        narrow = ml_dtypes.finfo(actual.dtype)
        bound += float(narrow.eps) / 2 * (np.abs(a @ b) + bound) + float(narrow.smallest_subnormal)
    error = np.abs(actual.astype(np.float64) - a @ b)
    assert np.all(error <= bound), f"error {error.max()} where {bound[error > bound].min()} is allowed"
