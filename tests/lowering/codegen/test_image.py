"""Linking: constants and calls are resolved across objects, whatever cannot stand alone is refused by name."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from tosaic.lowering.codegen.assemble import assemble
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.codegen.image import LinkError, link
from tosaic.lowering.target import resolve_target

from .harness import Code, Guarded

TARGET = resolve_target("x86-64-v2")


def test_tables_and_calls_between_objects() -> None:
    """`caller` in one object calls `square` in another, which reads its table; both sections move in linking."""
    square = Function("square", [("i64", "i")], result="i64", linkage="hidden")
    table = square.table("i64", [n * n for n in range(100)])
    square.ret(square.load("i64", square.element_pointer(table, "i64", square.arguments[0])))
    caller = Function("caller", [("ptr", "out"), ("i64", "i")], linkage="hidden")
    out, index = caller.arguments
    caller.store(caller.call("i64", "square", [index]), out)
    # Something in front, so that offsets are not all zero.
    padding = Function("padding", [("ptr", "out")], linkage="hidden")
    padding.store(padding.const("<4 x float>", 0.3), padding.arguments[0])
    code = Code(padding.text(), "declare hidden i64 @square(i64)\n" + caller.text(), square.text(), target=TARGET)
    assert set(code.symbols) == {"padding", "caller", "square"}
    result = Guarded(np.zeros(1, np.int64))
    for i in (0, 7, 99):
        code.call("caller", result.address, i)
        assert result.array[0] == i * i


def test_code_can_be_anywhere() -> None:
    f = Function("run", [("ptr", "out")], linkage="hidden")
    f.store(f.load("<4 x i32>", f.table("i32", [1, 2, 3, 4])), f.arguments[0])
    linked = link([assemble(f.text(), TARGET)])
    for _ in range(3):
        code = Code(f.text(), target=TARGET)
        result = Guarded(np.zeros(4, np.int32))
        code.call("run", result.address)
        assert result.array.tolist() == [1, 2, 3, 4]
    assert linked == link([assemble(f.text(), TARGET)]), "the same text must give the same bytes"


def test_loops_do_not_become_library_calls() -> None:
    """LLVM recognises copies and fills; "no-builtins" keeps it from calling memcpy and memset."""
    f = Function("run", [("ptr noalias", "a"), ("ptr noalias", "b"), ("i64", "n")], linkage="hidden")
    a, b, n = f.arguments
    with f.loop(0, n) as loop:
        f.store(f.load("i8", f.gep(a, loop.index)), f.gep(b, loop.index))
    with f.loop(0, n) as loop:
        f.store(f.const("i8", 0), f.gep(a, loop.index))
    source, result = Guarded(np.arange(100, dtype=np.uint8)), Guarded(np.zeros(100, np.uint8))
    Code(f.text(), target=TARGET).call("run", source.address, result.address, 100)
    assert result.array.tolist() == list(range(100))
    assert not source.array.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("declare void @elsewhere()\ndefine void @run() {\n call void @elsewhere()\n ret void\n}", "elsewhere"),
        ("define float @run(float %x) {\n %y = call float @llvm.sin.f32(float %x)\n ret float %y\n}", "sinf"),
        ("@counter = internal global i32 1\ndefine ptr @run() {\n ret ptr @counter\n}", "writable"),
        (
            "@p = hidden constant ptr @run\ndefine ptr @run() {\n %q = load volatile ptr, ptr @p\n ret ptr %q\n}",
            "writable",
        ),
    ],
)
def test_what_cannot_stand_alone_is_refused(text: str, message: str) -> None:
    with pytest.raises(LinkError, match=message):
        link([assemble(text, TARGET)])


def test_a_name_defined_twice_is_refused() -> None:
    text = "define hidden void @run() {\n ret void\n}"
    with pytest.raises(LinkError, match="run is defined twice"):
        link([assemble(text, TARGET)] * 2)


def test_objects_of_other_kinds_are_refused() -> None:
    with pytest.raises(LinkError, match="not a little-endian 64-bit ELF"):
        link([b"MZ" + bytes(100)])
    other = bytearray(assemble("define void @run() {\n ret void\n}", TARGET))
    struct.pack_into("<H", other, 18, 8)
    with pytest.raises(LinkError, match="machine 8"):
        link([bytes(other)])


def test_text_that_is_not_llvm_ir_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="expected"):
        assemble("define nonsense", TARGET)
