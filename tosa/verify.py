"""Verification of whole modules with one-line errors that say which operation of which function is wrong."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation
from xdsl.traits import SymbolOpInterface
from xdsl.utils.exceptions import DiagnosticException, VerifyException

from ..runtime.errors import MalformedFileError
from .source import source_of


def verify(module: ModuleOp, name: str) -> None:
    """Raise MalformedFileError for the first operation of `module` that does not verify."""
    for index, operation in enumerate(module.walk()):
        try:
            operation.verify(verify_nested_ops=False)
        except (VerifyException, DiagnosticException) as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "does not verify")
            prefix = "" if reason.startswith(operation.name) else f"{operation.name}: "
            where = source_of(operation) or f"{name}: operation {index}"
            raise MalformedFileError(f"{where}{_function(operation)}: {prefix}{reason}") from error


def _function(operation: Operation) -> str:
    parent = operation
    while parent is not None:
        # Not get_sym_attr_name, which raises where it lacks its name: that may be what is wrong.
        label = parent.get_attr_or_prop("sym_name") if parent.get_trait(SymbolOpInterface) else None
        if isinstance(label, StringAttr):
            return f" in @{label.data}"
        parent = parent.parent_op()
    return ""
