"""PTX as records: modules, kernels, instructions, operands (PTX ISA 8.5, chapters 4 to 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

WIDTHS = {"pred": 1, **{f"{kind}{8 * size}": size for kind in "bsu" for size in (1, 2, 4, 8)}}
WIDTHS |= {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}
PACKED = {"s16x2": "s16", "u16x2": "u16", "f16x2": "f16", "bf16x2": "bf16"}
"""Packed types (chapter 5.2.3) and the type of each of their two numbers."""
WIDTHS |= {type: 4 for type in PACKED}
"""Bytes of each fundamental type (chapter 5.2) and packed one."""

UNUSED = "_"
"""In the place of a register of a vector: what would go there is dropped (chapter 9.7.9.8)."""


@dataclass(frozen=True)
class Register:
    """`%r1`, or a special register such as `%tid.x`."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """A number: an int, or the bits of an f32 (`0f3F800000`) or an f64 (`0d3FF0000000000000`) as a float."""

    value: int | float


@dataclass(frozen=True)
class Symbol:
    """The address of a variable, a parameter or a label."""

    name: str


@dataclass(frozen=True)
class Address:
    """`[base + offset]`; offset in bytes. Of a tensor map also coordinates: `[base, {%r1, %r2}]`."""

    base: Register | Symbol | Immediate
    offset: int = 0
    coordinates: tuple[Register | Immediate | Symbol, ...] = ()


@dataclass(frozen=True)
class Vector:
    """`{%r1, %r2}`, or `{%r1, _}`, where the symbol UNUSED stands for no register."""

    elements: tuple[Register | Immediate | Symbol, ...]


Operand: TypeAlias = Register | Immediate | Symbol | Address | Vector


@dataclass(frozen=True)
class Instruction:
    """`@!%p1 add.s32 %r1, %r2, 5;`: opcode ("add"), modifiers ("s32",), operands, guard ("%p1", negated) or None."""

    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: tuple[str, bool] | None
    line: int

    @property
    def type(self) -> str:
        """The last modifier, which in most instructions is the type."""
        return self.modifiers[-1] if self.modifiers else ""

    @property
    def name(self) -> str:
        return ".".join((self.opcode, *self.modifiers))


@dataclass(frozen=True)
class Variable:
    """A variable of a state space ("global", "const", "shared", "local", "param"): size and alignment in bytes."""

    space: str
    size: int
    alignment: int
    initial: bytes = b""


@dataclass
class Kernel:
    """A `.entry`: parameters and variables by name, types of registers by name, labels as indices of instructions.

    targets: the labels that a `.branchtargets` lists, by the label in front of it.
    """

    name: str
    parameters: dict[str, Variable] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class Module:
    """A PTX module: version ("7.0"), target ("sm_80"), kernels and variables of the module by name."""

    version: str = ""
    target: str = ""
    kernels: dict[str, Kernel] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
