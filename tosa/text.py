"""MLIR text: generic form with `dense_resource` blobs is written; generic and custom forms are read.

The generic form is the only text that MLIR 22, IREE and tosa-opt all accept: their custom syntaxes of TOSA differ. The
blobs stand in one section at the end of the file, which is cut off before the parser sees the text and put back after
the printer is done, so that 100 MB of weights cost little more than their hexadecimal conversion.
"""

from __future__ import annotations

import binascii
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from importlib import import_module
from io import StringIO
from typing import Any, NoReturn

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import (
    AnyFloat,
    Builtin,
    DenseIntOrFPElementsAttr,
    FileLineColLoc,
    IntAttr,
    LocationAttr,
    ModuleOp,
    StringAttr,
    TensorType,
    UnknownLoc,
)
from xdsl.dialects.func import Func
from xdsl.ir import Attribute, Dialect, Operation
from xdsl.parser import AttrParser, Parser, UnresolvedOperand
from xdsl.parser.generic_parser import ParserState
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError
from xdsl.utils.lexer import Input, Span
from xdsl.utils.mlir_lexer import MLIRLexer, MLIRToken, MLIRTokenKind

from ..runtime.errors import MalformedFileError
from .dialect import Tosa, TosaOp
from .elements import ElementsAttr, numpy_dtype
from .literals import (
    INLINE_BYTES,
    array_from_blob,
    array_from_hex,
    blob_bytes,
    dense_literal,
    has_blob_form,
    static_shape,
)
from .verify import verify

_MAX_LITERAL_ELEMENTS = 1 << 30
"""One element may stand for all, so that a few letters could ask for more memory than there is."""

_WIDE_INTEGER = re.compile(r"[su]?i\d{5,}")
_SECTION_BEGIN = b"{-#"
_ENTRY = re.compile(rb'([A-Za-z_][\w.$-]*|"[^"\n]*")\s*:\s*"0x')


_DIALECTS = {
    "arith": ("tosaic.lowering.dialects.arith", "Arith"),
    "device": ("tosaic.lowering.dialects.device", "DeviceDialect"),
    "dispatch": ("tosaic.lowering.dialects.dispatch", "Dispatch"),
    "encoding": ("tosaic.lowering.dialects.encoding", "Encoding"),
    "linalg": ("tosaic.lowering.dialects.linalg", "Linalg"),
    "math": ("tosaic.lowering.dialects.math", "Math"),
    "scf": ("xdsl.dialects.scf", "Scf"),
    "tensor": ("tosaic.lowering.dialects.tensor", "Tensor"),
}
"""Dialects that programs may be written in besides TOSA and func, and where each is defined.

Names only: a model that comes through a pipe holds none of them, and reading it loads no compiler."""


def _lazy(module: str, attribute: str) -> Callable[[], Dialect]:
    return lambda: getattr(import_module(module), attribute)


def default_context() -> Context:
    """Knows TOSA and, loaded only when a text uses them, the dialects of hand-written linear algebra programs."""
    context = Context()
    for dialect in (Builtin, Func, Tosa):
        context.load_dialect(dialect)
    for name, (module, attribute) in _DIALECTS.items():
        context.register_dialect(name, _lazy(module, attribute))
    return context


def parse(text: str | bytes, name: str = "<text>", context: Context | None = None) -> ModuleOp:
    """The verified module that `text` (UTF-8 if bytes) holds. Raises MalformedFileError with line and column."""
    body, resources = _split_resources(text.encode() if isinstance(text, str) else text, name)
    parser = None
    try:
        parser = _Parser(context or default_context(), body.decode(), name, resources)
        module = parser.parse_module()
    except ParseError as error:
        where = error.span.get_location()
        reason = next((line.strip() for line in error.msg.splitlines() if line.strip()), "syntax error")
        raise MalformedFileError(f"{name}:{where.line}:{where.col}: {reason}") from error
    except UnicodeDecodeError as error:
        raise MalformedFileError(f"{name}: not MLIR text: byte {error.start} is not UTF-8") from error
    except Exception as error:  # xDSL reports some malformed attributes as ValueError, KeyError or a failed assertion
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        where = f"{name}:{parser.place()}" if parser is not None else name
        raise MalformedFileError(f"{where}: not valid MLIR: {reason}") from error
    _convert_literals(module, name)
    verify(module, name)
    return module


def print_module(module: Operation) -> str:
    """The generic form of `module`, its large constants as blobs at the end."""
    return b"".join(printed_parts(module)).decode()


def printed_parts(module: Operation) -> Iterator[bytes]:
    """The text of `module` in pieces: blobs are converted one at a time, straight to bytes."""
    stream = StringIO()
    printer = _Printer(stream)
    printer.print_op(module)
    yield stream.getvalue().encode() + b"\n"
    if printer.blobs:
        yield b"\n{-#\n  dialect_resources: {\n    builtin: {\n"
        for index, (key, elements) in enumerate(printer.blobs.items()):
            yield f'      {key}: "0x'.encode()
            yield binascii.hexlify(blob_bytes(elements.array))
            yield b'",\n' if index < len(printer.blobs) - 1 else b'"'
        yield b"\n    }\n  }\n#-}\n"


class _Printer(Printer):
    """Prints constants as MLIR literals and remembers which became blobs."""

    def __init__(self, stream: StringIO) -> None:
        super().__init__(stream, print_generic_format=True)
        self.blobs: dict[str, ElementsAttr] = {}
        self._keys: dict[int, str] = {}

    def print_attribute(self, attribute: Attribute) -> None:
        if not isinstance(attribute, ElementsAttr):
            super().print_attribute(attribute)
            return
        if attribute.array.nbytes <= INLINE_BYTES or not has_blob_form(attribute.type.get_element_type()):
            self.print_string(f"dense<{dense_literal(attribute.array, attribute.type)}> : ")
        else:
            # Identity, not equality: comparing contents here would hash every weight.
            identity = id(attribute.storage)
            if identity not in self._keys:
                self._keys[identity] = f"constant_{len(self._keys)}"
                self.blobs[self._keys[identity]] = attribute
            self.print_string(f"dense_resource<{self._keys[identity]}> : ")
        self.print_attribute(attribute.type)


class _Lexer(MLIRLexer):
    """xDSL's pattern of a string tries every way to divide it up before it finds that the closing quote is missing."""

    _unescaped_characters_regex = re.compile(r'"(?:[^"\\\n\v\f]++|\\(?:["nt\\]|[0-9A-Fa-f]{2}))*+"')

    def _lex_bare_identifier(self, start_pos: int) -> MLIRToken:
        """xDSL would compute the bounds of an integer type of any width, which takes gigabytes for some."""
        token = super()._lex_bare_identifier(start_pos)
        if _WIDE_INTEGER.fullmatch(token.text):
            raise ParseError(token.span, f"integer type {token.text} is too wide")
        return token


class _BitPattern(Parser._TensorLiteralElement):  # pyright: ignore[reportPrivateUsage]
    """An element written in hexadecimal: for a floating-point type its bits, not its value."""

    def to_type(self, parser: AttrParser, type: Any) -> Any:
        if not isinstance(type, AnyFloat):
            return super().to_type(parser, type)
        dtype = numpy_dtype(type)
        assert isinstance(self.value, int)
        return float(np.array([self.value], f"u{dtype.itemsize}").view(dtype)[0])


class _Parser(Parser):
    """Reads hexadecimal literals and resources straight into arrays."""

    def __init__(self, context: Context, text: str, name: str, resources: dict[str, bytes]) -> None:
        super().__init__(context, "", name)
        self._parser_state = ParserState(_Lexer(Input(text, name)))
        self._resources = resources
        self._file = StringAttr(name)
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._operation_begin = 0
        self._first_uses: dict[str, Span] = {}

    def parse_module(self, allow_implicit_module: bool = True) -> ModuleOp:
        """Names the first use of a value that is never defined, which xDSL reports at the end of the file."""
        try:
            return super().parse_module(allow_implicit_module)
        except ParseError:
            if self._current_token.kind == MLIRTokenKind.EOF:
                for name in self.forward_ssa_references:
                    self.raise_error(f"%{name} is used but not defined", self._first_uses[name])
            raise

    def resolve_operand(self, operand: UnresolvedOperand, type: Any) -> Any:
        self._first_uses.setdefault(operand.operand_name, operand.span)
        return super().resolve_operand(operand, type)

    def parse_operation(self) -> Operation:
        """Remembers where the operation stands, unless the text says where it comes from."""
        begin = self._operation_begin = self.pos
        operation = super().parse_operation()
        if isinstance(operation.location, UnknownLoc):
            line, column = self._place(begin)
            operation.location = FileLineColLoc(self._file, IntAttr(line), IntAttr(column))
        return operation

    def place(self) -> str:
        """The "line:column" that was reached."""
        return "{}:{}".format(*self._place(self.pos))

    def _place(self, position: int) -> tuple[int, int]:
        line = bisect_right(self._lines, position)
        return line, position - self._lines[line - 1] + 1

    def _get_op_by_name(self, name: str) -> type[Operation]:
        found = self.ctx.get_optional_op(name, dialect_stack=self._parser_state.dialect_stack)
        return found if found is not None else self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        dialect, _, rest = name.partition(".")
        if not rest:
            reason = f"expected an operation, got {name!r}"
        elif dialect in (known := {*self.ctx.registered_dialect_names}):
            reason = f"there is no operation {name}"
        else:
            reason = f"{name} is of the dialect {dialect}; what is read are {', '.join(sorted(known))}"
        self.raise_error(reason, self._operation_begin, self._operation_begin + 1)

    def _parse_location(self) -> LocationAttr:
        """`#loc3` may be defined at the end of the file, or nowhere: then nothing is known."""
        if (
            self._current_token.kind == MLIRTokenKind.HASH_IDENT
            and self._current_token.text not in self.attribute_aliases
        ):
            self._consume_token(MLIRTokenKind.HASH_IDENT)
            return UnknownLoc()
        return super()._parse_location()

    def _parse_builtin_dense_attr(self) -> Any:
        begin = self.pos
        self.parse_punctuation("<")
        literal = self.parse_optional_str_literal()
        if literal is None:
            self._resume_from(begin)
            return super()._parse_builtin_dense_attr()
        self.parse_punctuation(">")
        self.parse_punctuation(":")
        type = self.parse_type()
        if not isinstance(type, TensorType) or not literal.startswith("0x"):
            self.raise_error("expected a hexadecimal literal of a tensor", begin, self.pos)
        return self._elements(begin, lambda: array_from_hex(binascii.unhexlify(literal[2:]), type), type)

    def _parse_dense_literal_type(self) -> Any:
        begin = self.pos
        type = super()._parse_dense_literal_type()
        if (count := math.prod(type.get_shape())) > _MAX_LITERAL_ELEMENTS:
            self.raise_error(f"a literal of {count} elements, more than {_MAX_LITERAL_ELEMENTS}", begin, self.pos)
        return type

    def _parse_tensor_literal_element(self) -> Any:
        element = super()._parse_tensor_literal_element()
        if not element.span.text.startswith("0x"):
            return element
        return _BitPattern(element.is_negative, element.value, element.span)

    def _parse_builtin_dense_resource_attr(self) -> Any:
        begin = self.pos
        with self.in_angle_brackets():
            key = self.parse_identifier_or_str_literal()
        self.parse_punctuation(":")
        type = self.parse_type()
        blob = self._resources.get(key)
        if blob is None:
            self.raise_error(f"resource '{key}' is not in the file", begin, self.pos)
        if not isinstance(type, TensorType):
            self.raise_error("expected a tensor type", begin, self.pos)
        return self._elements(begin, lambda: array_from_blob(blob, type), type)

    def _elements(self, begin: int, make: Any, type: TensorType) -> ElementsAttr:
        try:
            return ElementsAttr.from_array(make(), type)
        except (ValueError, TypeError) as error:
            self.raise_error(str(error), begin, self.pos)


def _split_resources(text: bytes, name: str) -> tuple[bytes, dict[str, bytes]]:
    """The text before the resource section, and the blobs of the section by key."""
    begin = text.rfind(_SECTION_BEGIN)
    if begin < 0:
        return text, {}
    resources: dict[str, bytes] = {}
    position = begin
    while entry := _ENTRY.search(text, position):
        position = text.find(b'"', entry.end())
        key = entry[1].strip(b'"').decode(errors="replace")
        if position < 0:
            raise MalformedFileError(f"{name}: resource '{key}' ends before its closing quote")
        try:
            resources[key] = binascii.unhexlify(memoryview(text)[entry.end() : position])
        except ValueError as error:
            raise MalformedFileError(f"{name}: resource '{key}' is not hexadecimal: {error}") from error
    if text.find(b"#-}", position) < 0:
        raise MalformedFileError(f"{name}: the resource section lacks its end '#-}}'")
    return text[:begin], resources


def _convert_literals(module: ModuleOp, name: str) -> None:
    """Constants of TOSA operators that were written in decimals become arrays too."""
    for operation in module.walk():
        if not isinstance(operation, TosaOp):
            continue
        for key, value in operation.properties.items():
            if isinstance(value, DenseIntOrFPElementsAttr):
                type = value.type
                if not isinstance(type, TensorType):
                    raise MalformedFileError(f"{name}: {operation.name}: {key} must be a tensor, got {type}")
                operation.properties[key] = elements_from_dense(value, type)


def elements_from_dense(value: DenseIntOrFPElementsAttr, type: TensorType) -> ElementsAttr:
    """The array form of xDSL's own constant attribute, which packs elements as numpy does (i1 in a byte, i48 in 8)."""
    dtype = numpy_dtype(type.get_element_type())
    if dtype == np.bool_:  # true is 0xff there
        array = np.frombuffer(value.data.data, np.uint8) != 0
    else:
        array = np.frombuffer(value.data.data, dtype)
    return ElementsAttr.from_array(array.reshape(static_shape(type)), type)
