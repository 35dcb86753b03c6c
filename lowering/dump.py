"""Writing the IR after a phase to a file, for people."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from xdsl.dialects.builtin import AffineMapAttr, ModuleOp
from xdsl.ir import Attribute
from xdsl.printer import Printer

from ..tosa.elements import ElementsAttr
from .dialects.encoding import EncodingAttr, LayoutAttr

_SHOWN_ELEMENTS = 16


def dump(module: ModuleOp, folder: Path, name: str) -> None:
    """Write `module` to `folder`/`name`; big constants appear with a digest in the place of their elements."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(readable(module))


def readable(module: ModuleOp) -> str:
    """The custom form of `module`, not to be parsed again: big constants without their elements.

    Affine maps and encodings stand in front, under short names, as MLIR's own printer does it.
    """
    stream = StringIO()
    printer = _Printer(stream)
    printer.print_op(module)
    return "".join(f"{definition}\n" for definition in printer.definitions) + stream.getvalue() + "\n"


class _Printer(Printer):
    def __init__(self, stream: StringIO) -> None:
        super().__init__(stream)
        self.definitions: list[str] = []
        self._aliases: dict[Attribute, str] = {}

    def print_attribute(self, attribute: Attribute) -> None:
        if isinstance(attribute, ElementsAttr):
            self._print_elements(attribute)
        elif isinstance(attribute, AffineMapAttr):
            self._print_alias(attribute, "map")
        elif isinstance(attribute, EncodingAttr | LayoutAttr):
            self._print_alias(attribute, attribute.name.split(".")[1])
        else:
            super().print_attribute(attribute)

    def _print_alias(self, attribute: Attribute, stem: str) -> None:
        if attribute not in self._aliases:
            stream = StringIO()
            definition = _Printer(stream)
            definition._aliases, definition.definitions = self._aliases, self.definitions
            Printer.print_attribute(definition, attribute)
            number = sum(alias.startswith(f"#{stem}") for alias in self._aliases.values())
            self._aliases[attribute] = f"#{stem}{number}"
            self.definitions.append(f"#{stem}{number} = {stream.getvalue()}")
        self.print_string(self._aliases[attribute])

    def _print_elements(self, attribute: ElementsAttr) -> None:
        elements = attribute.array.reshape(-1)
        if elements.size <= _SHOWN_ELEMENTS:
            self.print_string(f"dense<{attribute.array.tolist()}> : ")
        else:
            self.print_string(f"dense<elided {attribute.digest.hex()[:8]}> : ")
        self.print_attribute(attribute.type)
