"""Object files and headers: a C program built with them runs a model, here and under qemu-user."""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tosaic.importers
import tosaic.lowering
import tosaic.runtime
from tosaic.lowering.object_file import emit_object, identifier
from tosaic.lowering.target import resolve_target
from tosaic.runtime.artifact import Artifact, Signature
from tosaic.runtime.errors import ArgumentError, UnsupportedError
from tosaic.tosa import text

from .emulator import emulator_of, processor
from .test_models import DIGITS, random_array

COMPILERS = {
    "x86-64-v2": "cc",
    "aarch64": "aarch64-linux-gnu-gcc",
    "neoverse-v1": "aarch64-linux-gnu-gcc",
    "riscv64": "riscv64-linux-gnu-gcc",
    "spacemit-x60": "riscv64-linux-gnu-gcc",
}
FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-static"]

MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "NAME.h"

static unsigned char workspace[SYMBOL_WORKSPACE_BYTES + NAME_ALIGNMENT];
DECLARATIONS
int main(void) {
  void *aligned = workspace + (NAME_ALIGNMENT - (uintptr_t)workspace % NAME_ALIGNMENT) % NAME_ALIGNMENT;
  if (SYMBOL(ARGUMENTS, (char *)aligned + 1) != 1) return 2;
  if (SYMBOL(ARGUMENTS, NULL) != 1) return 3;
  READS
  if (SYMBOL(ARGUMENTS, aligned) != 0) return 4;
  WRITES
  return 0;
}
"""

TWO_FUNCTIONS = """
func.func @"add more"(
    %x: tensor<3x5xf32> {ml_program.identifier = "class"}, %y: tensor<3x5xf32> {ml_program.identifier = "x.1"}
) -> (tensor<3x5xf32> {ml_program.identifier = "x-1"}) {
  %sum = tosa.add %x, %y : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  return %sum : tensor<3x5xf32>
}
func.func @total(%x: tensor<4xi8>) -> tensor<i32> {
  %wide = tosa.cast %x : (tensor<4xi8>) -> tensor<4xi32>
  %sum = tosa.reduce_sum %wide {axis = 0 : i32} : (tensor<4xi32>) -> tensor<1xi32>
  %shape = tosa.const_shape {values = dense<> : tensor<0xindex>} : () -> !tosa.shape<0>
  %scalar = tosa.reshape %sum, %shape : (tensor<1xi32>, !tosa.shape<0>) -> tensor<i32>
  return %scalar : tensor<i32>
}
"""

ANY_SIZE = """
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  %y = arith.negf %x : tensor<?xf32>
  return %y : tensor<?xf32>
}
"""


@cache
def digits(kind: str, target: str) -> Artifact:
    return tosaic.lowering.compile(
        tosaic.importers.import_model(DIGITS / f"digits_{kind}.tflite"), devices=["cpu:1"], target=target
    )


def main_program(name: str, symbol: str, signature: Signature) -> str:
    """A C program that reads the inputs from standard input and writes the outputs to standard output."""
    lines: dict[str, list[str]] = {"DECLARATIONS": [], "READS": [], "WRITES": []}
    tensors = (*signature.inputs, *signature.outputs)
    for number, tensor in enumerate(tensors):
        size = tensor.nbytes
        type = {"float32": "float", "int8": "int8_t", "int32": "int32_t"}[tensor.dtype]
        lines["DECLARATIONS"].append(f"static {type} t{number}[{size} / sizeof({type})];")
        if number < len(signature.inputs):
            lines["READS"].append(f"if (fread(t{number}, 1, {size}, stdin) != {size}) return 5;")
        else:
            lines["WRITES"].append(f"if (fwrite(t{number}, 1, {size}, stdout) != {size}) return 6;")
    program = MAIN.replace("ARGUMENTS", ", ".join(f"t{number}" for number in range(len(tensors))))
    program = program.replace("SYMBOL_WORKSPACE", f"{symbol.upper()}_WORKSPACE").replace("SYMBOL", symbol)
    program = program.replace("NAME.h", f"{name}.h").replace("NAME_ALIGNMENT", f"{identifier(name).upper()}_ALIGNMENT")
    for key, replacement in lines.items():
        program = program.replace(key, "\n  ".join(replacement))
    return program


def build_and_run(
    folder: Path, artifact: Artifact, target: str, name: str, symbol: str, index: int, inputs: list[np.ndarray]
) -> list[np.ndarray]:
    """What the C program makes of `inputs` with signature number `index`; skips without compiler or emulator."""
    compiler = shutil.which(COMPILERS[target])
    if compiler is None:
        pytest.skip(f"{COMPILERS[target]} is not installed")
    resolved = resolve_target(target)
    is_here = resolved.architecture == platform.machine()
    emulator = [] if is_here else [emulator_of(resolved), "-cpu", processor(resolved)]
    emitted = emit_object(artifact, name)
    signature = artifact.signatures[index]
    (folder / f"{name}.o").write_bytes(emitted.object)
    (folder / f"{name}.h").write_text(emitted.header)
    (folder / "main.c").write_text(main_program(name, symbol, signature))
    subprocess.run([compiler, *FLAGS, "main.c", f"{name}.o", "-o", "main"], cwd=folder, check=True)
    given = b"".join(array.tobytes() for array in inputs)
    done = subprocess.run([*emulator, str(folder / "main")], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    outputs, position = [], 0
    for tensor in signature.outputs:
        part = done.stdout[position : position + tensor.nbytes]
        outputs.append(np.frombuffer(part, tensor.numpy_dtype).reshape([size or 0 for size in tensor.shape]))
        position += tensor.nbytes
    assert position == len(done.stdout)
    return outputs


@pytest.mark.parametrize("kind", ["int8", "f32"])
@pytest.mark.parametrize("target", COMPILERS)
def test_a_c_program_runs_the_model_that_ships(tmp_path: Path, target: str, kind: str) -> None:
    reference = digits(kind, "host")
    inputs = [random_array(tensor) for tensor in reference.signatures[0].inputs]
    with tosaic.runtime.load(reference) as program:
        expected = program.function(reference.signatures[0].name).run(inputs)
    artifact = digits(kind, target)
    symbol = f"digits_{reference.signatures[0].name}"
    for got, wanted in zip(
        build_and_run(tmp_path, artifact, target, "digits", symbol, 0, inputs), expected, strict=True
    ):
        # f32: sums of other order and length of values that a softmax brings to [0, 1].
        np.testing.assert_allclose(got, wanted, rtol=0, atol=0 if kind == "int8" else 1e-6)


@pytest.mark.parametrize("target", ["x86-64-v2", "aarch64"])
def test_every_signature_is_a_function_with_names_that_c_allows(tmp_path: Path, target: str) -> None:
    artifact = tosaic.lowering.compile(text.parse(TWO_FUNCTIONS), devices=["cpu:1"], target=target)
    x, y = np.arange(15, dtype=np.float32).reshape(3, 5), np.full((3, 5), 0.5, np.float32)
    (total,) = build_and_run(tmp_path, artifact, target, "a-b", "a_b_add_more", 0, [x, y])
    np.testing.assert_array_equal(total, x + y)
    values = np.array([127, 127, -3, 2], np.int8)
    (total,) = build_and_run(tmp_path, artifact, target, "a-b", "a_b_total", 1, [values])
    np.testing.assert_array_equal(total, np.int32(253))


def test_the_header_is_c_plus_plus_too(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("c++ is not installed")
    artifact = tosaic.lowering.compile(text.parse(TWO_FUNCTIONS), devices=["cpu:1"], target="x86-64-v2")
    (tmp_path / "two.h").write_text(emit_object(artifact, "two").header)
    uses = "int (*f)(const int8_t *, int32_t *, void *) = two_total;\n"
    (tmp_path / "main.cpp").write_text('#include "two.h"\n#include "two.h"\n' + uses)
    command = [compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "main.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True)


@pytest.mark.parametrize("target", ["x86-64-v4+vnni", "aarch64", "riscv64"])
def test_objects_need_nothing_from_elsewhere(target: str) -> None:
    """Every symbol of the table but the first, which is empty, belongs to a section."""
    data = emit_object(digits("int8", target), "digits").object
    (table,) = struct.unpack_from("<Q", data, 40)
    _, count, _ = struct.unpack_from("<HHH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * index) for index in range(count)]
    (symbols,) = [section for section in sections if section[1] == 2]
    entries = list(struct.iter_unpack("<IBBHQQ", data[symbols[4] : symbols[4] + symbols[5]]))
    assert len(entries) > 3
    assert all(section != 0 for _, _, _, section, _, _ in entries[1:])
    writable = [section for section in sections if section[2] & 1 and section[5]]
    assert not writable


def test_sizes_that_only_a_call_knows_are_refused() -> None:
    artifact = tosaic.lowering.compile(text.parse(ANY_SIZE), devices=["cpu"], target="x86-64-v3")
    with pytest.raises(UnsupportedError, match=r"f: .*only a call knows: fix them with --shape"):
        emit_object(artifact, "f")


def test_several_targets_or_devices_are_refused() -> None:
    module = text.parse(TWO_FUNCTIONS)
    both = tosaic.lowering.compile(module, devices=["cpu"], target=["x86-64-v3", "aarch64"])
    with pytest.raises(ArgumentError, match="one target; the program is for x86-64-v3, aarch64"):
        emit_object(both, "two")
