"""Memory of tensors that are parts of others, and of those whose sizes only a call knows."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
import tosaic.tosa
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering import compile
from tosaic.runtime import Artifact, load
from tosaic.runtime.artifact import Segment
from tosaic.runtime.errors import ArgumentError, DeviceLostError
from tosaic.runtime.host_program.instructions import Execute, Number

TARGET = "x86-64-v3"


def compiled(text: str) -> Artifact:
    return compile(tosaic.tosa.read(textwrap.dedent(text).encode(), "test.mlir"), target=TARGET)


def only_segment(artifact: Artifact) -> Segment:
    (segment,) = artifact.variants[0].images[0].segments
    return segment


JOINED = """
    func.func @main(%a: tensor<6x16xf32>) -> (tensor<8x16xf32>, tensor<3x16xf32>) {
      %slice = tensor.extract_slice %a[2, 0] [2, 16] [1, 1] : tensor<6x16xf32> to tensor<2x16xf32>
      %e = tensor.empty() : tensor<2x16xf32>
      %exp = linalg.exp ins(%slice : tensor<2x16xf32>) outs(%e : tensor<2x16xf32>) -> tensor<2x16xf32>
      %f = tensor.empty() : tensor<6x16xf32>
      %abs = linalg.abs ins(%a : tensor<6x16xf32>) outs(%f : tensor<6x16xf32>) -> tensor<6x16xf32>
      %both = tensor.concat dim(0) %exp, %abs : (tensor<2x16xf32>, tensor<6x16xf32>) -> tensor<8x16xf32>
      %g = tensor.empty() : tensor<8x16xf32>
      %sum = linalg.add ins(%both, %both : tensor<8x16xf32>, tensor<8x16xf32>) outs(%g : tensor<8x16xf32>)
        -> tensor<8x16xf32>
      %part = tensor.extract_slice %both[4, 0] [3, 16] [1, 1] : tensor<8x16xf32> to tensor<3x16xf32>
      %h = tensor.empty() : tensor<3x16xf32>
      %neg = linalg.negf ins(%part : tensor<3x16xf32>) outs(%h : tensor<3x16xf32>) -> tensor<3x16xf32>
      return %sum, %neg : tensor<8x16xf32>, tensor<3x16xf32>
    }
"""


def test_rows_and_what_is_put_behind_each_other_are_not_copied() -> None:
    artifact = compiled(JOINED)
    a = np.random.default_rng(0).standard_normal((6, 16), np.float32)
    both = np.concatenate([np.exp(a[2:4]), np.abs(a)])
    with load(artifact, threads=2) as program:
        doubled, negated = program.run([a])
    np.testing.assert_allclose(doubled, both + both, rtol=4e-7)
    np.testing.assert_allclose(negated, -both[4:7], rtol=4e-7)
    steps = only_segment(artifact).steps
    assert not any("extract_slice" in step.description or "concat" in step.description for step in steps)


@pytest.mark.parametrize(("columns", "copies"), [(16, 0), (15, 2)])
def test_parts_that_a_gpu_could_not_load_vectors_from_are_copied(columns: int, copies: int) -> None:
    text = JOINED.replace("x16x", f"x{columns}x").replace("16]", f"{columns}]")
    module = tosaic.tosa.read(textwrap.dedent(text).encode(), "test.mlir")
    steps = only_segment(compile(module, ["cuda-emulator"])).steps
    copied = [step for step in steps if "slice" in step.description or "concat" in step.description]
    assert len(copied) == copies, [step.description for step in steps]
    assert all(buffer.offset % 16 == 0 for step in steps for buffer in step.buffers)


def test_a_result_that_is_a_part_of_another_is_copied() -> None:
    artifact = compiled(
        """
        func.func @main(%a: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<2x4xf32>) {
          %e = tensor.empty() : tensor<4x4xf32>
          %abs = linalg.abs ins(%a : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
          %part = tensor.extract_slice %abs[1, 0] [2, 4] [1, 1] : tensor<4x4xf32> to tensor<2x4xf32>
          return %abs, %part : tensor<4x4xf32>, tensor<2x4xf32>
        }
        """
    )
    a = np.random.default_rng(1).standard_normal((4, 4), np.float32)
    with load(artifact, threads=1) as program:
        whole, part = program.run([a])
    np.testing.assert_array_equal(whole, np.abs(a))
    np.testing.assert_array_equal(part, np.abs(a)[1:3])
    assert not np.shares_memory(whole, part)


CHAIN = """
    #row = affine_map<(i, j) -> (i)>
    #all = affine_map<(i, j) -> (i, j)>
    #turned = affine_map<(i, j) -> (j, i)>
    func.func @main(%a: tensor<?x?xf32>, %b: tensor<?x?xf32>) -> tensor<?x?xf32> {
      %zero = arith.constant 0.0 : f32
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %m = tensor.dim %a, %c0 : tensor<?x?xf32>
      %n = tensor.dim %b, %c1 : tensor<?x?xf32>
      %e = tensor.empty(%m, %n) : tensor<?x?xf32>
      %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
      %p = linalg.matmul ins(%a, %b : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f : tensor<?x?xf32>) -> tensor<?x?xf32>
      %v = tensor.empty(%m) : tensor<?xf32>
      %z = linalg.fill ins(%zero : f32) outs(%v : tensor<?xf32>) -> tensor<?xf32>
      %sums = linalg.generic {indexing_maps = [#all, #row], iterator_types = ["parallel", "reduction"]}
          ins(%p : tensor<?x?xf32>) outs(%z : tensor<?xf32>) {
      ^bb0(%x: f32, %s: f32):
        %t = arith.addf %x, %s : f32
        linalg.yield %t : f32
      } -> tensor<?xf32>
      %w = tensor.empty(%n, %m) : tensor<?x?xf32>
      %turned = linalg.transpose ins(%p : tensor<?x?xf32>) outs(%w : tensor<?x?xf32>) permutation = [1, 0]
      %square = tensor.empty(%m, %m) : tensor<?x?xf32>
      %filled = linalg.fill ins(%zero : f32) outs(%square : tensor<?x?xf32>) -> tensor<?x?xf32>
      %q = linalg.matmul ins(%p, %turned : tensor<?x?xf32>, tensor<?x?xf32>) outs(%filled : tensor<?x?xf32>)
          -> tensor<?x?xf32>
      %r = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
          ins(%q, %sums : tensor<?x?xf32>, tensor<?xf32>) outs(%square : tensor<?x?xf32>) {
      ^bb0(%x: f32, %s: f32, %o: f32):
        %t = arith.addf %x, %s : f32
        linalg.yield %t : f32
      } -> tensor<?x?xf32>
      return %r : tensor<?x?xf32>
    }
"""


@pytest.fixture(scope="module")
def chain() -> Artifact:
    return compiled(CHAIN)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.sampled_from([0, 1, 2, 7, 16, 33, 50])] * 3), st.integers(0, 2**32 - 1))
def test_tensors_of_unknown_sizes_do_not_lie_on_each_other(
    chain: Artifact, sizes: tuple[int, int, int], seed: int
) -> None:
    m, k, n = sizes
    random = np.random.default_rng(seed)
    a, b = (random.integers(-4, 5, shape).astype(np.float32) for shape in ((m, k), (k, n)))
    p = a @ b
    with load(chain, threads=2) as program:
        (got,) = program.run([a, b])
    np.testing.assert_array_equal(got, p @ p.T + p.sum(1)[:, None])  # small integers: exact in any order


def test_sizes_that_do_not_fit_each_other_are_refused(chain: Artifact) -> None:
    with load(chain, threads=1) as program:
        with pytest.raises(ArgumentError, match=r"matmul"):
            program.run([np.zeros((2, 3), np.float32), np.zeros((4, 5), np.float32)])
        with pytest.raises(ArgumentError, match=r"input 'input0' is float32\[2\]; expected float32\[\?x\?\]"):
            program.run([np.zeros(2, np.float32), np.zeros((4, 5), np.float32)])


def test_tensors_of_equal_unknown_sizes_take_turns() -> None:
    """Nine reversed copies behind each other need two places."""
    lines = ["%v0 = tensor.empty(%m) : tensor<?xf32>"]
    for number in range(9):
        lines.append(
            f"""%r{number + 1} = linalg.generic {{indexing_maps = [#same, #same], iterator_types = ["parallel"]}}
              ins(%r{number} : tensor<?xf32>) outs(%v0 : tensor<?xf32>) {{
            ^bb0(%x: f32, %o: f32):
              %i = linalg.index 0 : index
              %last = arith.subi %m, %one : index
              %j = arith.subi %last, %i : index
              %t = tensor.extract %r{number}[%j] : tensor<?xf32>
              linalg.yield %t : f32
            }} -> tensor<?xf32>"""
        )
    body = "\n".join(lines)
    artifact = compiled(
        f"""
        #same = affine_map<(i) -> (i)>
        func.func @main(%r0: tensor<?xf32>) -> tensor<?xf32> {{
          %zero = arith.constant 0 : index
          %one = arith.constant 1 : index
          %m = tensor.dim %r0, %zero : tensor<?xf32>
          {body}
          return %r9 : tensor<?xf32>
        }}
        """
    )
    segment = only_segment(artifact)
    assert segment.arena_bytes == -1
    places = {buffer.slot for step in segment.steps for buffer in step.buffers if buffer.space == "arena"}
    assert len(segment.steps) == 9 and len(places) == 2
    x = np.arange(5, dtype=np.float32)
    with load(artifact, threads=1) as program:
        np.testing.assert_array_equal(program.run([x])[0], x[::-1])
        assert program.run([x[:0]])[0].shape == (0,)


def test_a_static_program_needs_no_arithmetic() -> None:
    (main,) = compiled(JOINED).variants[0].programs[0].blocks
    assert [type(instruction) for instruction in main.instructions] == [Execute]
    assert not any(isinstance(instruction, Number) for instruction in main.instructions)


@pytest.fixture(scope="module")
def square() -> Artifact:
    """The square of the sum of 0 to n - 1, by way of two n x n matrices; n is an input."""
    return compiled(
        """
        #same = affine_map<(i, j) -> (i, j)>
        #turned = affine_map<(i, j) -> (j, i)>
        #one = affine_map<(i, j) -> ()>
        func.func @main(%count: tensor<index>) -> tensor<f32> {
          %zero = arith.constant 0.0 : f32
          %n = tensor.extract %count[] : tensor<index>
          %e = tensor.empty(%n, %n) : tensor<?x?xf32>
          %first = linalg.generic {indexing_maps = [#same], iterator_types = ["parallel", "parallel"]}
              outs(%e : tensor<?x?xf32>) {
          ^bb0(%o: f32):
            %i = linalg.index 0 : index
            %j = arith.index_cast %i : index to i32
            %k = arith.sitofp %j : i32 to f32
            linalg.yield %k : f32
          } -> tensor<?x?xf32>
          %second = linalg.generic {indexing_maps = [#turned, #same], iterator_types = ["parallel", "parallel"]}
              ins(%first : tensor<?x?xf32>) outs(%e : tensor<?x?xf32>) {
          ^bb0(%x: f32, %o: f32):
            linalg.yield %x : f32
          } -> tensor<?x?xf32>
          %s = tensor.empty() : tensor<f32>
          %f = linalg.fill ins(%zero : f32) outs(%s : tensor<f32>) -> tensor<f32>
          %r = linalg.generic {indexing_maps = [#same, #same, #one], iterator_types = ["reduction", "reduction"]}
              ins(%first, %second : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f : tensor<f32>) {
          ^bb0(%x: f32, %y: f32, %o: f32):
            %m = arith.mulf %x, %y : f32
            %t = arith.addf %m, %o : f32
            linalg.yield %t : f32
          } -> tensor<f32>
          return %r : tensor<f32>
        }
        """
    )


@pytest.mark.parametrize("n", [0, 1, 5])
def test_sizes_may_be_values(square: Artifact, n: int) -> None:
    with load(square, threads=1) as program:
        assert program.run([np.array(n)])[0] == sum(range(n)) ** 2


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (-2, ArgumentError, "the size -2 is less than 0"),
        (1 << 20, DeviceLostError, "device cpu: cannot allocate"),
        (1 << 32, ArgumentError, "larger than any memory"),  # whose square wraps around to 0
        (1 << 62, ArgumentError, "larger than any memory"),
    ],
)
def test_sizes_that_no_tensor_has_are_refused(square: Artifact, n: int, error: type[Exception], message: str) -> None:
    with load(square, threads=1) as program:
        with pytest.raises(error, match=message):
            program.run([np.array(n)])
        assert program.run([np.array(3)])[0] == 9, "the program goes on"
