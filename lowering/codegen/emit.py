"""A small typed vocabulary for writing LLVM IR as text, so that a kernel reads like the arithmetic it does.

Text is about ten times faster to make than `llvmlite.ir` objects. Values carry their type; scalar integer literals fold
as they are combined, so that index arithmetic with known sizes costs no instruction. Loops are phi loops tested at the
bottom: the form LLVM's optimiser would rotate them into.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import gcd

from .arithmetic import Arithmetic, i64
from .instructions import Instruction, find_instruction
from .types import (
    BF16,
    I1,
    I8,
    I16,
    I32,
    I64,
    PTR,
    Value,
    bits_of,
    element_of,
    lanes_of,
    mangled,
    vector_literal,
    vector_type,
)

ATTRIBUTES = "#0"
"""The group of attributes that all functions have, which `assemble` defines: they differ from target to target."""

OUTLINED = "#1"
"""That of functions which several places of a kernel share, as it would be too long with a copy at each."""

UNLIKELY = "!0"
"""The weights, which `assemble` defines, of a branch that is hardly ever taken."""


class Branch:
    """A region entered under a condition; `results` are its yielded values, or the alternatives if not entered."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.results: list[Value] = []

    def yield_(self, *values: Value) -> None:
        self.values = list(values)


class Loop:
    """A counted loop: `index` and the carried `values` inside, `results` after it."""

    def __init__(self, index: Value, values: list[Value]) -> None:
        self.index = index
        self.values = values
        self.results: list[Value] = []
        self._yielded: list[Value] | None = None

    def yield_(self, *values: Value) -> None:
        """The carried values of the next iteration."""
        assert len(values) == len(self.values), "a loop must yield as many values as it carries"
        self._yielded = list(values)

    @property
    def yielded(self) -> list[Value]:
        assert self._yielded is not None or not self.values, "a loop with carried values must yield"
        return self._yielded or []


class Phi:
    """A value that depends on the block its block was entered from, for loops that are not counted."""

    def __init__(self, value: Value, sources: dict[str, Value | None]) -> None:
        self.value = value
        self.sources = sources

    def set(self, block: str, value: Value) -> None:
        """The value when coming from `block`, which was not known yet when the phi was placed."""
        self.sources[block] = value


class Function(Arithmetic):
    """Emits one LLVM function; `arguments` are its parameters, `text()` is the definition."""

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[str, str]],
        *,
        result: str = "void",
        linkage: str = "internal",
        attributes: str = "",
    ) -> None:
        """`parameters` are (type with attributes such as "ptr noalias", name without %)."""
        super().__init__()
        self.name = name
        self.arguments = [Value(_without_attributes(type), f"%{name}") for type, name in parameters]
        self._parameters = [f"{type} %{name}" for type, name in parameters]
        self._header = f"define {linkage} {result} @{name}", f"{ATTRIBUTES} {attributes} {{\nentry:\n"
        self._allocations: list[str] = []
        self._tables: dict[str, str] = {}
        self._helpers: list[str] = []
        self._phis: list[tuple[int, Phi]] = []
        self._block = "entry"

    def text(self) -> str:
        """The finished definition (which returns void unless `ret` was emitted), preceded by its constants."""
        lines = self._lines
        for line, phi in self._phis:
            sources = [(value, block) for block, value in phi.sources.items() if value is not None]
            lines[line] = self._phi(phi.value.text, phi.value.type, sources)
        if not lines or not lines[-1].startswith(("  ret", "  unreachable")):
            lines.append("  ret void")
        body = "\n".join([*self._allocations, *lines])
        tables = [
            f"{name} = private unnamed_addr constant {literal}, align 64\n" for literal, name in self._tables.items()
        ]
        definition, attributes = self._header
        header = f"{definition}({', '.join(self._parameters)}) {attributes}"
        return "".join([*self._helpers, *tables]) + header + body + "\n}\n"

    def add_parameter(self, type: str, name: str) -> Value:
        """One more parameter, behind the others."""
        self._parameters.append(f"{type} %{name}")
        return Value(_without_attributes(type), f"%{name}")

    def attach(self, helper: Function) -> None:
        """Lets the finished `helper`, which this function calls, come with it."""
        self._helpers.append(helper.text())

    # Hardware instructions

    def instruction(self, name: str, *operands: Value) -> Value:
        """The hardware instruction `name` of the width of its first operand (see `instructions.py`)."""
        instruction: Instruction = find_instruction(name, operands[0].type)
        assert [operand.type for operand in operands] == list(instruction.operands), f"{name} of {operands}"
        return self.call(instruction.result, instruction.intrinsic, operands)

    # Memory

    def gep(self, pointer: Value, offset: Value | int) -> Value:
        """`pointer` moved by `offset` bytes."""
        if isinstance(offset, int):
            offset = i64(offset)
        if offset.constant == 0:
            return pointer
        result = self.emit(PTR, f"getelementptr i8, ptr {pointer.text}, i64 {offset.text}")
        result.multiple = gcd(pointer.multiple, offset.divisor)
        return result

    def element_pointer(self, pointer: Value, element: str, index: Value) -> Value:
        """The address of element `index` of an array of `element`."""
        if index.constant == 0:
            return pointer
        result = self.emit(PTR, f"getelementptr {element}, ptr {pointer.text}, i64 {index.text}")
        result.multiple = gcd(pointer.multiple, index.divisor * max(bits_of(element) // 8, 1))
        return result

    def load(self, type: str, pointer: Value, align: int = 0) -> Value:
        """`align` in bytes; 0 means what is known of the address, at least that of one element, which is all that a
        tensor slice can promise."""
        return self.emit(type, f"load {type}, ptr {pointer.text}, align {align or _known_align(type, pointer)}")

    def store(self, value: Value, pointer: Value, align: int = 0) -> None:
        alignment = align or _known_align(value.type, pointer)
        self._lines.append(f"  store {value.type} {value.text}, ptr {pointer.text}, align {alignment}")

    def tail_mask(self, count: Value, lanes: int) -> Value:
        """A mask whose first `count` lanes are set (0 <= count <= lanes)."""
        if count.constant is not None:
            return self.vector_const(I1, [lane < count.constant for lane in range(lanes)])
        # As vector compares LLVM makes of this a mask register with AVX-512 and a sign mask for AVX2's vpmaskmov.
        element = I32 if lanes <= 64 else I8
        narrow = count if element == I64 else self.emit(element, f"trunc i64 {count.text} to {element}")
        return self.icmp("ult", self.iota(element, lanes), self.splat(narrow, lanes))

    def masked_load(self, type: str, pointer: Value, mask: Value, fallback: Value | None = None) -> Value:
        """Lanes under `mask` from memory, the others from `fallback` (zero); unset lanes are not read."""
        other = fallback or self.zero(type)
        return self.emit(
            type,
            f"call {type} @llvm.masked.load.{mangled(type)}.p0(ptr align {_natural_align(type)} {pointer.text}, "
            f"{mask.type} {mask.text}, {type} {other.text})",
        )

    def masked_store(self, value: Value, pointer: Value, mask: Value) -> None:
        type = value.type
        lanes = lanes_of(type)
        if mask.text == self.vector_const(I1, [lane == 0 for lane in range(lanes)]).text:
            # LLVM would store the lane in the width of what it was truncated from, beyond what the mask allows.
            self.store(self.extract(value, 0), pointer)
            return
        self._lines.append(
            f"  call void @llvm.masked.store.{mangled(type)}.p0({type} {value.text}, "
            f"ptr align {_natural_align(type)} {pointer.text}, {mask.type} {mask.text})"
        )

    def prefetch(self, pointer: Value, level: int = 1) -> None:
        """Brings the cache line at `pointer` to that level of cache; any address will do."""
        self._lines.append(f"  call void @llvm.prefetch.p0(ptr {pointer.text}, i32 0, i32 {4 - level}, i32 1)")

    def alloca(self, size: int, align: int = 64) -> Value:
        """`size` bytes on the stack, for the whole call."""
        name = self._name()
        self._allocations.append(f"  {name} = alloca [{size} x i8], align {align}")
        return Value(PTR, name)

    def table(self, element: str, values: Sequence[int | float]) -> Value:
        """A read-only array of constants in the image, the same for the same contents."""
        literal = f"[{len(values)} x {element}] [{vector_literal(vector_type(element, len(values)), values)[1:-1]}]"
        name = self._tables.setdefault(literal, f"@{self.name}.table{len(self._tables)}")
        return Value(PTR, name)

    # Control flow

    def label(self, hint: str = "block") -> str:
        """A fresh block name, to be branched to and placed."""
        self._counter += 1
        return f"{hint}{self._counter}"

    def place(self, label: str) -> None:
        """Starts the block `label`."""
        self._lines.append(f"{label}:")
        self._block = label

    def branch(self, label: str) -> None:
        self._lines.append(f"  br label %{label}")

    def branch_if(self, condition: Value, then: str, otherwise: str, *, unlikely: bool = False) -> None:
        weights = f", !prof {UNLIKELY}" if unlikely else ""
        self._lines.append(f"  br i1 {condition.text}, label %{then}, label %{otherwise}{weights}")

    def phi(self, type: str, sources: dict[str, Value | None]) -> Phi:
        """A phi of the current block by the label it came from; sources still None are set later."""
        phi = Phi(Value(type, self._name()), sources)
        self._phis.append((len(self._lines), phi))
        self._lines.append("")
        return phi

    def line(self, instruction: str) -> None:
        """`instruction` verbatim, for those without a result."""
        self._lines.append(f"  {instruction}")

    def ret(self, value: Value | None = None) -> None:
        self._lines.append("  ret void" if value is None else f"  ret {value.type} {value.text}")

    def _phi(self, name: str, type: str, sources: Sequence[tuple[Value, str]]) -> str:
        incoming = ", ".join([f"[ {value.text}, %{block} ]" for value, block in sources])
        return f"  {name} = phi {type} {incoming}"

    @contextmanager
    def loop(
        self,
        lower: Value | int,
        upper: Value | int,
        step: Value | int = 1,
        carried: Sequence[Value] = (),
    ) -> Iterator[Loop]:
        """for index in range(lower, upper, step), i64; known to run once, it is its body with no loop around it."""
        lower, upper, step = (i64(bound) if isinstance(bound, int) else bound for bound in (lower, upper, step))
        trips = _known_trips(lower, upper, step)
        if trips == 1:
            once = Loop(lower, list(carried))
            yield once
            once.results = once.yielded
            return
        body, exit = self.label("loop"), self.label("done")
        types = [value.type for value in carried]
        carried = [self._bits(value) for value in carried]
        before = self._block
        if trips:
            self.branch(body)
        else:
            self.branch_if(self.icmp("slt", lower, upper), body, exit)
        self.place(body)
        index = Value(I64, self._name(), multiple=gcd(lower.divisor, step.divisor))
        entering = [Value(value.type, self._name()) for value in carried]
        phis = len(self._lines)  # written when the values of the back edge are known
        self._lines.extend("" for _ in range(1 + len(carried)))
        loop = Loop(index, [self._of_bits(value, type) for value, type in zip(entering, types, strict=True)])
        yield loop
        leaving = [self._bits(value) for value in loop.yielded]
        following = self.op("add nsw", index, step)
        latch = self._block
        self.branch_if(self.icmp("slt", following, upper), body, exit)
        self._lines[phis] = self._phi(index.text, I64, [(lower, before), (following, latch)])
        for i, (value, initial, last) in enumerate(zip(entering, carried, leaving, strict=True)):
            self._lines[phis + 1 + i] = self._phi(value.text, value.type, [(initial, before), (last, latch)])
        self.place(exit)
        results = leaving
        if not trips:
            results = [Value(value.type, self._name()) for value in carried]
            for result, initial, last in zip(results, carried, leaving, strict=True):
                self._lines.append(self._phi(result.text, result.type, [(initial, before), (last, latch)]))
        loop.results = [self._of_bits(value, type) for value, type in zip(results, types, strict=True)]

    def _bits(self, value: Value) -> Value:
        """bf16 as the integers it goes from block to block as: LLVM would widen it, and narrow it by a library."""
        return self.bitcast(value, vector_type(I16, lanes_of(value.type))) if element_of(value.type) == BF16 else value

    def _of_bits(self, value: Value, type: str) -> Value:
        return value if value.type == type else self.bitcast(value, type)

    @contextmanager
    def if_(self, condition: Value, alternatives: Sequence[Value] = (), *, unlikely: bool = False) -> Iterator[Branch]:
        """The body runs when `condition` (i1) holds; what it yields, or else `alternatives`, are the results.

        It is put out of the way where that is `unlikely`.
        """
        then, exit = self.label("then"), self.label("endif")
        others = [self._bits(value) for value in alternatives]
        before = self._block
        self.branch_if(condition, then, exit, unlikely=unlikely)
        self.place(then)
        branch = Branch()
        yield branch
        values = [self._bits(value) for value in branch.values]
        last = self._block
        self.branch(exit)
        self.place(exit)
        results = [Value(value.type, self._name()) for value in values]
        for result, value, other in zip(results, values, others, strict=True):
            self._lines.append(self._phi(result.text, result.type, [(other, before), (value, last)]))
        branch.results = [
            self._of_bits(result, value.type) for result, value in zip(results, branch.values, strict=True)
        ]


def _known_trips(lower: Value, upper: Value, step: Value) -> int | None:
    """How often a loop with literal bounds runs, None where a bound is known only at run time."""
    if lower.constant is None or upper.constant is None or step.constant is None:
        return None
    return len(range(lower.constant, upper.constant, step.constant))


def _known_align(type: str, pointer: Value) -> int:
    """At most the greatest power of two that divides the size: LLVM widens what is aligned to more, beyond the end."""
    size = bits_of(type) * lanes_of(type) // 8
    return max(_natural_align(type), gcd(pointer.multiple, size & -size))


def _without_attributes(type: str) -> str:
    """The type of a parameter, a vector's too, behind which attributes stand."""
    return type[: type.index(">") + 1] if type.startswith("<") else type.split(" ", 1)[0]


def _natural_align(type: str) -> int:
    return max(bits_of(type) // 8, 1)
