"""Programs with sizes, loops and branches that only a call knows: every phase keeps their meaning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tosaic.lowering import pipeline
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.meaning import Array, evaluate
from tosaic.lowering.pipeline import PHASES, Options
from tosaic.lowering.target import Target, Tile, resolve_target
from tosaic.runtime.device import DeviceSpec
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa.text import parse

PROGRAMS = Path(__file__).parent / "dynamic"
RNG = np.random.default_rng(0)


def tiles_everything(target: Target, contraction: Contraction) -> Tile:
    return Tile(5, 4, 3, pack_rows=True)


X86 = [resolve_target(name) for name in ("x86-64-v2", "x86-64-v4+vnni")]
TARGETS = [*X86, replace(X86[0], name="tiles", resolver=tiles_everything)]
FORMED = next(index for index, phase in enumerate(PHASES) if phase.name == "form-dispatches")
CHECKED = [phase for phase in PHASES[FORMED + 1 :] if phase.name != "plan-memory"]


def floats(*shape: int) -> Array:
    """Small integers, of which sums and products are exact in any order."""
    return RNG.integers(-4, 5, shape).astype(np.float32)


def matmul_chain(lhs: Array, rhs: Array, bias: Array, last: Array) -> list[Array]:
    return [np.maximum(lhs @ rhs + bias, 0) @ last]


def loop(matrix: Array, rounds: Array) -> list[Array]:
    power, total = np.full_like(matrix, 0.5), np.float32(0)
    for index in range(int(rounds)):
        total += np.float32(0.5)
        power = matrix @ power
        power = power * total if index else power
    return [power, np.asarray(total)]


def reduction(values: Array) -> list[Array]:
    sums = np.sum(values * values, axis=1)
    return [sums, np.where(values > 0, values * np.sum(sums), sums[:, None])]


def views(values: Array, other: Array) -> list[Array]:
    return [(values + 1).reshape(-1), np.concatenate([values + 1, other], axis=1)]


def windows(values: Array, into: Array, sums: Array) -> list[Array]:
    taps = [values[tap : tap + len(sums)] for tap in range(3)]
    return [np.repeat(values, 2)[: len(into)], sums + sum(taps)]


MEANINGS: dict[str, Callable[..., list[Array]]] = {
    function.__name__: function for function in (matmul_chain, loop, reduction, views, windows)
}

CALLS = [
    *(
        ("matmul_chain", (floats(m, k), floats(k, n), floats(n), floats(n, 7)))
        for m, n, k in [(5, 9, 4), (1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (16, 48, 5)]
    ),
    *(("loop", (floats(n, n), np.array(rounds, np.int32))) for n, rounds in [(3, 4), (1, 1), (5, 0), (0, 2)]),
    *(("reduction", (floats(*shape),)) for shape in [(3, 4), (1, 1), (0, 4), (4, 0)]),
    *(("windows", (floats(n), floats(2 * n - 1), floats(n - 2))) for n in [7, 3, 4]),
    *(("views", (floats(m, 6), floats(m, 4))) for m in [3, 1, 0]),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize(("name", "inputs"), CALLS)
def test_every_phase_keeps_the_meaning(name: str, inputs: tuple[Array, ...], target: Target) -> None:
    module = parse((PROGRAMS / f"{name}.mlir").read_text(), name)
    options = Options((DeviceSpec("cpu"),), {"cpu": target})
    expected = MEANINGS[name](*inputs)
    pipeline.run(module, options, stop_after="form-dispatches")
    for phase in CHECKED:
        pipeline.run(module, options, phases=[phase])
        for wanted, got in zip(expected, evaluate(module, "main", inputs), strict=True):
            np.testing.assert_array_equal(got, wanted, err_msg=f"after {phase.name}")


@pytest.mark.parametrize(("n", "doubled", "sums"), [(5, 11, 3), (5, 12, 3), (5, 10, 4)])
def test_computed_indices_are_checked(n: int, doubled: int, sums: int) -> None:
    module = parse((PROGRAMS / "windows.mlir").read_text())
    pipeline.run(module, Options((DeviceSpec("cpu"),), {"cpu": X86[0]}), stop_after="form-dispatches")
    evaluate(module, "main", [floats(n), floats(2 * n), floats(n - 2)])
    with pytest.raises(ArgumentError, match=r"reads index \d+ of dimension 0 of operand 0, whose size is 5"):
        evaluate(module, "main", [floats(n), floats(doubled), floats(sums)])


def test_what_the_program_takes_for_equal_is_checked() -> None:
    module = parse((PROGRAMS / "matmul_chain.mlir").read_text())
    pipeline.run(module, Options((DeviceSpec("cpu"),), {"cpu": X86[0]}), stop_after="form-dispatches")
    right = floats(5, 9), floats(9, 4), floats(4), floats(4, 7)
    evaluate(module, "main", right)
    for index, shape in enumerate([(5, 8), (9, 3), (5,), (3, 7)]):
        wrong = [*right[:index], floats(*shape), *right[index + 1 :]]
        with pytest.raises(ArgumentError, match="which must be equal"):
            evaluate(module, "main", wrong)
