"""Arithmetic, casts, constants and vector shuffles of the emitter: everything that computes values from values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd

from .types import (
    I1,
    I64,
    Value,
    lanes_of,
    mangled,
    splat_literal,
    split_type,
    vector_literal,
    vector_type,
)


def i64(value: int) -> Value:
    return Value(I64, str(value), value)


class Arithmetic:
    """Appends instructions to `_lines`. Scalar i64 literals fold, so that known index arithmetic costs nothing."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._counter = 0

    def _name(self) -> str:
        self._counter += 1
        return f"%v{self._counter}"

    def emit(self, type: str, instruction: str) -> Value:
        """`instruction` verbatim, its result named and typed."""
        self._counter += 1
        name = f"%v{self._counter}"
        self._lines.append(f"  {name} = {instruction}")
        return Value(type, name)

    def op(self, opcode: str, a: Value, b: Value) -> Value:
        """A binary instruction such as "add" or "fmul", with its flags if any ("add nsw")."""
        assert a.type == b.type, f"{opcode} of {a.type} and {b.type}"
        self._counter += 1
        name = f"%v{self._counter}"
        self._lines.append(f"  {name} = {opcode} {a.type} {a.text}, {b.text}")
        return Value(a.type, name)

    def add(self, a: Value, b: Value) -> Value:
        if a.constant is not None:
            a, b = b, a
        if b.constant == 0:
            return a
        if a.constant is not None and b.constant is not None and a.type == I64:
            return i64(a.constant + b.constant)
        result = self.op("add", a, b)
        result.multiple = gcd(a.divisor, b.divisor)
        return result

    def sub(self, a: Value, b: Value) -> Value:
        if b.constant == 0:
            return a
        if a.constant is not None and b.constant is not None and a.type == I64:
            return i64(a.constant - b.constant)
        result = self.op("sub", a, b)
        result.multiple = gcd(a.divisor, b.divisor)
        return result

    def mul(self, a: Value, b: Value) -> Value:
        if a.constant is not None:
            a, b = b, a
        if b.constant == 1:
            return a
        if b.constant == 0:
            return b
        if a.constant is not None and b.constant is not None and a.type == I64:
            return i64(a.constant * b.constant)
        result = self.op("mul", a, b)
        result.multiple = a.divisor * b.divisor
        return result

    def udiv(self, a: Value, b: Value) -> Value:
        if b.constant == 1:
            return a
        result = self.op("udiv", a, b)
        if b.constant and a.divisor % b.constant == 0:
            result.multiple = a.divisor // b.constant
        return result

    def urem(self, a: Value, b: Value) -> Value:
        if b.constant == 1:
            return self.const(a.type, 0)
        result = self.op("urem", a, b)
        result.multiple = gcd(a.divisor, b.divisor)
        return result

    def ceildiv(self, a: Value, b: Value) -> Value:
        """The quotient of two sizes, rounded up."""
        if a.constant is not None and b.constant is not None:
            return self.const(a.type, -(-a.constant // b.constant))
        return self.udiv(self.add(a, self.sub(b, self.const(b.type, 1))), b)

    def and_(self, a: Value, b: Value) -> Value:
        return self.op("and", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        return self.op("or", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        return self.op("xor", a, b)

    def shl(self, a: Value, b: Value) -> Value:
        return self.op("shl", a, b)

    def ashr(self, a: Value, b: Value) -> Value:
        return self.op("ashr", a, b)

    def lshr(self, a: Value, b: Value) -> Value:
        return self.op("lshr", a, b)

    def fadd(self, a: Value, b: Value) -> Value:
        return self.op("fadd", a, b)

    def fsub(self, a: Value, b: Value) -> Value:
        return self.op("fsub", a, b)

    def fmul(self, a: Value, b: Value) -> Value:
        return self.op("fmul", a, b)

    def fdiv(self, a: Value, b: Value) -> Value:
        return self.op("fdiv", a, b)

    def fneg(self, a: Value) -> Value:
        return self.emit(a.type, f"fneg {a.type} {a.text}")

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once where the CPU has FMA, twice where it has not (never a libm call)."""
        return self.call_intrinsic("llvm.fmuladd", a.type, [a, b, c])

    def icmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self._compare("icmp", predicate, a, b)

    def fcmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self._compare("fcmp", predicate, a, b)

    def _compare(self, opcode: str, predicate: str, a: Value, b: Value) -> Value:
        assert a.type == b.type, f"{opcode} of {a.type} and {b.type}"
        return self.emit(vector_type(I1, lanes_of(a.type)), f"{opcode} {predicate} {a.type} {a.text}, {b.text}")

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        assert a.type == b.type, f"select of {a.type} and {b.type}"
        result = self.emit(a.type, f"select {condition.type} {condition.text}, {a.type} {a.text}, {b.type} {b.text}")
        result.multiple = gcd(a.divisor, b.divisor)
        return result

    def any(self, mask: Value) -> Value:
        """Whether any lane of <N x i1> is set (i1)."""
        bits = f"i{lanes_of(mask.type)}"
        return self.icmp("ne", self.bitcast(mask, bits), self.const(bits, 0))

    def min(self, a: Value, b: Value) -> Value:
        """The smaller of two signed integers."""
        return self._extremum(min, "llvm.smin", a, b)

    def max(self, a: Value, b: Value) -> Value:
        """The larger of two signed integers."""
        return self._extremum(max, "llvm.smax", a, b)

    def _extremum(self, fold: Callable[[int, int], int], intrinsic: str, a: Value, b: Value) -> Value:
        if a.constant is not None and b.constant is not None:
            return self.const(a.type, fold(a.constant, b.constant))
        result = self.call_intrinsic(intrinsic, a.type, [a, b])
        result.multiple = gcd(a.divisor, b.divisor)
        return result

    def cast(self, opcode: str, value: Value, element: str) -> Value:
        """A conversion ("sext", "zext", "trunc", "sitofp", "fpext", ...) of every lane to `element`."""
        type = vector_type(element, lanes_of(value.type))
        if type == value.type:
            return value
        if value.constant is not None and opcode in ("sext", "zext"):
            return self.const(type, value.constant)
        result = self.emit(type, f"{opcode} {value.type} {value.text} to {type}")
        if opcode in ("sext", "zext"):
            result.multiple = value.multiple
        return result

    def bitcast(self, value: Value, type: str) -> Value:
        return value if value.type == type else self.emit(type, f"bitcast {value.type} {value.text} to {type}")

    # Constants and vectors

    def const(self, type: str, value: int | float | bool) -> Value:
        """A literal; of a vector type, `value` in every lane."""
        scalar_integer = type[0] == "i" and type != I1
        return Value(type, splat_literal(type, value), int(value) if scalar_integer else None)

    def vector_const(self, element: str, values: Sequence[int | float | bool]) -> Value:
        type = vector_type(element, len(values))
        return self.const(type, values[0]) if len(values) == 1 else Value(type, vector_literal(type, values))

    def zero(self, type: str) -> Value:
        if type.startswith("<"):
            return Value(type, "zeroinitializer")
        return self.const(type, 0)

    def undefined(self, type: str) -> Value:
        return Value(type, "poison")

    def iota(self, element: str, lanes: int) -> Value:
        """0, 1, 2, ..."""
        return self.vector_const(element, range(lanes))

    def splat(self, value: Value, lanes: int) -> Value:
        """A scalar in all of `lanes` lanes."""
        if lanes == 1:
            return value
        type = vector_type(value.type, lanes)
        if not value.text.startswith("%") and value.text != "poison":
            return Value(type, f"splat ({value.type} {value.text})")
        first = self.emit(type, f"insertelement {type} poison, {value.type} {value.text}, i64 0")
        return self.emit(type, f"shufflevector {type} {first.text}, {type} poison, <{lanes} x i32> zeroinitializer")

    def extract(self, vector: Value, lane: int | Value) -> Value:
        element, lanes = split_type(vector.type)
        if lanes == 1:
            return vector
        text = str(lane) if isinstance(lane, int) else lane.text
        return self.emit(element, f"extractelement {vector.type} {vector.text}, i64 {text}")

    def insert(self, vector: Value, scalar: Value, lane: int) -> Value:
        if not vector.type.startswith("<"):
            return scalar
        return self.emit(
            vector.type, f"insertelement {vector.type} {vector.text}, {scalar.type} {scalar.text}, i64 {lane}"
        )

    def shuffle(self, a: Value, b: Value | None, lanes: Sequence[int]) -> Value:
        """Lanes picked from `a` followed by `b`; -1 picks anything."""
        type = vector_type(split_type(a.type)[0], len(lanes))
        second = "poison" if b is None else b.text
        picks = ", ".join("i32 poison" if lane < 0 else f"i32 {lane}" for lane in lanes)
        return self.emit(
            f"<{len(lanes)} x {split_type(a.type)[0]}>" if len(lanes) == 1 else type,
            f"shufflevector {a.type} {a.text}, {a.type} {second}, <{len(lanes)} x i32> <{picks}>",
        )

    # Calls

    def call(self, result: str, callee: str, arguments: Sequence[Value]) -> Value:
        """A call of `@callee`; the value is meaningless when `result` is "void"."""
        operands = ", ".join([f"{a.type} {a.text}" for a in arguments])
        if result == "void":
            self._lines.append(f"  call void @{callee}({operands})")
            return Value("void", "")
        return self.emit(result, f"call {result} @{callee}({operands})")

    def call_intrinsic(self, name: str, type: str, arguments: Sequence[Value]) -> Value:
        """An intrinsic overloaded on its result: `llvm.fabs` at <8 x float> is `llvm.fabs.v8f32`."""
        return self.call(type, f"{name}.{mangled(type)}", arguments)
