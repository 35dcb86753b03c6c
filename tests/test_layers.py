"""Imports follow the street `importers -> tosa <- lowering -> runtime.artifact`, wherever in a file they stand.

That nothing of the runtime imports the others is held in `runtime/test_layers.py`, which tells apart what is executed.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.tosa

PACKAGES = ("importers", "tosa", "lowering", "runtime")
COMMAND = {"atomic", "command_line", "errors"}
RECORDS = {"abi", "artifact", "collection", "device", "device_spec", "errors", "host_program", "rates", "reference"}
GPUS = {"cuda"}
"""Which code the GPU of this machine runs best."""
MAY_IMPORT = {
    "importers": {"tosa": None, "runtime": COMMAND},
    "tosa": {"runtime": {"atomic", "errors", "flatbuffer", "reference"}},
    "lowering": {"tosa": None, "runtime": RECORDS | GPUS},
}
"""Package to the packages it may import from: all of them (None) or these modules."""

FOLDERS = {
    "importers": Path(tosaic.importers.__path__[0]),
    "tosa": Path(tosaic.tosa.__path__[0]),
    "lowering": Path(tosaic.lowering.__path__[0]),
}


def imported(package: str) -> dict[tuple[str, str], set[str]]:
    """The (package, module) pairs of Tosaic that files of `package` import, and the files."""
    found: dict[tuple[str, str], set[str]] = {}
    folder = FOLDERS[package]
    for path in sorted(folder.rglob("*.py")):
        own = ["tosaic", package, *path.relative_to(folder).parent.parts]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name.split(".") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = own[: len(own) - node.level + 1] if node.level else []
                module = [*base, *(node.module.split(".") if node.module else [])]
                names = [[*module, alias.name] for alias in node.names]
            else:
                continue
            for parts in names:
                if parts[0] == "tosaic" and parts[1] != package:
                    found.setdefault((parts[1], parts[2]), set()).add(path.name)
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_follow_the_street(package: str) -> None:
    found = imported(package)
    assert {other for other, _ in found} == MAY_IMPORT[package].keys(), "each neighbour is imported, and no other"
    for (other, module), files in found.items():
        allowed = MAY_IMPORT[package][other]
        assert allowed is None or module in allowed, f"{sorted(files)} import tosaic.{other}.{module}"


def test_every_package_is_installed() -> None:
    root = Path(__file__).resolve().parent.parent
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(root) for top in PACKAGES for path in (root / top).rglob("__init__.py")}
    assert sorted(listed) == sorted(".".join(["tosaic", *folder.parts]) for folder in folders)
