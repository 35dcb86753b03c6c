"""The memory plan: no two live buffers overlap, outputs are written in place, constants are there once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering import pipeline
from tosaic.lowering.dialects.dispatch import RegionOp, SegmentOp
from tosaic.lowering.ir import byte_size, view_source
from tosaic.lowering.pipeline import Options
from tosaic.lowering.plan_memory.arena import Lifetime, place
from tosaic.lowering.plan_memory.constants import ConstantPool
from tosaic.lowering.target import resolve_target
from tosaic.runtime.artifact import ALIGNMENT
from tosaic.runtime.device import DeviceSpec
from tosaic.tosa.elements import ElementsAttr
from xdsl.dialects.builtin import ModuleOp

from .programs import Program, random_program

lifetimes = st.lists(
    st.builds(
        lambda size, begin, length: Lifetime(size, begin, begin + length),
        st.integers(0, 5000),
        st.integers(0, 30),
        st.integers(0, 8),
    ),
    max_size=40,
)


@given(lifetimes)
def test_live_buffers_are_disjoint(buffers: list[Lifetime]) -> None:
    offsets, arena_bytes = place(buffers)
    for i, (a, start) in enumerate(zip(buffers, offsets, strict=True)):
        assert start % ALIGNMENT == 0
        assert start + a.size <= arena_bytes
        for b, other in zip(buffers[:i], offsets[:i], strict=True):
            assert not a.overlaps(b) or start + a.size <= other or other + b.size <= start


@given(lifetimes)
def test_the_arena_is_no_larger_than_no_sharing_at_all(buffers: list[Lifetime]) -> None:
    _, arena_bytes = place(buffers)
    assert arena_bytes <= sum(-(-buffer.size // ALIGNMENT) * ALIGNMENT for buffer in buffers)


def test_a_chain_needs_two_buffers() -> None:
    _, arena_bytes = place([Lifetime(1000, step, step + 1) for step in range(20)])
    assert arena_bytes == 2 * 1024


def planned(module: ModuleOp) -> ModuleOp:
    pipeline.run(module, Options((DeviceSpec("cpu"),), {"cpu": resolve_target("x86-64-v3")}))
    return module


def only_segment(module: ModuleOp) -> SegmentOp:
    (segment,) = (op for op in module.walk() if isinstance(op, SegmentOp))
    return segment


def steps_of(segment: SegmentOp) -> list[RegionOp]:
    return [op for op in segment.body.block.ops if isinstance(op, RegionOp)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_step_overwrites_what_a_later_one_reads(seed: int) -> None:
    """Runs the plan on symbolic memory: every operand must still hold the value that the program means."""
    module, _ = random_program(seed, np.float32)
    segment = only_segment(planned(module))
    assert segment.arena_bytes is not None
    holds = np.full(segment.arena_bytes.value.data // ALIGNMENT, None, object)
    for region in steps_of(segment):
        assert region.buffers is not None
        for value, buffer in zip((*region.inputs, *region.outputs), region.buffers, strict=True):
            if buffer.space.data != "arena":
                continue
            first = buffer.offset.data // ALIGNMENT
            lines = slice(first, first + -(-byte_size(value.type) // ALIGNMENT))
            if value in region.outputs:
                holds[lines] = value
            else:
                assert all(line is view_source(value) for line in holds[lines])


def test_results_are_written_to_the_outputs_and_copied_only_where_needed() -> None:
    program = Program(np.float32, (1, 4, 4, 8))
    result = program.narrow(program.conv2d(np.random.default_rng(0), program.inputs[0], 8, 1))
    module = planned(program.finish(result, result, program.inputs[0], program.reshape(result, 16, 8)))
    steps = steps_of(only_segment(module))
    written = [[buffer.space.data for buffer in step.buffers or ()][len(step.inputs) :] for step in steps]
    assert written == [["output"]] * 4
    assert [step.buffers.data[-1].index.data for step in steps if step.buffers] == [0, 1, 2, 3]


def test_constants_are_aligned_and_equal_ones_shared() -> None:
    pool = ConstantPool()
    ones, more, others = np.ones(5, np.float32), np.ones(5, np.float32), np.zeros(5, np.float32)
    offsets = [pool.add(ElementsAttr.from_array(array)) for array in (ones, others, more)]
    assert offsets == [0, ALIGNMENT, 0]
    blob = pool.blob()
    assert blob.size == 2 * ALIGNMENT
    np.testing.assert_array_equal(blob[:20].view(np.float32), ones)
