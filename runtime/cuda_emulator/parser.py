"""Reads PTX text: of the grammar in the PTX ISA 8.5 what LLVM's NVPTX back end writes for kernels without calls."""

from __future__ import annotations

import re
import struct

from ..errors import MalformedFileError
from .ptx import (
    UNUSED,
    WIDTHS,
    Address,
    Immediate,
    Instruction,
    Kernel,
    Module,
    Operand,
    Register,
    Symbol,
    Variable,
    Vector,
)

_TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<float>0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16})"
    r"|(?P<integer>-?(?:0[xX][0-9a-fA-F]+|\d+)U?)"
    r"|(?P<word>[%$.A-Za-z_][\w$.]*(?:::[\w.]+)*)"
    r"|(?P<mark>[{}()\[\],;:@!+=<>|-])"
    r"|(?P<string>\"[^\"]*\")",
    re.DOTALL,
)


def parse(text: str) -> Module:
    """The module of a PTX text. Raises MalformedFileError naming the line."""
    return _Parser(text).module()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, int]] = []
        position, line = 0, 1
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise MalformedFileError(f"PTX line {line}: unexpected {text[position]!r}")
            if match.lastgroup != "space":
                self._tokens.append((str(match.lastgroup), match.group(), line))
            line += match.group().count("\n")
            position = match.end()
        self._tokens += [("end", "", line)] * 2  # whoever looks one token ahead finds one
        self._next = 0
        self._scopes: list[dict[str, str]] = []  # of the braces that are open: registers as written, and their names

    # -- tokens

    @property
    def _text(self) -> str:
        return self._tokens[self._next][1]

    @property
    def _kind(self) -> str:
        return self._tokens[self._next][0]

    @property
    def _line(self) -> int:
        return self._tokens[self._next][2]

    def _take(self) -> str:
        text = self._text
        if self._kind == "end":
            raise self._error("the text ends early")
        self._next += 1
        return text

    def _accept(self, text: str) -> bool:
        found = self._kind != "string" and self._text == text
        self._next += found
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._error(f"expected {text!r}, not {self._text!r}")

    def _integer(self) -> int:
        if self._kind != "integer":
            raise self._error(f"expected a number, not {self._text!r}")
        return int(self._take().removesuffix("U"), 0)

    def _error(self, problem: str) -> MalformedFileError:
        return MalformedFileError(f"PTX line {self._line}: {problem}")

    # -- module

    def module(self) -> Module:
        module = Module()
        while self._kind != "end":
            word = self._take()
            if word == ".version":
                module.version = self._version()
            elif word == ".target":
                module.target = self._take()
                while self._accept(","):
                    self._take()
            elif word == ".address_size":
                if self._integer() != 64:
                    raise self._error("only 64-bit addresses are known")
            elif word in (".visible", ".weak", ".extern"):
                continue
            elif word == ".entry":
                kernel = self._kernel()
                module.kernels[kernel.name] = kernel
            elif word in (".global", ".const", ".shared"):
                name, variable = self._variable(word[1:])
                module.variables[name] = variable
            elif word == ".func":
                raise self._error("functions that are called are not known; kernels are inlined whole")
            else:
                raise self._error(f"unknown directive {word!r}")
        return module

    def _version(self) -> str:
        """A version is two numbers around a dot, of which the tokens are a number and a word."""
        major = self._take()
        return major + self._take() if self._text.startswith(".") else major

    def _variable(self, space: str) -> tuple[str, Variable]:
        """`.align 8 .b8 name[16] = {1, 2};` behind its space."""
        alignment, type = 1, ""
        while self._text.startswith("."):
            word = self._take()
            if word == ".align":
                alignment = self._integer()
            elif not type:  # what follows a parameter's type says what it points to
                type = word[1:]
        if type not in WIDTHS:
            raise self._error(f"unknown type {type!r} of a variable")
        name, count = self._take(), 1
        while self._accept("["):
            count *= self._integer() if self._kind == "integer" else 0
            self._expect("]")
        initial = self._initial(type) if self._accept("=") else b""
        if self._text == ";":
            self._take()
        size = count * WIDTHS[type]
        return name, Variable(space, size, max(alignment, WIDTHS[type]), initial.ljust(size, b"\0") if initial else b"")

    def _initial(self, type: str) -> bytes:
        values: list[int | float] = []
        braces = self._accept("{")
        while True:
            values.append(self._number())
            if not self._accept(","):
                break
        if braces:
            self._expect("}")
        mask = (1 << 8 * WIDTHS[type]) - 1
        return b"".join((_bits(value, type) & mask).to_bytes(WIDTHS[type], "little") for value in values)

    def _number(self) -> int | float:
        if self._kind == "float":
            text = self._take()
            packed = bytes.fromhex(text[2:])
            return struct.unpack(">f" if text[1] in "fF" else ">d", packed)[0]
        return self._integer()

    # -- kernels

    def _kernel(self) -> Kernel:
        kernel = Kernel(self._take())
        self._expect("(")
        while not self._accept(")"):
            self._expect(".param")
            name, variable = self._variable("param")
            kernel.parameters[name] = variable
            self._accept(",")
        while self._text.startswith("."):  # .maxntid, .reqntid, .minnctapersm: promises to the driver
            self._take()
            while self._kind == "integer" or self._text == ",":
                self._take()
        self._expect("{")
        self._scopes = [{}]
        while self._scopes:
            if self._accept("{"):
                self._scopes.append({})
            elif self._accept("}"):
                self._scopes.pop()
            else:
                self._statement(kernel)
        used = {label for targets in kernel.targets.values() for label in targets}
        used |= {
            operand.name
            for instruction in kernel.instructions
            if instruction.opcode in ("bra", "brx")
            for operand in instruction.operands
            if isinstance(operand, Symbol) and operand.name not in kernel.targets
        }
        missing = used - kernel.labels.keys()
        if missing:
            raise MalformedFileError(f"PTX kernel {kernel.name}: no label {', '.join(sorted(missing))}")
        return kernel

    def _statement(self, kernel: Kernel) -> None:
        if self._accept(".reg"):
            self._declare_registers(kernel)
        elif self._text in (".local", ".shared"):
            name, variable = self._variable(self._take()[1:])
            kernel.variables[name] = variable
        elif self._text in (".pragma", ".loc", ".file"):
            while not self._accept(";"):
                self._take()
        elif self._tokens[self._next + 1][1] == ":" and self._kind == "word":
            label = self._take()
            self._expect(":")
            if self._accept(".branchtargets"):
                kernel.targets[label] = self._labels()
            else:
                kernel.labels[label] = len(kernel.instructions)
        else:
            kernel.instructions.append(self._instruction())

    def _labels(self) -> tuple[str, ...]:
        labels = [self._take()]
        while self._accept(","):
            labels.append(self._take())
        self._expect(";")
        return tuple(labels)

    def _declare_registers(self, kernel: Kernel) -> None:
        """`.b32 %r<4>;` declares %r0 to %r3."""
        type = self._take()[1:]
        if type not in WIDTHS:
            raise self._error(f"unknown type {type!r} of registers")
        while True:
            name = self._take()
            names = [name]
            if self._accept("<"):
                names = [f"{name}{number}" for number in range(self._integer())]
                self._expect(">")
            for each in names:  # a name may be declared again in other braces
                unique = each if each not in kernel.registers else f"{each}#{len(kernel.registers)}"
                self._scopes[-1][each] = unique
                kernel.registers[unique] = type
            if not self._accept(","):
                break
        self._expect(";")

    def _instruction(self) -> Instruction:
        line, guard = self._line, None
        if self._accept("@"):
            negated = self._accept("!")
            guard = (self._register(self._take()).name, negated)
        opcode, *modifiers = self._take().split(".")
        operands: list[Operand] = []
        while not self._accept(";"):
            operands.append(self._operand())
            if not self._accept(",") and not self._accept("|") and self._text != ";":
                raise self._error(f"expected , or ; not {self._text!r}")
        return Instruction(opcode, tuple(modifiers), tuple(operands), guard, line)

    def _operand(self) -> Operand:
        if self._accept("["):
            base = self._simple()
            offset = 0
            if self._accept("+") or self._kind == "integer":  # [%r1+4] or [%r1-4]
                offset = self._integer()
            coordinates: tuple[Register | Immediate | Symbol, ...] = ()
            if self._accept(","):
                self._expect("{")
                coordinates = self._elements()
            self._expect("]")
            return Address(base, offset, coordinates)
        return Vector(self._elements()) if self._accept("{") else self._simple()

    def _elements(self) -> tuple[Register | Immediate | Symbol, ...]:
        """What is in braces, of which the first was taken."""
        elements: list[Register | Immediate | Symbol] = []
        while not self._accept("}"):
            element = self._simple()
            if isinstance(element, Symbol) and element.name != UNUSED:
                raise self._error(f"{element.name!r} is no element of a vector")
            elements.append(element)
            self._accept(",")
        return tuple(elements)

    def _simple(self) -> Register | Immediate | Symbol:
        if self._kind in ("integer", "float"):
            return Immediate(self._number())
        if self._kind != "word":
            raise self._error(f"expected an operand, not {self._text!r}")
        word = self._take()
        if word.startswith("%") or any(word in scope for scope in self._scopes):
            return self._register(word)
        return Symbol(word)

    def _register(self, word: str) -> Register:
        """What is declared innermost under that name; a special register under its own."""
        return Register(next((scope[word] for scope in reversed(self._scopes) if word in scope), word))


def _bits(value: int | float, type: str) -> int:
    if isinstance(value, int):
        return value
    return int.from_bytes(struct.pack("<f" if type.endswith("32") else "<d", value), "little")
