"""PTX text as records, and what is no PTX as an error with its line."""

from __future__ import annotations

import random

import pytest
from tosaic.runtime.cuda_emulator.parser import parse
from tosaic.runtime.cuda_emulator.ptx import Address, Immediate, Register, Symbol, Vector
from tosaic.runtime.errors import MalformedFileError

from .kernels import HEADER

_MODULE = (
    HEADER
    + """
// a comment
.visible .global .align 4 .b8 table[6] = {1, 2, 255};
.global .align 8 .b64 pair[2] = {0d3FF0000000000000, 3};
.visible .entry first(.param .u64 .ptr .global .align 16 a, .param .u32 n)
.maxntid 128, 1, 1
{
  .reg .pred %p<2>;
  .reg .b32 %r<3>;
  .reg .b64 %rd1, %rd2;
  .shared .align 16 .b8 tile[1024];
$start:
  @!%p1 bra.uni $end; /* another
  comment */
  { .reg .b16 tmp; mov.b32 {tmp, %r1}, %r2; }
  { .reg .b32 tmp; mov.b32 tmp, 0x10U; }
  ld.global.v2.b32 {%r1, %r2}, [%rd1+-8];
  mov.f32 %r1, 0f3F800000;
  ld.param.u32 %r1, [n];
$end:
  ret;
}
"""
)


def test_modules() -> None:
    module = parse(_MODULE)
    assert (module.version, module.target) == ("7.0", "sm_80")
    table, pair = module.variables["table"], module.variables["pair"]
    assert (table.space, table.size, table.alignment, table.initial) == ("global", 6, 4, b"\x01\x02\xff\0\0\0")
    assert pair.initial == b"\0\0\0\0\0\0\xf0\x3f" + bytes([3, 0, 0, 0, 0, 0, 0, 0])
    kernel = module.kernels["first"]
    assert [(name, each.size) for name, each in kernel.parameters.items()] == [("a", 8), ("n", 4)]
    assert kernel.variables["tile"].size == 1024
    assert kernel.labels == {"$start": 0, "$end": 6}


def test_instructions() -> None:
    branch, unpack, move, load, number, parameter, end = parse(_MODULE).kernels["first"].instructions
    assert (branch.name, branch.guard, branch.operands) == ("bra.uni", ("%p1", True), (Symbol("$end"),))
    assert unpack.operands == (Vector((Register("tmp"), Register("%r1"))), Register("%r2"))
    (inner, sixteen) = move.operands
    assert isinstance(inner, Register) and inner != Register("tmp"), "another register of that name, in other braces"
    assert sixteen == Immediate(16)
    assert load.operands == (Vector((Register("%r1"), Register("%r2"))), Address(Register("%rd1"), -8))
    assert number.operands[1] == Immediate(1.0)
    assert parameter.operands[1] == Address(Symbol("n"))
    assert (end.opcode, end.line) == ("ret", 24)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("mov.b32 %r1 %r2;", r"line 4: expected , or ; not '%r2'"),
        ("bra $nowhere;", r"kernel k: no label \$nowhere"),
        ("mov.b32 %r1, ?;", r"line 4: unexpected '\?'"),
        (".reg .b128 %q<2>;", "line 4: unknown type 'b128'"),
        ("", "line 5: the text ends early"),
    ],
)
def test_errors(wrong: str, problem: str) -> None:
    end = "}" if wrong else ""
    with pytest.raises(MalformedFileError, match=problem):
        parse(HEADER + ".entry k() { .reg .b32 %r<3>; " + wrong + "\n" + end)


def test_functions_that_are_called_are_refused() -> None:
    with pytest.raises(MalformedFileError, match=r"line 4: functions that are called are not known"):
        parse(HEADER + ".func f() { ret; }")


def test_damaged_text_is_an_error_or_other_ptx() -> None:
    """Whatever is wrong, no other exception than the one users see."""
    source = random.Random(0)
    refused = 0
    for _ in range(2000):
        begin = source.randrange(len(_MODULE))
        middle = source.choice(["", "{", "}", ";", "%", ".", "[", "0x", "-", "é", _MODULE[: source.randrange(30)]])
        try:
            parse(_MODULE[:begin] + middle + _MODULE[begin + source.randrange(8) :])
        except MalformedFileError:
            refused += 1
    assert refused > 1000
