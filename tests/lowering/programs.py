"""Small TOSA programs, built by hand or at random, whose arithmetic is exact in every order.

Floats hold small integers and every contraction is clamped, so sums of products are exact in f32 and any two stages of
the compiler must agree bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tosaic.tosa import dialect as tosa
from tosaic.tosa.elements import element_type_of
from xdsl.dialects.builtin import ModuleOp, TensorType, f32, i8, i32
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Operation, SSAValue

Array = np.ndarray[Any, Any]


class Program:
    """A function `main` under construction. Values are NHWC activations of `dtype`, f32 or i8."""

    def __init__(self, dtype: Any, *shapes: tuple[int, ...]) -> None:
        self.dtype = np.dtype(dtype)
        types = [TensorType(element_type_of(self.dtype), shape) for shape in shapes]
        self.function = FuncOp("main", (types, []))
        self.inputs: list[SSAValue] = list(self.function.body.block.args)

    @property
    def is_integer(self) -> bool:
        return self.dtype == np.int8

    def add(self, operation: Operation) -> SSAValue:
        self.function.body.block.add_op(operation)
        return operation.results[0]

    def constant(self, array: Array) -> SSAValue:
        return self.add(tosa.ConstOp(array))

    def scalar(self, value: int, dtype: Any = None) -> SSAValue:
        return self.constant(np.array([value], dtype or self.dtype))

    def shape(self, *extents: int) -> SSAValue:
        return self.add(tosa.ConstShapeOp(extents))

    def weights(self, rng: np.random.Generator, *shape: int) -> SSAValue:
        return self.constant(rng.integers(-3, 4, shape).astype(self.dtype))

    def narrow(self, value: SSAValue, zero_point: int = 0) -> SSAValue:
        """What follows a contraction: requantisation to i8, or a clamp that keeps floats small."""
        if not self.is_integer:
            return self.add(tosa.ClampOp(value, -8.0, 8.0))
        return self.rescale(value, 3 << 28, 35, np.int8, 0, zero_point)

    def rescale(
        self, value: SSAValue, multiplier: int, shift: int, dtype: Any, input_zp: int, output_zp: int
    ) -> SSAValue:
        source = np.dtype(np.int8) if value.type.get_element_type() == i8 else np.dtype(np.int32)  # pyright: ignore
        return self.add(
            tosa.RescaleOp(
                value,
                self.scalar(multiplier, np.int32),
                self.scalar(shift, np.int8),
                self.scalar(input_zp, source),
                self.scalar(output_zp, dtype),
                scale32=True,
                rounding_mode="SINGLE_ROUND",
                per_channel=False,
                input_unsigned=False,
                output_unsigned=False,
                element_type=element_type_of(np.dtype(dtype)),
            )
        )

    def conv2d(
        self,
        rng: np.random.Generator,
        value: SSAValue,
        features: int,
        kernel: int,
        stride: int = 1,
        zero_point: int = 0,
    ) -> SSAValue:
        """A convolution that keeps the extents (divided by the stride), with bias."""
        channels = value.type.get_shape()[3]  # pyright: ignore[reportAttributeAccessIssue]
        before = (kernel - 1) // 2
        pad = [before, kernel - 1 - before - (stride - 1)] * 2 if kernel > 1 else [0] * 4
        accumulator = i32 if self.is_integer else f32
        bias = self.constant(rng.integers(-5, 6, features).astype(np.int32 if self.is_integer else np.float32))
        return self.add(
            tosa.Conv2DOp(
                value,
                self.weights(rng, features, kernel, kernel, channels),
                bias,
                self.scalar(zero_point),
                self.scalar(0),
                pad=pad,
                stride=[stride] * 2,
                dilation=[1, 1],
                acc_type=accumulator,
            )
        )

    def depthwise(self, rng: np.random.Generator, value: SSAValue, multiplier: int = 1) -> SSAValue:
        channels = value.type.get_shape()[3]  # pyright: ignore[reportAttributeAccessIssue]
        bias_type = np.int32 if self.is_integer else np.float32
        return self.add(
            tosa.DepthwiseConv2DOp(
                value,
                self.weights(rng, 3, 3, channels, multiplier),
                self.constant(rng.integers(-5, 6, channels * multiplier).astype(bias_type)),
                self.scalar(0),
                self.scalar(0),
                pad=[1, 1, 1, 1],
                stride=[1, 1],
                dilation=[1, 1],
                acc_type=i32 if self.is_integer else f32,
            )
        )

    def matmul(self, left: SSAValue, right: SSAValue) -> SSAValue:
        return self.add(tosa.MatMulOp(left, right, self.scalar(0), self.scalar(0)))

    def reshape(self, value: SSAValue, *extents: int) -> SSAValue:
        return self.add(tosa.ReshapeOp(value, self.shape(*extents)))

    def add_up(self, left: SSAValue, right: SSAValue) -> SSAValue:
        """An addition; of i8 values as quantised models do it."""
        if not self.is_integer:
            return self.add(tosa.AddOp(left, right))
        wide = [self.rescale(value, 1 << 30, 20, np.int32, 1, 0) for value in (left, right)]
        return self.rescale(self.add(tosa.AddOp(*wide)), 1 << 30, 41, np.int8, 0, -1)

    def finish(self, *results: SSAValue) -> ModuleOp:
        self.function.body.block.add_op(ReturnOp(*results))
        self.function.update_function_type()
        module = ModuleOp([self.function])
        module.verify()
        return module

    def example_inputs(self, seed: int) -> list[Array]:
        rng = np.random.default_rng(seed)
        shapes = [value.type.get_shape() for value in self.inputs]  # pyright: ignore[reportAttributeAccessIssue]
        return [rng.integers(-8, 9, shape).astype(self.dtype) for shape in shapes]


def random_program(seed: int, dtype: Any) -> tuple[ModuleOp, list[Array]]:
    """A program of a few operators that meet in every way that fusion and layouts have to cope with, and inputs."""
    rng = np.random.default_rng(seed)
    side, channels = int(rng.choice([4, 6])), int(rng.choice([3, 8, 17]))
    program = Program(dtype, (1, side, side, channels))
    pool = [program.inputs[0]]
    for _ in range(int(rng.integers(3, 9))):
        pool.append(_random_step(program, rng, pool[int(rng.integers(max(0, len(pool) - 3), len(pool)))], pool))
    results = [pool[-1]]
    if rng.random() < 0.5:
        results.append(pool[int(rng.integers(len(pool)))])
    return program.finish(*results), program.example_inputs(seed)


def _random_step(program: Program, rng: np.random.Generator, value: SSAValue, pool: list[SSAValue]) -> SSAValue:
    n, h, w, c = value.type.get_shape()  # pyright: ignore[reportAttributeAccessIssue]
    match int(rng.integers(12)):
        case 0 | 1:
            return program.narrow(program.conv2d(rng, value, int(rng.choice([5, 16, 33])), int(rng.choice([1, 3]))))
        case 2:
            return program.narrow(program.depthwise(rng, value, int(rng.choice([1, 2]))))
        case 3 | 4:
            partners = [other for other in pool if other.type == value.type]
            added = program.add_up(value, partners[int(rng.integers(len(partners)))])
            return added if program.is_integer else program.add(tosa.ClampOp(added, -8.0, 8.0))
        case 5:
            rows = program.reshape(value, 1, h * w, c)
            product = program.narrow(program.matmul(rows, program.weights(rng, 1, c, 12)))
            return program.reshape(product, 1, h, w, 12)
        case 6:
            rows = program.reshape(value, 1, h * w, c)
            gram = program.narrow(program.matmul(program.add(tosa.TransposeOp(rows, [0, 2, 1])), rows))
            return program.reshape(gram, 1, c, c, 1)
        case 7:
            return program.add(tosa.ClampOp(value, 0 if program.is_integer else 0.0, 6 if program.is_integer else 6.0))
        case 8:
            most = program.add(tosa.ReduceMaxOp(program.add(tosa.ClampOp(value, *_limits(program, -2, 7))), axis=3))
            return program.add(tosa.ConcatOp([value, most], axis=3))
        case 9 if not program.is_integer:
            shape = (1, *(int(rng.choice([1, extent])) for extent in (h, w, c)))
            scaled = program.add(tosa.MulOp(value, program.weights(rng, *shape), program.scalar(0, np.int8)))
            return program.add(tosa.ClampOp(scaled, -8.0, 8.0))
        case 9 | 10:
            return program.add(tosa.TransposeOp(value, [0, 2, 1, 3]))
        case _:
            padded = program.add(tosa.PadOp(value, program.shape(0, 0, 1, 0, 0, 2, 0, 0), program.scalar(1)))
            return program.add(tosa.SliceOp(padded, program.shape(0, 1, 1, 0), program.shape(n, h, w, max(1, c // 2))))


def _limits(program: Program, low: int, high: int) -> tuple[Any, Any]:
    return (low, high) if program.is_integer else (float(low), float(high))
