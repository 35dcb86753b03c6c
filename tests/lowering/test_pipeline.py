"""The pipeline: every phase keeps the meaning of the program, stops where told, dumps and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.importers import import_model
from tosaic.lowering import pipeline
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.meaning import evaluate
from tosaic.lowering.pipeline import PHASES, Options, Phase
from tosaic.lowering.target import Target, Tile, resolve_target
from tosaic.runtime.device import DeviceSpec
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa import dialect as tosa
from tosaic.tosa import evaluate as evaluate_tosa
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp, TensorType, f32, i8
from xdsl.dialects.func import FuncOp, ReturnOp

from .programs import Array, Program, random_program


def tiles_everything(target: Target, contraction: Contraction) -> Tile:
    """A resolver whose left sides and results are in tiles too, none of which divide much."""
    return Tile(5, 4, 3, pack_rows=True)


X86 = [resolve_target(name) for name in ("x86-64-v2", "x86-64-v4+vnni")]
TARGETS = [*X86, replace(X86[0], name="tiles", resolver=tiles_everything)]


def options(target: Target) -> Options:
    return Options((DeviceSpec("cpu"),), {"cpu": target})


def check_every_phase(module: ModuleOp, inputs: list[Array], target: Target) -> None:
    expected = evaluate_tosa(module, "main", inputs)
    for number in range(len(PHASES)):
        phase = PHASES[number]
        pipeline.run(module, options(target), phases=PHASES[number : number + 1])
        for wanted, got in zip(expected, evaluate(module, "main", inputs), strict=True):
            np.testing.assert_array_equal(got, wanted, err_msg=f"after {phase.name}")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.int8]), st.sampled_from(TARGETS))
def test_every_phase_keeps_the_meaning(seed: int, dtype: Any, target: Target) -> None:
    module, inputs = random_program(seed, dtype)
    check_every_phase(module, inputs, target)


@pytest.mark.parametrize("name", ["mobilenet_v3_small_int8", "bert_mini_int8"])
def test_every_phase_keeps_the_meaning_of_a_real_model(zoo_model: Callable[[str], Path], name: str) -> None:
    module = import_model(zoo_model(name))
    (function,) = module.body.block.ops
    assert isinstance(function, FuncOp)
    rng = np.random.default_rng(0)
    inputs = []
    for type in function.function_type.inputs:
        assert isinstance(type, TensorType)
        integer = type.get_element_type() != f32
        values = rng.integers(0, 100, type.get_shape()) if integer else rng.standard_normal(type.get_shape())
        inputs.append(values.astype(np.int8 if type.get_element_type() == i8 else np.int32 if integer else np.float32))
    main = function.sym_name.data
    pipeline.run(module, options(X86[1]), stop_after="tosa-to-linalg")
    expected = evaluate(module, main, inputs)
    pipeline.run(module, options(X86[1]), phases=PHASES[1:])
    for wanted, got in zip(expected, evaluate(module, main, inputs), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_the_meaning_of_a_convolution_in_tiles_with_zero_points() -> None:
    program = Program(np.int8, (1, 8, 8, 3))
    rng = np.random.default_rng(0)
    result = program.narrow(program.conv2d(rng, program.inputs[0], 7, 3, stride=2, zero_point=-5), zero_point=3)
    check_every_phase(program.finish(result), program.example_inputs(0), X86[1])


def test_the_meaning_of_operations_on_a_scalar() -> None:
    program = Program(np.float32, (3, 5))
    total = program.inputs[0]
    for axis in (0, 1):
        total = program.add(tosa.ReduceSumOp(total, axis=axis))
    scalar = program.add(tosa.ReshapeOp(total, program.shape()))
    doubled = program.add(tosa.AddOp(scalar, scalar))
    back = program.add(tosa.ReshapeOp(doubled, program.shape(1, 1)))
    result = program.add(tosa.AddOp(back, program.inputs[0]))
    check_every_phase(program.finish(doubled, result), program.example_inputs(0), X86[1])


def test_stops_after_a_phase_and_reports_each() -> None:
    module, _ = random_program(1, np.float32)
    reported: list[str] = []
    pipeline.run(module, options(X86[0]), stop_after="set-encodings", report=lambda name, _: reported.append(name))
    assert reported == [phase.name for phase in PHASES[: len(reported)]] and reported[-1] == "set-encodings"
    names = {op.name for op in module.walk()}
    assert "encoding.set_encoding" in names or "linalg.matmul" not in names


def test_dumps_are_numbered_and_hold_no_big_constants(tmp_path: Path) -> None:
    program = Program(np.float32, (1, 4, 4, 64))
    module = program.finish(program.conv2d(np.random.default_rng(0), program.inputs[0], 64, 3))
    pipeline.run(module, options(X86[0]), dump_dir=tmp_path / "ir")
    files = sorted(path.name for path in (tmp_path / "ir").iterdir())
    assert files == [f"{number:02}-{phase.name}.mlir" for number, phase in enumerate(PHASES, 1)]
    assert max(path.stat().st_size for path in (tmp_path / "ir").iterdir()) < 20_000
    assert "dense<elided" in (tmp_path / "ir" / files[0]).read_text()


def test_the_environment_variable_dumps_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pipeline.DUMP_VARIABLE, str(tmp_path))
    module, _ = random_program(2, np.float32)
    pipeline.run(module, options(X86[0]), stop_after="tosa-to-linalg")
    assert [path.name for path in tmp_path.iterdir()] == ["01-tosa-to-linalg.mlir"]


def test_an_unknown_phase_is_an_error_that_lists_them() -> None:
    module, _ = random_program(3, np.float32)
    with pytest.raises(ArgumentError, match=r"'fuse'.*tosa-to-linalg.*plan-memory"):
        pipeline.run(module, options(X86[0]), stop_after="fuse")


def test_a_phase_that_fails_is_named_with_the_dump_variable() -> None:
    module, _ = random_program(4, np.float32)

    def break_it(module: ModuleOp, _: Options) -> None:
        raise IndexError("list index out of range")

    with pytest.raises(pipeline.PhaseError, match=r"phase broken failed: list index.*TOSAIC_DUMP_IR"):
        pipeline.run(module, options(X86[0]), phases=[Phase("broken", break_it)])


def test_a_phase_that_leaves_invalid_ir_is_named() -> None:
    module, _ = random_program(5, np.float32)

    def drop_return(module: ModuleOp, _: Options) -> None:
        function = module.body.block.first_op
        assert isinstance(function, FuncOp)
        returned = function.body.block.last_op
        assert returned is not None
        returned.detach()
        returned.erase()
        function.body.block.add_op(ReturnOp())

    with pytest.raises(pipeline.PhaseError, match="phase careless left invalid IR"):
        pipeline.run(module, options(X86[0]), phases=[Phase("careless", drop_return)])


def test_dynamic_shapes_are_refused_by_input_name() -> None:
    image, pooled = (TensorType(f32, [DYNAMIC_INDEX, size, size, 3]) for size in (4, 2))
    function = FuncOp("main", ([image], [pooled]))
    pool = tosa.MaxPool2DOp(function.body.block.args[0], kernel=(2, 2), stride=(2, 2), pad=(0, 0, 0, 0))
    function.body.block.add_ops([pool, ReturnOp(pool.output)])
    with pytest.raises(ArgumentError, match=r"input 'input0' has dynamic shape \?x4x4x3: fix it with --shape"):
        pipeline.run(ModuleOp([function]), options(X86[0]))
