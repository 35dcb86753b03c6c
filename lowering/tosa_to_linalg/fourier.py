"""Fourier transforms (TOSA 1.0, sections 2.2.6 and 2.2.11): the sums of their definition, as one reduction each."""

from __future__ import annotations

import numpy as np
from xdsl.ir import SSAValue

from ...tosa import dialect as tosa
from ...tosa.dialect.types import element_of, shape_of
from ...tosa.elements import numpy_dtype
from ..dialects.linalg import affine_map, dims
from .body import Body
from .builder import Builder, static_shape
from .registry import lowers


@lowers(tosa.FFT2DOp)
def _fft_2d(op: tosa.FFT2DOp, b: Builder) -> list[SSAValue]:
    return _transform(b, [op.input_real, op.input_imag], op.output_real, -1 if op.plain("inverse") else 1)


@lowers(tosa.RFFT2DOp)
def _rfft_2d(op: tosa.RFFT2DOp, b: Builder) -> list[SSAValue]:
    return _transform(b, [op.input_real], op.output_real, 1)


def _transform(b: Builder, parts: list[SSAValue], result: SSAValue, sign: int) -> list[SSAValue]:
    """Along the rows, then along the columns: H * W * (H + W) terms instead of (H * W)**2."""
    _, height, width = static_shape(parts[0], "its input")
    columns = static_shape(result, "its result")[2]
    along_rows = _pass(b, parts, 2, width, columns, sign)
    return _pass(b, along_rows, 1, height, height, sign)


def _pass(b: Builder, parts: list[SSAValue], axis: int, size: int, results: int, sign: int) -> list[SSAValue]:
    """Transforms one axis: with angle a = 2 pi j k / size, sums over k of (re, im) * (cos a, -sign * sin a)."""
    element = element_of(parts[0])
    # The angle is reduced in integers, so that its accuracy does not depend on the size.
    turns = np.outer(np.arange(results), np.arange(size)) % size * (2 * np.pi / size)
    cosines, sines = (b.constant(f(turns).astype(numpy_dtype(element))) for f in (np.cos, np.sin))

    shape = list(shape_of(parts[0]))
    shape[axis] = results
    n, row, column, k = dims(4)
    place = [n, row, column]
    table_map, output_map = affine_map(4, place[axis], k), affine_map(4, *place)
    place[axis] = k
    inputs = [*((part, affine_map(4, *place)) for part in parts), (cosines, table_map), (sines, table_map)]
    outputs = [(b.full(0, shape, element), output_map) for _ in range(2)]

    def body(b: Body, *elements: SSAValue) -> tuple[SSAValue, SSAValue]:
        *values, cosine, sine, real_sum, imaginary_sum = elements
        real = values[0]
        along, across = (b.sub, b.add) if sign > 0 else (b.add, b.sub)
        real_sum = b.add(real_sum, b.mul(real, cosine))
        imaginary_sum = along(imaginary_sum, b.mul(real, sine))
        if len(values) == 2:
            real_sum = across(real_sum, b.mul(values[1], sine))
            imaginary_sum = b.add(imaginary_sum, b.mul(values[1], cosine))
        return real_sum, imaginary_sum

    return list(b.generic(inputs, outputs, [3], body))
