"""Matrix product regions of given types, run as kernels on every target between guard pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.codegen.kernel import Kernel
from tosaic.lowering.dialects.dispatch import RegionOp, YieldOp
from tosaic.lowering.target import Target
from xdsl.dialects.arith import ConstantOp
from xdsl.dialects.builtin import DYNAMIC_INDEX, IntegerAttr, TensorType
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Operation, SSAValue

from .harness import Array, Code, run_kernel
from .regions import kernel_arguments
from .roots import ELEMENTS

Types = Sequence[TensorType]
Root = Callable[[Sequence[SSAValue]], Sequence[Operation]]
"""The operations of a region, given its arguments; the last one's results are yielded."""


def type_of(dtype: Any, shape: Sequence[int], known: Sequence[int] | None = None) -> TensorType:
    """A tensor type; of `known`, if given, only the dimensions in it have a size."""
    sizes = [size if known is None or dim in known else DYNAMIC_INDEX for dim, size in enumerate(shape)]
    return TensorType(ELEMENTS[np.dtype(dtype)], sizes)


def product_region(inputs: Types, result: TensorType, root: Root, indices: int = 0) -> RegionOp:
    """A region of tensors `inputs` and then so many `indices`, whose only result is that of `root`."""
    index = ConstantOp(IntegerAttr.from_index_int_value(0)).result
    operands = [EmptyOp([index] * _unknown(type), type).tensor for type in inputs]
    region = RegionOp([*operands, *[index] * indices], [result], result_dims=[index] * _unknown(result))
    operations = root(region.body.block.args)
    region.body.block.add_ops([*operations, YieldOp(*operations[-1].results)])
    _alive.append(operands)
    return region


_alive: list[object] = []


def _unknown(type: TensorType) -> int:
    return list(type.get_shape()).count(DYNAMIC_INDEX)


class Product:
    """A compiled region."""

    def __init__(self, region: RegionOp, target: Target) -> None:
        self.region = region
        self.kernel: Kernel = compile_region(region, target, "kernel")
        self.code = Code(self.kernel.text, target=target)

    def run(
        self, arrays: Sequence[Array | int], result: Array, *, threads: int = 1, at_end: bool = True, slack: int = 0
    ) -> Array:
        """The result for `arrays`, indices among them; `result` gives shape, dtype and what was there before."""
        tensors, scalars = kernel_arguments(self.region, [np.asarray(array) for array in arrays], [result])
        (actual,) = run_kernel(
            self.code,
            "kernel",
            tensors,
            [result],
            scalars=scalars,
            scratch_bytes=self.kernel.scratch_bytes,
            threads=threads,
            at_end=at_end,
            slack=slack,
        )
        return actual


compiled = lru_cache(maxsize=64)
"""Keeps what a test compiles for one set of types: many sizes run the same code."""
