"""The runtime stands alone: what executes a model needs numpy and flatbuffers, and nothing of the compiler."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime

from . import native

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "models" / "digits" / "digits_int8.tflite"
PACKAGE = Path(tosaic.runtime.__path__[0])
COMPILER = ("tosaic.importers", "tosaic.tosa", "tosaic.lowering", "xdsl", "llvmlite", "tflite")
COMMANDS = {"calibration.py", "cli.py", "compilation.py", "fallback.py"}
"""Files that compile when asked to; their imports of the compiler are inside functions."""

RUN = """
import numpy as np
from tosaic.runtime import load
with load("native.module", threads=2) as program:
    np.save("y.npy", program.run([np.load("x.npy"), np.load("bias.npy")])[0])
"""

RUN_MODEL = """
import numpy as np
from tosaic.runtime import load
with load("digits.module", threads=2) as program:
    np.save("probabilities.npy", program.run([np.load("image.npy")])[0])
"""

BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "tosaic" or name.startswith("tosaic.runtime") or name.split(".")[0] in ALLOWED:
            return None
        raise ImportError(f"{name} is not there")
ALLOWED = {"numpy", "flatbuffers"} | set(sys.stdlib_module_names)
sys.meta_path.insert(0, Blocker())
"""


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> list[tuple[str, bool]]:
    """(absolute module, whether at module level) of every import in a file of the runtime that is ever executed."""
    package = ["tosaic", "runtime", *path.relative_to(PACKAGE).parent.parts]
    nodes = list(ast.walk(ast.parse(path.read_text())))
    for_types = {child for node in nodes if is_type_checking(node) for child in ast.walk(node)}
    inside = {child for node in nodes if isinstance(node, ast.FunctionDef) for child in ast.walk(node)}
    found = []
    for node in nodes:
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node not in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(f"{module}.{alias.name}", node not in inside) for alias in node.names]
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_in_the_runtime_imports_the_compiler(path: Path) -> None:
    wrong = [
        module
        for module, at_module_level in imports(path)
        if module.startswith(COMPILER) and (at_module_level or path.name not in COMMANDS)
    ]
    assert wrong == []


def prepare(folder: Path) -> np.ndarray:
    """Writes an artifact and its inputs to `folder`; returns the output to expect."""
    x, bias = np.full((1, native.SIZE), 3, np.float32), np.arange(16, dtype=np.float32)
    native.artifact().save(folder / "native.module")
    np.save(folder / "x.npy", x)
    np.save(folder / "bias.npy", bias)
    return native.expected(x, bias)[0]


def test_an_artifact_runs_where_no_other_module_can_be_imported(tmp_path: Path) -> None:
    expected = prepare(tmp_path)
    subprocess.run([sys.executable, "-c", BLOCK + RUN], cwd=tmp_path, check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)


def test_a_compiled_model_runs_there_too(tmp_path: Path) -> None:
    artifact = tosaic.lowering.compile(tosaic.importers.import_model(DIGITS))
    artifact.save(tmp_path / "digits.module")
    image = np.random.default_rng(0).integers(-128, 128, (1, 32, 32, 1), np.int8)
    np.save(tmp_path / "image.npy", image)
    subprocess.run([sys.executable, "-c", BLOCK + RUN_MODEL], cwd=tmp_path, check=True, timeout=60)
    with tosaic.runtime.load(artifact, threads=1) as program:
        np.testing.assert_array_equal(np.load(tmp_path / "probabilities.npy"), program.run([image])[0])


def test_bfloat16_asks_for_its_package(tmp_path: Path) -> None:
    code = "from tosaic.runtime.artifact import numpy_dtype\nnumpy_dtype('bfloat16')"
    done = subprocess.run([sys.executable, "-c", BLOCK + code], capture_output=True, text=True, timeout=60)
    assert done.stderr.endswith("the program has bfloat16 tensors: they need the Python package ml_dtypes\n")


@pytest.mark.slow
def test_an_artifact_runs_in_an_environment_of_numpy_and_flatbuffers(tmp_path: Path) -> None:
    """A fresh virtual environment from the package index, with this package installed without its dependencies."""
    expected = prepare(tmp_path)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # A copy, because building a wheel leaves files in its source folder.
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
    for packages in (["numpy", "flatbuffers"], ["--no-deps", source]):
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, timeout=300)
    for module in ("xdsl", "llvmlite"):
        assert subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode != 0
    subprocess.run([python, "-c", RUN], cwd=tmp_path, check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
