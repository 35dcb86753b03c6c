"""Hardware instructions of other architectures, held against their meaning under qemu-user."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.codegen.image import link
from tosaic.lowering.codegen.instructions import INSTRUCTIONS, Instruction
from tosaic.lowering.codegen.types import Value, split_type
from tosaic.lowering.target import resolve_target

from .emulator import Space, call

ROUNDS = 64
DTYPES = {"i8": np.int8, "i16": np.int16, "i32": np.int32, "float": np.float32, "bfloat": ml_dtypes.bfloat16}
ROWS = [row for row in INSTRUCTIONS if row.intrinsic.startswith("llvm.aarch64")]


def operand(type: str, rng: np.random.Generator) -> np.ndarray:
    """Random elements of every magnitude, integers with the extremes among them; no infinities."""
    element, lanes = split_type(type)
    dtype = np.dtype(DTYPES[element])
    if element in ("float", "bfloat"):
        return (rng.standard_normal((ROUNDS, lanes)) * 2.0 ** rng.integers(-60, 60, (ROUNDS, lanes))).astype(dtype)
    info = np.iinfo(dtype)
    return rng.choice(np.array([info.min, info.max, -1, 0, 1, 77, info.min + 1]), (ROUNDS, lanes)).astype(dtype)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.result}")
def test_instruction_does_what_it_means(row: Instruction) -> None:
    base = resolve_target("aarch64")
    target = replace(base, features=(*base.features, *row.features))
    f = Function("run", [("ptr", f"p{i}") for i in range(len(row.operands) + 1)], linkage="hidden")
    arrays = [operand(type, np.random.default_rng(seed)) for seed, type in enumerate(row.operands)]
    expected = np.stack([row.meaning(*operands) for operands in zip(*arrays, strict=True)])
    with f.loop(0, ROUNDS) as loop:

        def at(pointer: int, array: np.ndarray) -> Value:
            return f.gep(f.arguments[pointer], f.mul(loop.index, f.const("i64", array[0].nbytes)))

        loads = [f.load(type, at(i, array)) for i, (type, array) in enumerate(zip(row.operands, arrays, strict=True))]
        f.store(f.instruction(row.name, *loads), at(len(arrays), expected))
    linked = link([assemble(f.text(), target)])
    space = Space()
    operands = [space.add(array.tobytes()) for array in arrays]
    result = space.add(bytes(expected.nbytes), writable=True)
    call(target, linked.code, linked.symbols["run"], [buffer.address for buffer in (*operands, result)], space)
    np.testing.assert_array_equal(np.frombuffer(result.data, expected.dtype).reshape(expected.shape), expected)
