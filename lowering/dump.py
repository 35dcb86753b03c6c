"""Writing the IR after a phase to a file, for people."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute
from xdsl.printer import Printer

from ..tosa.elements import ElementsAttr

_SHOWN_ELEMENTS = 16


def dump(module: ModuleOp, folder: Path, name: str) -> None:
    """Write `module` to `folder`/`name`; big constants appear with a digest in the place of their elements."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(readable(module))


def readable(module: ModuleOp) -> str:
    """The custom form of `module` without the elements of big constants: not to be parsed again."""
    stream = StringIO()
    _Printer(stream).print_op(module)
    stream.write("\n")
    return stream.getvalue()


class _Printer(Printer):
    def print_attribute(self, attribute: Attribute) -> None:
        if not isinstance(attribute, ElementsAttr):
            super().print_attribute(attribute)
            return
        elements = attribute.array.reshape(-1)
        if elements.size <= _SHOWN_ELEMENTS:
            self.print_string(f"dense<{attribute.array.tolist()}> : ")
        else:
            self.print_string(f"dense<elided {attribute.digest.hex()[:8]}> : ")
        self.print_attribute(attribute.type)
