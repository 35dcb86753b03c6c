"""Random programs, each dispatch on a random device of several: the same results as on one, and pins obeyed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tosaic.lowering import compile, pipeline
from tosaic.lowering.assign_devices import capabilities, devices_of
from tosaic.lowering.assign_devices.pins import parse_pins
from tosaic.lowering.compile import options_for
from tosaic.lowering.dialects.device import TransferOp
from tosaic.lowering.dialects.dispatch import RegionOp
from tosaic.lowering.meaning import evaluate
from tosaic.lowering.pipeline import Options
from tosaic.lowering.target import resolve_target
from tosaic.lowering.targets.devices import device_targets
from tosaic.runtime import load
from tosaic.runtime.device_spec import parse_devices
from tosaic.runtime.errors import ArgumentError, UnsupportedError
from tosaic.runtime.rates import Rates
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import ModuleOp

from ..programs import Program, random_program
from ..test_dynamic_phases import loop

DEVICES = "cpu@x86-64-v4:1,cpu@x86-64-v2:1,reference"
BINDINGS = {
    "by cost": None,
    "by kind": "conv*=cpu@x86-64-v2:1,matmul*=reference,batch*=reference,*=cpu@x86-64-v4:1",
    "by what is written": "*1x1*=reference,*f32*=cpu@x86-64-v2:1,*=cpu@x86-64-v4:1",
}


def assigned(module: ModuleOp, devices: str, place: str | None) -> ModuleOp:
    lowered = module.clone()
    specs = devices_of(lowered, parse_devices(devices))
    options = Options(specs, device_targets(specs, resolve_target("x86-64-v3")), place=place)
    pipeline.run(lowered, options, stop_after="assign-devices")
    return lowered


def fitting(module: ModuleOp, place: str | None) -> str | None:
    """Those pins that fit something in `module`; the others would be refused."""
    kept: list[str] = []
    for pin in place.split(",") if place else ():
        try:
            assigned(module, DEVICES, pin)
            kept.append(pin)
        except ArgumentError:
            continue
    return ",".join(kept) or None


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.int8], ids=["f32", "i8"])
@pytest.mark.parametrize("seed", range(2))
def test_devices_do_not_change_results(seed: int, dtype: Any, binding: str) -> None:
    """Sums in these programs are exact in any order, so the results are equal bit for bit."""
    module, inputs = random_program(seed, dtype)
    place = fitting(module, BINDINGS[binding])
    alone = compile(module, devices=["cpu:1"], target="x86-64-v3")
    together = compile(module, devices=DEVICES.split(","), place=place)
    expected = load(alone).run(inputs)
    evaluated = evaluate(assigned(module, DEVICES, place), "main", inputs)
    with load(together) as program:
        for found, meant, wanted in zip(program.run(inputs), evaluated, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
            np.testing.assert_array_equal(meant, wanted)


def chain() -> ModuleOp:
    """conv_2d, depthwise, conv_2d on f32."""
    rng = np.random.default_rng(0)
    program = Program(np.float32, (1, 6, 6, 8))
    value = program.narrow(program.conv2d(rng, program.inputs[0], 16, 3))
    value = program.narrow(program.depthwise(rng, value))
    return program.finish(program.narrow(program.conv2d(rng, value, 8, 3)))


def placed(module: ModuleOp) -> list[str]:
    found = [op for op in module.walk() if isinstance(op, RegionOp)]
    return [op.device.data for op in found if op.device is not None]


def test_pins_decide_and_the_first_that_fits_wins() -> None:
    devices = "cpu@x86-64-v4:1,cpu@x86-64-v3:1"
    lowered = assigned(chain(), devices, "depthwise=cpu@x86-64-v3:1,*=cpu@x86-64-v4:1")
    assert placed(lowered) == ["cpu@x86-64-v4:1", "cpu@x86-64-v3:1", "cpu@x86-64-v4:1"]
    transfers = [op.device.root_reference.data for op in lowered.walk() if isinstance(op, TransferOp)]
    assert transfers == ["cpu@x86-64-v3:1", "cpu@x86-64-v4:1"]


def test_the_cost_model_prefers_the_wider_machine_and_avoids_transfers() -> None:
    lowered = assigned(chain(), "cpu@x86-64-v2:1,cpu@x86-64-v4:1,reference", None)
    assert set(placed(lowered)) == {"cpu@x86-64-v4:1"}


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ("conv", "--place 'conv' is not of the form PATTERN=DEVICE"),
        ("=cpu", "--place '=cpu' is not of the form PATTERN=DEVICE"),
        ("conv*=gpu", "--place: unknown device 'gpu'; the devices are: cpu:1#1, cpu:1#2, reference"),
        ("conv*=cpu", "--place: 'cpu' may be any of cpu:1#1, cpu:1#2; name one"),
        ("conv*=reference|reference", "--place 'conv*=reference|reference' names a device twice"),
    ],
)
def test_wrong_pins_are_refused(pins: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_pins(pins, parse_devices("cpu:1,cpu:1,reference"))
    assert str(caught.value) == message


def test_a_pattern_that_fits_nothing_says_what_there_is() -> None:
    with pytest.raises(ArgumentError, match="no dispatch is called 'pool\\*'; there are: conv_2d, depthwise"):
        assigned(chain(), "cpu,reference", "pool*=cpu")


@pytest.mark.parametrize("place", ["*matmul*=reference", "element*=reference", "*=cpu:1", None])
def test_loops_and_branches_work_on_several_devices(place: str | None) -> None:
    """The sizes of this program, and how often it loops, are known to calls only."""
    path = Path(__file__).parents[1] / "dynamic" / "loop.mlir"
    matrix = np.random.default_rng(0).integers(-4, 5, (5, 5)).astype(np.float32)
    with load(compile(parse(path.read_text(), path.name), ["cpu:1", "reference"], place=place)) as program:
        for rounds in range(4):
            inputs = [matrix, np.asarray(rounds, program.inputs[1].numpy_dtype)]
            for found, expected in zip(program.run(inputs), loop(*inputs), strict=True):
                np.testing.assert_array_equal(found, expected)


def test_what_no_device_can_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation has code and a meaning, so that ignorance has to be feigned."""
    text = "func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {\n  %0 = math.exp %x : tensor<4xf32>\n"
    module = parse(text + "  return %0 : tensor<4xf32>\n}", "p.mlir")
    monkeypatch.setattr(capabilities, "has_code", lambda op: op.name != "math.exp")
    assert placed(assigned(module, "cpu,reference", None)) == ["reference"]
    monkeypatch.setitem(capabilities._KNOWS, "reference", lambda op: op.name != "math.exp")  # pyright: ignore
    message = r"can run\n  - p.mlir:\d+:\d+: math.exp, which cpu does not know\n  - .*, which reference does not know$"
    with pytest.raises(UnsupportedError, match=message):
        assigned(module, "cpu,reference", None)
    with pytest.raises(UnsupportedError, match=r"which cpu does not know$"):  # a pin leaves one device
        assigned(module, "cpu,reference", "*=cpu")


def test_what_moves_more_than_it_computes_stays_in_the_memory_where_it_is() -> None:
    """Both devices sum as fast; the second multiplies a thousand times faster, but has memory of its own."""
    here = Rates({"float32": 1e10}, 1e10, {"float32": 1e10}, 1e11, 1e-6, 1e-6)
    there = Rates({"float32": 1e13}, 1e10, {"float32": 1e10}, 1e11, 1e-6, 1e-6, link=1e9)
    sum_of = """func.func @main(%x: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
      %y = arith.addf %x, %x : tensor<1024x1024xf32>
      return %y : tensor<1024x1024xf32>
    }"""
    rates = {"cpu@x86-64-v3:1": here, "cpu@x86-64-v2:1": there}
    product = parse(
        """func.func @main(%x: tensor<512x512xf32>) -> tensor<512x512xf32> {
      %zero = "tosa.const"() <{values = dense<0.0> : tensor<1xf32>}> : () -> tensor<1xf32>
      %a = tensor.expand_shape %x [[0, 1], [2]] output_shape [1, 512, 512]
        : tensor<512x512xf32> into tensor<1x512x512xf32>
      %b = "tosa.matmul"(%a, %a, %zero, %zero) : (tensor<1x512x512xf32>, tensor<1x512x512xf32>, tensor<1xf32>,
        tensor<1xf32>) -> tensor<1x512x512xf32>
      %y = tensor.collapse_shape %b [[0, 1], [2]] : tensor<1x512x512xf32> into tensor<512x512xf32>
      return %y : tensor<512x512xf32>
    }""",
        "product",
    )
    assert placed(with_rates(parse(sum_of, "sum"), rates)) == ["cpu@x86-64-v3:1"]
    assert set(placed(with_rates(product, rates))) == {"cpu@x86-64-v2:1"}
    slow = replace(there, link=1e6)
    assert set(placed(with_rates(product, rates | {"cpu@x86-64-v2:1": slow}))) == {"cpu@x86-64-v3:1"}


def with_rates(module: ModuleOp, rates: dict[str, Rates]) -> ModuleOp:
    """`module` placed on two devices that have these rates."""
    lowered = module.clone()
    options = options_for(lowered, list(rates), resolve_target("x86-64-v3"), rates=lambda spec, _: rates[spec.name])
    pipeline.run(lowered, options, stop_after="assign-devices")
    return lowered
