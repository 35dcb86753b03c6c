"""Host programs compute what their instructions say, for every tuple of shapes, and refuse what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tosaic.runtime.artifact import TensorType
from tosaic.runtime.errors import ArgumentError
from tosaic.runtime.host_program.instructions import (
    NONE,
    Block,
    Check,
    Concat,
    Constant,
    Dim,
    Execute,
    Extract,
    For,
    FromElements,
    HostProgram,
    If,
    Instruction,
    Number,
    Reshape,
    Scalar,
    Slice,
    Transfer,
    While,
)
from tosaic.runtime.host_program.interpreter import Interpreter
from tosaic.runtime.host_program.station import Station

from .fakes import segment, station

VECTOR = TensorType("float32", (None,))
MATRIX = TensorType("float32", (None, 4))


def interpreter(
    instructions: Sequence[Instruction],
    yields: Sequence[int],
    *blocks: Block,
    inputs: int = 1,
    stations: Sequence[Station] = (),
    constants: bytes = b"",
) -> Interpreter:
    main = Block(tuple(range(inputs)), tuple(instructions), tuple(yields))
    program = HostProgram("main", 64, (main, *blocks))
    return Interpreter(program, stations, np.frombuffer(constants, np.uint8))


def run(instructions: Sequence[Instruction], yields: Sequence[int], *blocks: Block, inputs: Sequence[Any] = ()) -> Any:
    return interpreter(instructions, yields, *blocks, inputs=len(inputs)).run([np.asarray(i) for i in inputs])


def index(register: int, value: int) -> Number:
    return Number("index", value, register)


def arith(name: str, operands: Sequence[int], result: int, predicate: int = 0) -> Scalar:
    return Scalar(f"arith.{name}", tuple(operands), "index", "i1" if name == "cmpi" else "index", result, predicate)


def test_sizes_are_computed_for_each_tuple_of_shapes() -> None:
    """The last dimension's size times three, plus one, as a tensor."""
    program = interpreter(
        [
            Dim(0, 1, 1),
            index(2, 3),
            arith("muli", (1, 2), 3),
            index(4, 1),
            arith("addi", (3, 4), 5),
            FromElements("int64", (1,), (5,), 6),
        ],
        [6],
    )
    for _ in range(2):
        for size in (0, 1, 7):
            np.testing.assert_array_equal(program.run([np.zeros((2, size))])[0], [3 * size + 1])


def test_integers_wrap_and_floats_round() -> None:
    instructions = [
        Number("i8", 100, 0),
        Scalar("arith.addi", (0, 0), "i8", "i8", 1),
        Number("bf16", 0x3F80, 2),
        Number("bf16", 0x3B80, 3),  # 2**-8: half a step above 1
        Scalar("arith.addf", (2, 3), "bf16", "bf16", 4),
        FromElements("int8", (), (1,), 5),
        FromElements("bfloat16", (2,), (4, 3), 6),
    ]
    wrapped, rounded = run(instructions, [5, 6])
    assert wrapped == -56 and rounded.dtype == ml_dtypes.bfloat16
    assert rounded.astype(np.float32).tolist() == [1.0, 2.0**-8]


@pytest.mark.parametrize(
    ("type", "bits", "expected"),
    [
        ("f32", 0x40490FDB, np.float32(np.pi)),
        ("f64", -1 << 63, -0.0),
        ("i1", -1, True),
        ("i4", -8, -8),
        ("i64", -2, -2),
    ],
)
def test_numbers(type: str, bits: int, expected: Any) -> None:
    dtypes = {"f32": "float32", "f64": "float64", "i1": "bool", "i4": "int8", "i64": "int64"}
    (got,) = run([Number(type, bits, 0), FromElements(dtypes[type], (), (0,), 1)], [1])
    assert got == expected and (type == "i1" or np.signbit(got) == np.signbit(expected))


def test_a_function_may_return_inputs_and_constants_which_stay_its_own() -> None:
    constants = np.arange(6, dtype=np.int32).tobytes()
    program = interpreter([Constant("int32", (2,), 8, 1)], [0, 0, 1], constants=constants)
    x = np.ones((2, 3))
    first, second, constant = program.run([x])
    assert constant.tolist() == [2, 3]
    first[...] = 7
    constant[...] = 9
    assert (x == 1).all() and (second == 1).all()
    assert program.run([x])[2].tolist() == [2, 3]


def test_tensors_take_other_shapes_if_they_have_as_many_elements() -> None:
    program = interpreter([Dim(0, 0, 1), Reshape(0, (2, None), (1,), 2, "%y")], [2])
    assert program.run([np.zeros((0, 5))])[0].shape == (2, 0)
    with pytest.raises(ArgumentError, match=r"%y: \[3x4\] cannot become \[2x3\]"):
        program.run([np.zeros((3, 4))])


def test_an_element_is_taken_from_inside_of_a_tensor_only() -> None:
    program = interpreter(
        [
            index(2, 0),
            Extract(1, (2,), "index", 3, "%i"),
            Extract(0, (3,), "f32", 4, "%e"),
            FromElements("float32", (), (4,), 5),
        ],
        [5],
        inputs=2,
    )
    x = np.arange(3, dtype=np.float32)
    assert program.run([x, np.array([2])])[0] == 2
    for wrong in (-1, 3):
        with pytest.raises(ArgumentError, match=rf"%e: there is no element \[{wrong}\] in \[3\]"):
            program.run([x, np.array([wrong])])
    with pytest.raises(ArgumentError, match=r"there is no element \[0\] in \[0\]"):
        program.run([x, np.array([], np.int64)])


def test_a_check_fails_with_its_values() -> None:
    program = interpreter(
        [Dim(0, 0, 2), Dim(1, 0, 3), arith("cmpi", (2, 3), 4), Check(4, (2, 3), "add: {} rows and {} do not fit")],
        [0],
        inputs=2,
    )
    assert program.run([np.ones(3), np.ones(3)])[0].shape == (3,)
    for _ in range(2):
        with pytest.raises(ArgumentError, match="add: 3 rows and 2 do not fit"):
            program.run([np.ones(3), np.ones(2)])


def test_a_check_in_a_branch_that_is_not_taken_does_not_fail() -> None:
    failing = Block((), (Number("i1", 0, 8), Check(8, (), "never")), ())
    branch = [Number("i1", 0, 1), If(1, 1, 2, ())]
    assert len(run(branch, [0], failing, Block((), (), ()), inputs=[np.ones(1)])) == 1
    with pytest.raises(ArgumentError, match="never"):
        run(branch, [0], Block((), (), ()), failing, inputs=[np.ones(1)])


def test_loops_carry_values() -> None:
    """sum and product of 0 to n - 1, in steps of s, from an input."""
    body = Block(
        (10, 11, 12),
        (arith("addi", (10, 11), 13), index(15, 1), arith("addi", (10, 15), 16), arith("muli", (16, 12), 14)),
        (13, 14),
    )
    instructions = [
        index(1, 0),
        Extract(0, (1,), "index", 2, ""),
        index(3, 1),
        Extract(0, (3,), "index", 4, ""),
        For(1, 2, 4, (1, 3), 1, (5, 6), "%loop"),
        FromElements("int64", (2,), (5, 6), 7),
    ]
    for n, step in ((5, 1), (0, 1), (9, 4), (-3, 2)):
        expected = [sum(range(0, n, step)), int(np.prod([i + 1 for i in range(0, n, step)]))]
        assert run(instructions, [7], body, inputs=[np.array([n, step])])[0].tolist() == expected
    with pytest.raises(ArgumentError, match="%loop: the step of the loop is 0"):
        run(instructions, [7], body, inputs=[np.array([3, 0])])


def test_a_loop_runs_while_its_condition_holds() -> None:
    """Doubles until it is over 100."""
    before = Block((10,), (index(11, 100), arith("cmpi", (10, 11), 12, 3)), (12, 10))
    after = Block((13,), (arith("addi", (13, 13), 14),), (14,))
    instructions = [
        index(1, 0),
        Extract(0, (1,), "index", 2, ""),
        While((2,), 1, 2, (3,)),
        FromElements("int64", (), (3,), 4),
    ]
    assert run(instructions, [4], before, after, inputs=[np.array([3])])[0] == 192
    assert run(instructions, [4], before, after, inputs=[np.array([101])])[0] == 101


def test_rows_are_views_and_stay_inside() -> None:
    instructions = [index(1, 1), Dim(0, 0, 2), arith("subi", (2, 1), 3), Slice(0, 0, 1, 3, (None, 4), (3,), 4, "%s")]
    x = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(run(instructions, [4], inputs=[x])[0], x[1:])
    with pytest.raises(ArgumentError, match=r"%s: 1 to 0 reaches outside of dimension 0 of \[0x4\]"):
        run(instructions, [4], inputs=[np.zeros((0, 4))])


def test_tensors_are_put_behind_each_other() -> None:
    instructions = [Dim(0, 1, 2), Dim(1, 1, 3), arith("addi", (2, 3), 4), Concat((0, 1), 1, (2, None), (4,), 5, "%c")]
    a, b = np.ones((2, 3)), np.zeros((2, 2))
    np.testing.assert_array_equal(run(instructions, [5], inputs=[a, b])[0], np.concatenate([a, b], 1))
    with pytest.raises(ArgumentError, match=r"%c: \[2x3\], \[1x2\] cannot be put behind each other"):
        run(instructions, [5], inputs=[a, b[:1]])


def test_what_devices_compute_is_written_to_its_place_in_a_concatenation() -> None:
    """Each half of a tensor is doubled by a call of its own; the whole is never copied."""
    outputs: list[np.ndarray] = []
    doubling, executable = station((segment([MATRIX], [MATRIX]), lambda inputs, _: [2 * inputs[0]]))
    plain = executable.bound[0].invoke

    def invoke(inputs: Any, results: Any, *rest: Any) -> None:
        outputs.extend(results)
        plain(inputs, results, *rest)

    executable.bound[0].invoke = invoke  # type: ignore[method-assign]
    instructions = [
        index(1, 0),
        index(2, 1),
        Dim(0, 0, 3),
        arith("subi", (3, 2), 4),
        Slice(0, 0, 1, 2, (None, 4), (2,), 5, ""),
        Slice(0, 0, 2, 4, (None, 4), (4,), 6, ""),
        Execute(0, 0, (5,), (), (2,), NONE, (7,)),
        Execute(0, 0, (6,), (), (4,), NONE, (8,)),
        Transfer(8, 0, 9),
        Concat((7, 9), 0, (None, 4), (3,), 10, ""),
    ]
    program = interpreter(instructions, [10, 7], stations=[doubling])
    for rows in (3, 1, 5):
        x = np.random.default_rng(rows).random((rows, 4), np.float32)
        outputs.clear()
        whole, part = program.run([x])
        np.testing.assert_array_equal(whole, 2 * x)
        np.testing.assert_array_equal(part, 2 * x[:1])
        assert all(np.shares_memory(whole, output) for output in outputs if output.size)
        assert not np.shares_memory(whole, part), "results are arrays of their own"


def test_a_call_hands_over_sizes_scalars_and_the_size_of_its_arena() -> None:
    tables: list[list[int]] = []

    def compute(inputs: Sequence[np.ndarray], table: Any) -> Sequence[np.ndarray]:
        tables.append(table.tolist())
        return [inputs[0]]

    fake, executable = station((segment([VECTOR], [VECTOR], scalars=3, arena=-1), compute))
    program = interpreter(
        [
            Dim(0, 0, 1),
            Number("f32", 0x3F800000, 2),
            Number("i8", -2, 3),
            Number("index", -5, 4),
            index(5, 64),
            arith("muli", (1, 5), 6),
            Execute(0, 0, (0,), (2, 3, 4), (1,), 6, (7,)),
        ],
        [7],
        stations=[fake],
    )
    for size in (3, 3, 0):
        assert program.run([np.ones(size, np.float32)])[0].shape == (size,)
    assert tables == [[n, 0x3F800000, 254, -5] for n in (3, 3, 0)]
    assert executable.bound[0].arenas == [192, 192, 0]


def test_a_result_of_negative_size_is_refused() -> None:
    fake, _ = station((segment([VECTOR], [VECTOR]), lambda inputs, _: inputs))
    program = interpreter([Number("index", -1, 1), Execute(0, 0, (0,), (), (1,), NONE, (2,))], [2], stations=[fake])
    with pytest.raises(ArgumentError, match=r"impossible shape \[-1\]"):
        program.run([np.ones(1, np.float32)])


def test_a_size_that_is_negative_in_a_branch_that_is_not_taken_does_not_matter() -> None:
    fake, _ = station((segment([VECTOR], [VECTOR]), lambda inputs, _: [inputs[0][2:]]))
    shorter = Block((), (Execute(0, 0, (0,), (), (3,), NONE, (5,)),), (5,))
    same = Block((), (), (0,))
    program = interpreter(
        [Dim(0, 0, 1), index(2, 2), arith("subi", (1, 2), 3), arith("cmpi", (1, 2), 4, 5), If(4, 1, 2, (6,))],
        [6],
        shorter,
        same,
        stations=[fake],
    )
    for size, expected in ((5, 3), (2, 0), (1, 1), (0, 0)):
        assert program.run([np.ones(size, np.float32)])[0].shape == (expected,)


def test_memory_of_what_no_caller_gets_serves_again() -> None:
    places: list[int] = []

    def compute(inputs: Sequence[np.ndarray], _: Any) -> Sequence[np.ndarray]:
        places.append(inputs[0].ctypes.data)
        return [inputs[0] + 1]

    fake, _ = station((segment([VECTOR], [VECTOR]), compute))
    calls = [Execute(0, 0, (register,), (), (1,), NONE, (register + 2,)) for register in (0, 2, 4)]
    program = interpreter([Dim(0, 0, 1), *calls], [6], stations=[fake])
    results = [program.run([np.full(n, n, np.float32)])[0] for n in (5, 5, 9, 5)]
    assert [result.tolist() for result in results] == [[n + 3.0] * n for n in (5, 5, 9, 5)]
    inside = [places[3 * run + 1 : 3 * run + 3] for run in range(4)]
    assert inside[0] == inside[1] and len({*inside[0]}) == 2
    assert not any(np.shares_memory(a, b) for i, a in enumerate(results) for b in results[:i])


def test_shapes_that_never_repeat_do_not_fill_the_memory() -> None:
    program = interpreter([Dim(0, 0, 1), FromElements("int64", (), (1,), 2)], [2])
    for size in range(200):
        assert program.run([np.zeros(size)])[0] == size
    assert len(program._plans) <= 64
