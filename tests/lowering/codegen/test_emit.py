"""The vocabulary: what it folds, what it writes, and that loops, branches and masks compute what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tosaic.lowering.codegen.arithmetic import i64
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.codegen.types import Value
from tosaic.lowering.target import Target, resolve_target

from .harness import Array, Code, Guarded, targets


def function(*names: str) -> Function:
    return Function("run", [("ptr" if name != "n" else "i64", name) for name in names], linkage="hidden")


def run(f: Function, array: Array, *numbers: int, target: Target | None = None, at_end: bool = True) -> Array:
    buffer = Guarded(array, at_end=at_end)
    Code(f.text(), target=target or resolve_target("x86-64-v2")).call("run", buffer.address, *numbers)
    return buffer.array.copy()


def store_all(values: Callable[[Function, Value], list[Value]], *numbers: int) -> list[int]:
    """What a function of one number computes."""
    f = function("out", "n")
    out, n = f.arguments
    results = values(f, n)
    for i, value in enumerate(results):
        f.store(value, f.gep(out, 8 * i))
    return run(f, np.zeros(len(results), np.int64), *numbers).tolist()


def test_known_indices_fold() -> None:
    f = function("n")
    x = f.add(f.mul(i64(3), i64(4)), i64(5))
    assert x.constant == 17
    assert f.add(f.arguments[0], i64(0)) is f.arguments[0]
    assert f.mul(i64(1), f.arguments[0]) is f.arguments[0]
    assert f.mul(f.arguments[0], i64(0)).constant == 0
    assert f.sub(i64(3), i64(5)).constant == -2
    assert f.min(i64(3), i64(5)).constant == 3
    assert f.gep(f.arguments[0], 0) is f.arguments[0]
    assert f.text().count("\n") == 4, "nothing was emitted but entry and return"


def test_what_is_known_of_an_address_aligns_what_is_loaded_there() -> None:
    f = function("out", "n")
    out, n = f.arguments
    out.multiple = 16
    with f.loop(0, n, 8) as loop:
        column = f.add(f.urem(loop.index, i64(24)), i64(4))
        assert [value.multiple for value in (loop.index, column)] == [8, 4]
        assert f.gep(out, n).multiple == 1
        loaded = f.load("<4 x float>", f.element_pointer(out, "float", column))
        f.store(loaded, f.element_pointer(out, "float", f.mul(n, i64(2))))
    assert "load <4 x float>" in f.text() and f.text().count("align 16") == 1
    assert f.text().count("store <4 x float>") == f.text().count("align 8") == 1


@pytest.mark.parametrize(
    ("type", "value", "literal"),
    [
        ("float", 0.1, "0x3FB99999A0000000"),
        ("double", 0.1, "0x3FB999999999999A"),
        ("half", 1.5, "0xH3E00"),
        ("bfloat", -2.0, "0xRC000"),
        ("float", float("inf"), "0x7FF0000000000000"),
        ("i8", -3, "-3"),
        ("i1", True, "true"),
        ("<4 x i32>", 7, "splat (i32 7)"),
    ],
)
def test_literals(type: str, value: float, literal: str) -> None:
    assert function("n").const(type, value).text == literal


@pytest.mark.parametrize("trips", [0, 1, 2, 7])
@pytest.mark.parametrize("known", [True, False])
def test_loop_carries_values_and_may_run_not_at_all(trips: int, known: bool) -> None:
    def values(f: Function, n: Value) -> list[Value]:
        with f.loop(10, i64(10 + 3 * trips) if known else n, 3, [i64(100), i64(1)]) as loop:
            total, product = loop.values
            loop.yield_(f.add(total, loop.index), f.mul(product, i64(2)))
        return loop.results

    assert store_all(values, 10 + 3 * trips) == [100 + sum(range(10, 10 + 3 * trips, 3)), 2**trips]


def test_nested_loops_and_branches() -> None:
    def values(f: Function, n: Value) -> list[Value]:
        with f.loop(0, n, 1, [i64(0)]) as outer:
            with f.loop(0, outer.index, 1, outer.values) as inner:
                odd = f.icmp("eq", f.and_(inner.index, i64(1)), i64(1))
                with f.if_(odd, inner.values) as branch:
                    branch.yield_(f.add(inner.values[0], inner.index))
                inner.yield_(*branch.results)
            outer.yield_(*inner.results)
        return outer.results

    assert store_all(values, 9) == [sum(j for i in range(9) for j in range(i) if j % 2)]


def test_operands_of_different_types_are_refused() -> None:
    f = function("n")
    with pytest.raises(AssertionError, match="add of i64 and i32"):
        f.op("add", i64(1), f.const("i32", 1))


def test_a_loop_must_yield_what_it_carries() -> None:
    f = function("n")
    with pytest.raises(AssertionError, match="must yield"), f.loop(0, 5, 1, [i64(0)]):
        pass


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from([("float", np.float32, 16), ("i8", np.int8, 64), ("i8", np.int8, 16), ("i64", np.int64, 4)]),
    st.data(),
)
def test_masked_memory_stays_inside(target: Target, case: tuple[str, type, int], data: st.DataObject) -> None:
    """The first `count` lanes are doubled, right up to a guard page."""
    element, dtype, lanes = case
    count = data.draw(st.integers(0, lanes))
    f = function("out", "n")
    out, n = f.arguments
    type = f"<{lanes} x {element}>"
    mask = f.tail_mask(n, lanes)
    value = f.masked_load(type, out, mask)
    f.masked_store(f.op("fadd" if element == "float" else "add", value, value), out, mask)
    array = np.arange(1, count + 1, dtype=dtype)
    np.testing.assert_array_equal(run(f, array, count, target=target), array * 2)


def test_shuffle_and_splat() -> None:
    f = function("out")
    (out,) = f.arguments
    low = f.load("<4 x i64>", out)
    high = f.splat(f.extract(low, 3), 4)
    f.store(f.shuffle(low, high, [2, 0, 4, 1]), out)
    assert run(f, np.array([10, 20, 30, 40], np.int64)).tolist() == [30, 10, 40, 20]
