"""The program of the documentation that shares a matrix between two devices: its phases and its results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tosaic.lowering import compile, pipeline
from tosaic.lowering.compile import options_for
from tosaic.lowering.dump import readable
from tosaic.lowering.target import resolve_target
from tosaic.runtime import load
from tosaic.runtime.api import Program
from tosaic.runtime.cpu_features import host_features
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import ModuleOp

PATH = Path(__file__).resolve().parents[2] / "docs" / "programs" / "two_devices.mlir"
SIZES = [(8, 16, 24), (17, 33, 65), (1, 1, 1), (1, 70, 3), (0, 4, 4), (4, 0, 4), (4, 4, 0), (128, 256, 64)]
needs_avx512 = pytest.mark.skipif("avx512f" not in host_features(), reason="the program is for AVX-512")


def module() -> ModuleOp:
    return parse(PATH.read_text(), PATH.name)


@pytest.fixture(scope="module", params=["", "cpu:1", "cpu@x86-64-v2:1,cpu:1", "reference"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    if not request.param and "avx512f" not in host_features():
        pytest.skip("the program is for AVX-512")
    devices = request.param.split(",") if request.param else ()
    with load(compile(module(), devices)) as program:
        yield program


@pytest.mark.parametrize("sizes", SIZES)
def test_the_sum_equals_that_of_numpy(program: Program, sizes: tuple[int, int, int]) -> None:
    """Wherever the declared devices are put; small integers are added up exactly in any order."""
    m, k, n = sizes
    rng = np.random.default_rng(0)
    a, b, shared = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((m, k), (m, k), (k, n)))
    (result,) = program.run([shared, a, b])
    np.testing.assert_array_equal(result, (a + b) @ shared)


def test_after_specialisation_the_shared_matrix_has_a_layout_for_each_device() -> None:
    lowered = module()
    options = options_for(lowered, (), resolve_target("x86-64-v3"))
    pipeline.run(lowered, options, stop_after="specialize-encodings")
    text = readable(lowered)
    layouts = dict(re.findall(r"^#(layout\d+) = .*inner_tiles = (\[[\d, ]+\])", text, re.MULTILINE))
    brought = re.search(r"(%\w+) = device.transfer %shared to @plain", text)
    assert brought is not None
    for source, tiles in ((brought[1], "[8, 8]"), ("%shared", "[32, 1]")):
        used = re.search(rf"encoding.set_encoding {source} : .*#(layout\d+)>", text)
        assert used is not None
        assert layouts[used[1]] == tiles
    assert len(re.findall("device.transfer", text)) == 3, "the shared matrix, the other operand and the product"


@needs_avx512
def test_neither_device_waits_for_the_other_to_multiply() -> None:
    with load(compile(module())) as program:
        work = [
            (device, [step.description for step in segment.steps]) for device, segment in program.main.executor.segments
        ]
    multiplying = [device for device, steps in work if any("matmul" in step or "mmt4d" in step for step in steps)]
    assert sorted(multiplying) == ["plain", "wide"]
    (adding,) = [steps for device, steps in work if device == "wide" and not any("matmul" in step for step in steps)]
    assert len(adding) == 1
