"""Parts of contractions on several devices give the whole, bit for bit, wherever it is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tosaic.lowering import compile, pipeline
from tosaic.lowering.assign_devices.splitting import Part, shares
from tosaic.lowering.compile import options_for
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.runtime.rates import Rates
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import ModuleOp

from ..programs import Program

DEVICES = ["cpu@x86-64-v3:1", "cpu@x86-64-v2:1"]
BOTH = f"*={'|'.join(DEVICES)}"


def matmul(batch: int, rows: int, depth: int, columns: int) -> Callable[[Any], ModuleOp]:
    def build(dtype: Any) -> ModuleOp:
        program = Program(dtype, (batch, rows, depth))
        weights = program.weights(np.random.default_rng(0), batch, depth, columns)
        return program.finish(program.narrow(program.matmul(program.inputs[0], weights)))

    return build


def conv(images: int, side: int, features: int, kernel: int, stride: int = 1) -> Callable[[Any], ModuleOp]:
    def build(dtype: Any) -> ModuleOp:
        program = Program(dtype, (images, side, side, 5))
        value = program.conv2d(np.random.default_rng(0), program.inputs[0], features, kernel, stride)
        return program.finish(program.narrow(value))

    return build


def residual(dtype: Any) -> ModuleOp:
    """What is added behind the convolution is cut with its result."""
    program = Program(dtype, (1, 12, 12, 5))
    value = program.conv2d(np.random.default_rng(0), program.inputs[0], 5, 3)
    return program.finish(program.add_up(program.narrow(value), program.inputs[0]))


def gram(dtype: Any) -> ModuleOp:
    """Both operands are the same tensor, of which parts need rows for one and the whole for the other."""
    program = Program(dtype, (1, 40, 40))
    return program.finish(program.narrow(program.matmul(program.inputs[0], program.inputs[0])))


CASES = {
    "rows of a matmul": matmul(1, 100, 33, 70),
    "columns of a matmul": matmul(1, 8, 64, 300),
    "a batch of matmuls": matmul(3, 8, 16, 24),
    "rows of pixels": conv(1, 14, 16, 3),
    "rows of pixels in steps": conv(1, 14, 16, 3, 2),
    "a big window": conv(1, 9, 8, 7),
    "images": conv(4, 8, 16, 3),
    "a matmul over pixels": conv(1, 14, 16, 1),
    "features": conv(1, 1, 200, 1),
    "a residual": residual,
    "a square": gram,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.int8], ids=["f32", "i8"])
def test_parts_give_the_whole(case: str, dtype: Any) -> None:
    """Sums in these programs are exact in any order."""
    module = CASES[case](dtype)
    with load(compile(module, ["cpu:1"], "x86-64-v2")) as program:
        rng = np.random.default_rng(1)
        inputs = [rng.integers(-8, 9, tensor.shape).astype(dtype) for tensor in program.inputs]  # pyright: ignore
        expected = program.run(inputs)
    with load(compile(module, DEVICES, place=BOTH)) as program:
        found = program.run(inputs)
        working = {device for device, _ in program.main.executor.segments}
    assert working == set(DEVICES)
    for part, whole in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, whole)


def placed(module: ModuleOp, rates: Rates, devices: list[str]) -> list[str]:
    lowered = module.clone()
    options = options_for(lowered, devices, resolve_target("x86-64-v3"), rates=lambda spec, target: rates)
    pipeline.run(lowered, options, stop_after="assign-devices")
    return [op.device.data for op in lowered.walk() if isinstance(op, RegionOp) and op.device is not None]


def test_what_takes_long_is_split_and_what_does_not_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    module = matmul(1, 256, 256, 256)(np.float32)
    slow = Rates({"float32": 1e9}, 1e9, {"float32": 1e9}, 1e10, 1e-6, 20e-6)
    fast = Rates({"float32": 1e12}, 1e12, {"float32": 1e12}, 1e11, 1e-6, 20e-6)
    assert placed(module, slow, DEVICES) == DEVICES
    assert set(placed(module, fast, DEVICES)) == {DEVICES[0]}
    assert set(placed(module, slow, ["cpu@x86-64-v3:2", "cpu@x86-64-v2:1"])) == {"cpu@x86-64-v3:2"}, "two processors"


def test_weights_are_held_in_the_layouts_of_their_devices_only() -> None:
    """Columns: each device has its own columns of the weights, and together they have no more than the whole."""
    module = matmul(1, 8, 64, 512)(np.float32)
    (alone,) = (memoryview(compile(module, [device]).constants).nbytes for device in DEVICES[:1])
    both = memoryview(compile(module, DEVICES, place=BOTH).constants).nbytes
    assert both <= 1.1 * alone
    elsewhere = memoryview(compile(module, DEVICES, place=f"*={DEVICES[1]}").constants).nbytes
    assert elsewhere <= 1.1 * alone


def test_shares_are_in_proportion_and_whole_tiles() -> None:
    assert shares(100, 16, [("a", 1.0), ("b", 1.0)]) == [Part("a", 0, 64), Part("b", 64, 36)]
    assert shares(96, 16, [("a", 1.0), ("b", 2.0)]) == [Part("a", 0, 64), Part("b", 64, 32)]
    assert shares(96, 16, [("a", 1.0), ("b", 1000.0)]) == [Part("a", 0, 96)]
    assert sum(part.size for part in shares(1000, 1, [("a", 3.0), ("b", 7.0), ("c", 1.0)])) == 1000


def test_sizes_that_only_a_call_knows_are_not_cut() -> None:
    text = """
    func.func @main(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>, %c: tensor<?x?xf32>) -> tensor<?x?xf32> {
      %0 = linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%c : tensor<?x?xf32>) -> tensor<?x?xf32>
      return %0 : tensor<?x?xf32>
    }"""
    a, b, c = (np.full((4, 4), value, np.float32) for value in (1, 2, 3))
    with load(compile(parse(text), DEVICES, place=f"*matmul*={'|'.join(DEVICES)}")) as program:
        np.testing.assert_array_equal(program.run([a, b, c])[0], a @ b + c)


def test_two_contractions_in_a_row_are_both_split() -> None:
    rng = np.random.default_rng(0)
    program = Program(np.float32, (1, 64, 32))
    value = program.narrow(program.matmul(program.inputs[0], program.weights(rng, 1, 32, 48)))
    module = program.finish(program.narrow(program.matmul(value, program.weights(rng, 1, 48, 16))))
    inputs = program.example_inputs(0)
    with load(compile(module, ["cpu:1"])) as alone, load(compile(module, DEVICES, place=BOTH)) as both:
        np.testing.assert_array_equal(both.run(inputs)[0], alone.run(inputs)[0])
