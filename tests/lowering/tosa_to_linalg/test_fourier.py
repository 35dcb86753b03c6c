from __future__ import annotations

import numpy as np
import pytest
from tosaic.lowering.meaning import evaluate
from tosaic.tosa import dialect as tosa
from tosaic.tosa.interpreter import evaluate as evaluate_tosa
from xdsl.ir import Operation

from .equivalence import Array, build, floats, lowered


def check(parts: list[Array], make: type[Operation] | object) -> None:
    """Two passes of H and W products with cosines rounded to f32: errors of (H + W + 4) * 2**-24 * sum |input|."""
    module = build(parts, make)  # pyright: ignore[reportArgumentType]
    _, height, width = parts[0].shape
    magnitude = sum(np.abs(part).sum(axis=(1, 2), keepdims=True) for part in parts)
    bound = (height + width + 4) * 2.0**-24 * magnitude
    exact = evaluate_tosa(module, "main", parts, float64=True)
    for reference, actual in zip(exact, evaluate(lowered(module), "main", parts), strict=True):
        assert (np.abs(actual - reference) <= bound).all()


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("height", "width"), [(1, 8), (4, 4), (16, 2)])
def test_complex_transform(height: int, width: int, inverse: bool) -> None:
    parts = [floats(1, 2, height, width), floats(2, 2, height, width)]
    check(parts, lambda *values: tosa.FFT2DOp(*values, inverse=inverse))


@pytest.mark.parametrize(("height", "width"), [(1, 8), (4, 4), (16, 2)])
def test_real_transform(height: int, width: int) -> None:
    check([floats(3, 2, height, width)], tosa.RFFT2DOp)
