"""From a program to an artifact that runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering import compile
from tosaic.lowering.pipeline import PhaseError
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.runtime.artifact import DeviceSlot
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa import evaluate
from tosaic.tosa.text import print_module

from .programs import Program, random_program


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.int8]))
def test_random_programs_run_as_they_mean(seed: int, dtype: Any) -> None:
    module, inputs = random_program(seed, dtype)
    expected = evaluate(module, "main", inputs)
    with load(compile(module)) as program:
        for wanted, got in zip(expected, program.run(inputs), strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3"])
def test_older_levels_run_too(target: str) -> None:
    module, inputs = random_program(7, np.int8)
    expected = evaluate(module, "main", inputs)
    with load(compile(module, target=target)) as program:
        for wanted, got in zip(expected, program.run(inputs), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_the_module_is_not_changed() -> None:
    module, _ = random_program(8, np.float32)
    before = print_module(module)
    compile(module, target="x86-64-v2")
    assert print_module(module) == before


def test_equal_dispatches_share_a_kernel() -> None:
    program = Program(np.float32, (1, 6, 6, 16))
    rng = np.random.default_rng(0)
    value = program.inputs[0]
    for _ in range(3):
        value = program.narrow(program.conv2d(rng, value, 16, 3))
    steps = compile(program.finish(value)).variants[0].images[0].segments[0].steps
    assert len(steps) == 3
    assert len({step.kernel for step in steps}) == 1
    assert steps[0].flops > 2 * 6 * 6 * 16 * 9 * 16
    assert "conv_2d 3x3" in steps[0].description


def test_several_targets_share_constants_and_list_the_best_first() -> None:
    program = Program(np.int8, (1, 4, 4, 8))
    rng = np.random.default_rng(0)
    filtered = program.narrow(program.depthwise(rng, program.inputs[0]))  # its filter stays in rows for all targets
    module = program.finish(program.narrow(program.conv2d(rng, filtered, 8, 1)))
    both = compile(module, target=["x86-64-v2", "x86-64-v4+vnni"])
    images = [image for variant in both.variants for image in variant.images]
    assert [image.target for image in images] == ["x86-64-v4+vnni", "x86-64-v2"]
    assert images[1].features == resolve_target("x86-64-v2").features
    assert images[0].segments != images[1].segments
    alone = [compile(module, target=image.target) for image in images]
    for image, artifact in zip(images, alone, strict=True):
        (segment,), (own_segment,) = image.segments, artifact.variants[0].images[0].segments
        for step, own in zip(segment.steps, own_segment.steps, strict=True):
            assert (step.kernel, step.description) == (own.kernel, own.description), "a plan is that of its own target"
    assert len(both.constants) < sum(len(artifact.constants) for artifact in alone)


def test_names_types_and_devices_reach_the_artifact() -> None:
    program = Program(np.float32, (1, 4))
    artifact = compile(program.finish(program.inputs[0]), devices=["cpu:2"], target="x86-64-v2")
    (signature,) = artifact.signatures
    assert str(signature.inputs[0]) == "input0: float32[1x4]"
    assert str(signature.outputs[0]) == "output0: float32[1x4]"
    assert artifact.devices == (DeviceSlot("cpu:2", "cpu", 2),) and artifact.metadata["target"] == "x86-64-v2"


def test_a_failure_of_code_generation_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("LLVM IR parsing error\nexpected type")

    # `tosaic.lowering.compile` is the function: it hides the module of the same name.
    monkeypatch.setattr(import_module("tosaic.lowering.backends"), "build_image", fail)
    program = Program(np.float32, (1, 4))
    with pytest.raises(PhaseError) as caught:
        compile(program.finish(program.inputs[0]))
    assert str(caught.value).startswith("phase codegen failed: LLVM IR parsing error (set TOSAIC_DUMP_IR")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"devices": ["tpu"]}, "unknown device 'tpu'"),
        ({"devices": ["cpu", "cpu"], "place": "*=gpu"}, "unknown device 'gpu'; the devices are: cpu#1, cpu#2"),
        ({"target": "z80"}, "unknown target 'z80'"),
        ({"target": []}, "at least one target"),
        ({"precision": "f4"}, "unknown precision 'f4'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    program = Program(np.float32, (1, 4))
    with pytest.raises(ArgumentError, match=message):
        compile(program.finish(program.inputs[0]), **arguments)
