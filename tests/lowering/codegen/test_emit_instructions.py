"""Every hardware instruction of the table, executed and held against its meaning."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.codegen.instructions import INSTRUCTIONS, Instruction
from tosaic.lowering.codegen.types import split_type

from .harness import Array, Code, Guarded, targets

DTYPES = {"i8": np.int8, "i16": np.int16, "i32": np.int32, "float": np.float32, "bfloat": ml_dtypes.bfloat16}


def operand(type: str, rng: np.random.Generator) -> Array:
    element, lanes = split_type(type)
    dtype = np.dtype(DTYPES[element])
    if element in ("float", "bfloat"):
        return rng.normal(size=lanes).astype(dtype)
    # Few distinct values, the extremes among them, so that wrapping and saturation happen.
    info = np.iinfo(dtype)
    return rng.choice(np.array([info.min, info.max, -1, 0, 1, 77, info.min + 1]), lanes).astype(dtype)


@pytest.mark.parametrize("row", INSTRUCTIONS, ids=lambda row: f"{row.name}-{row.result}")
def test_instruction_does_what_it_means(row: Instruction) -> None:
    target = next((target for target in targets() if any(map(target.has, row.features))), None)
    if target is None:
        pytest.skip(f"this CPU has none of {row.features}")
    f = Function("run", [("ptr", f"p{i}") for i in range(len(row.operands) + 1)], linkage="hidden")
    loads = [f.load(type, pointer) for type, pointer in zip(row.operands, f.arguments, strict=False)]
    result = f.instruction(row.name, *loads)
    if row.result != "void":
        f.store(result, f.arguments[-1])
    code = Code(f.text(), target=target)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        arrays = [operand(type, rng) for type in row.operands]
        expected = row.meaning(*arrays)
        buffers = [Guarded(array) for array in (*arrays, np.zeros_like(expected))]
        code.call("run", *[buffer.address for buffer in buffers])
        np.testing.assert_array_equal(buffers[-1].array, expected, strict=True)
