"""Programs whose operations are valid one by one, but make no sense together, are refused by name and line."""

from __future__ import annotations

import pytest
import tosaic.tosa
from tosaic.lowering import compile
from tosaic.runtime.errors import ArgumentError


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "%d = tensor.dim %x, %c : tensor<?xf32>\n%c = arith.constant 0 : index\n"
            "%e = tensor.empty(%d) : tensor<?xf32>",
            "tensor.dim %d uses a value before it is defined",
        ),
        (
            "%c = arith.constant 1 : index\n%d = tensor.dim %x, %c : tensor<?xf32>\n"
            "%e = tensor.empty(%d) : tensor<?xf32>",
            "a tensor of 1 dimensions has no dimension 1",
        ),
        (
            '%e = "tensor.extract_slice"(%x) <{static_offsets = array<i64: 0>, static_sizes = array<i64: 2>, '
            "static_strides = array<i64>, operandSegmentSizes = array<i32: 1, 0, 0, 0>}> "
            ": (tensor<?xf32>) -> tensor<?xf32>",
            "0 strides for 1 dimensions",
        ),
    ],
)
def test_what_makes_no_sense_is_named(body: str, reason: str) -> None:
    text = f"func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {{\n{body}\nreturn %e : tensor<?xf32>\n}}"
    with pytest.raises(ArgumentError) as error:
        compile(tosaic.tosa.read(text.encode(), "p.mlir"))
    assert str(error.value).startswith("p.mlir:")
    assert reason in str(error.value)
