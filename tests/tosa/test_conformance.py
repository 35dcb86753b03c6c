"""Limits that only programs in the exchange format must keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tosaic.tosa import dialect as tosa
from tosaic.tosa.conformance import check_conformance
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import SSAValue
from xdsl.utils.exceptions import VerifyException

from .builders import constant, function, tensor


def resize(image: SSAValue, scale: list[int], offset: list[int], border: list[int]) -> tosa.ResizeOp:
    operands = (tosa.ConstShapeOp(values) for values in (scale, offset, border))
    return tosa.ResizeOp(image, *operands, mode="NEAREST_NEIGHBOR")


IMAGE = tensor("int8", 1, 33, 33, 1)
CASES: list[tuple[TensorType, Callable[[SSAValue], object], str | None]] = [
    (IMAGE, lambda x: resize(x, [1, 15, 1, 8], [0, 0], [-2, 0]), None),
    (IMAGE, lambda x: resize(x, [1, 16, 1, 8], [0, 0], [0, 0]), "scale 1/16 is out of range"),
    (IMAGE, lambda x: resize(x, [2, 2, 2, 2], [0, 32], [0, 32]), "offset 32 is out of range for scale 2/2"),
    (IMAGE, lambda x: resize(x, [2, 2, 2, 2], [0, 0], [2, 0]), "border 2 is out of range for scale 2/2"),
    (tensor("int8", 1, 1, 1, 1, 1, 1), lambda x: tosa.AbsOp(x), None),
    (tensor("int8", 1, 1, 1, 1, 1, 1, 1), lambda x: tosa.AbsOp(x), "more than 6 dimensions"),
    (tensor("int8", 0), lambda x: tosa.AbsOp(x), "has no elements"),
    (tensor("float32", 1, 6, 8), lambda x: tosa.RFFT2DOp(x).results[0], "must be powers of two, got 6"),
    (
        tensor("int8", 1, 4, 1),
        lambda x: tosa.ScatterOp(x, constant([[1, 1]], "int32"), constant([[[1], [2]]], "int8")),
        "indices of a row must differ",
    ),
]


@pytest.mark.parametrize(("argument", "build", "reason"), CASES)
def test_limits(argument: TensorType, build: Callable[[SSAValue], tosa.TosaOp], reason: str | None) -> None:
    module: ModuleOp = function([argument], build)
    if reason is None:
        check_conformance(module)
        return
    with pytest.raises(VerifyException, match=reason):
        check_conformance(module)
