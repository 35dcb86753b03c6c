"""Resizing (TOSA 1.0, section 2.2.10): positions and weights are tables, as they depend on one coordinate each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import DYNAMIC_INDEX, f32
from xdsl.ir import SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, is_float, shape_of
from ..dialects.linalg import affine_map, dims
from .body import Body
from .builder import Builder, CannotLower, Mapped, constant_array
from .registry import lowers


@dataclass(frozen=True)
class _Samples:
    """For each position of the result along one axis: its two neighbours in the image and the way from `low` to `high`.

    `offset` runs from 0 to `unit` - 1, in steps of 1 / `unit` of a pixel.
    """

    low: np.ndarray
    high: np.ndarray
    offset: np.ndarray
    unit: int

    @staticmethod
    def of(size: int, result: int, numerator: int, denominator: int, offset: int) -> _Samples:
        positions = np.arange(result, dtype=np.int64) * denominator + offset
        low = positions // numerator
        first, second = (np.clip(low + step, 0, size - 1).astype(np.int32) for step in (0, 1))
        return _Samples(first, second, positions - low * numerator, numerator)


@lowers(tosa.ResizeOp)
def _resize(op: tosa.ResizeOp, b: Builder) -> SSAValue:
    scale, offset = (constant_array(value, "scale and offset").tolist() for value in (op.scale, op.offset))
    (_, *size, _), (_, *result, _) = shape_of(op.input), shape_of(op.output)
    if DYNAMIC_INDEX in (*size, *result):
        raise CannotLower("its spatial extents must be static: give all shapes with --shape")
    axes = [
        _Samples.of(size[axis], result[axis], scale[2 * axis], scale[2 * axis + 1], offset[axis]) for axis in (0, 1)
    ]
    return _nearest(op, b, axes) if op.plain("mode") == "NEAREST_NEIGHBOR" else _bilinear(op, b, axes)


def _nearest(op: tosa.ResizeOp, b: Builder, axes: list[_Samples]) -> SSAValue:
    tables = [
        _table(b, np.where(samples.offset * 2 >= samples.unit, samples.high, samples.low), axis)
        for axis, samples in enumerate(axes)
    ]

    def body(b: Body, row: SSAValue, column: SSAValue) -> SSAValue:
        return b.extract(op.input, [b.index(0), b.to_index(row), b.to_index(column), b.index(3)])

    return b.elementwise(tables, shape_of(op.output), element_of(op.output), body)


def _bilinear(op: tosa.ResizeOp, b: Builder, axes: list[_Samples]) -> SSAValue:
    """Four neighbours, weighted; integers in steps of 1 / `unit`, so that the result is `unit`**2 times as great."""
    result = element_of(op.output)
    element = f32 if is_float(result) else result
    tables: list[Mapped] = []
    for axis, samples in enumerate(axes):
        whole = 1 if is_float(element) else samples.unit
        way = samples.offset / samples.unit if is_float(element) else samples.offset
        rest = whole - way
        weights = (np.asarray(part).astype(np.float32 if is_float(element) else np.int32) for part in (rest, way))
        tables += [_table(b, values, axis) for values in (samples.low, samples.high, *weights)]

    def body(b: Body, *entries: SSAValue) -> SSAValue:
        (top, bottom, *vertical), (left, right, *horizontal) = entries[:4], entries[4:]
        vertical, horizontal = ([b.widen(weight, element) for weight in pair] for pair in (vertical, horizontal))
        n, c = b.index(0), b.index(3)
        rows, columns = [b.to_index(row) for row in (top, bottom)], [b.to_index(column) for column in (left, right)]
        lines = []
        for row in rows:
            pixels = [b.widen(b.extract(op.input, [n, row, column, c]), element) for column in columns]
            weighted = [b.mul(pixel, weight) for pixel, weight in zip(pixels, horizontal, strict=True)]
            lines.append(b.add(*weighted))
        total = b.add(*(b.mul(line, weight) for line, weight in zip(lines, vertical, strict=True)))
        return b.narrow(total, result)

    return b.elementwise(tables, shape_of(op.output), result, body)


def _table(b: Builder, values: np.ndarray, axis: int) -> Mapped:
    """A constant vector read at the row (axis 0) or column (axis 1) of the result."""
    return b.constant(values), affine_map(4, dims(4)[1 + axis])
