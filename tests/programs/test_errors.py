"""What is wrong with a program is one error that names the line, or what is missing."""

from __future__ import annotations

import numpy as np
import pytest
import tosaic.lowering
import tosaic.tosa
from tosaic.runtime import load
from tosaic.runtime.errors import ArgumentError, MalformedFileError, UnsupportedError


def function(body: str, signature: str = "%a: tensor<4xf32>", result: str = "tensor<4xf32>") -> str:
    return f"func.func @f({signature}) -> {result} {{\n{body}\n}}\n"


RETURN = "return %a : tensor<4xf32>"
GENERIC = """%e = tensor.empty() : tensor<4xf32>
%0 = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{iterators}]}} ins(%a : tensor<4xf32>)
  outs(%e : tensor<4xf32>) {{
^bb0(%x: f32, %y: f32):
  linalg.yield %x : f32
}} -> tensor<4xf32>
return %0 : tensor<4xf32>"""
IDENTITY = "affine_map<(i) -> (i)>"

MALFORMED = {
    "unknown dialect": (
        function(f"%0 = stablehlo.add %a, %a : tensor<4xf32>\n{RETURN}"),
        r"p.mlir:2:1: stablehlo.add is of the dialect stablehlo; what is read are arith,",
    ),
    "memref operation": (
        function(f"%0 = memref.alloc() : memref<4xf32>\n{RETURN}"),
        r"p.mlir:2:1: memref.alloc is of the dialect memref",
    ),
    "unknown operation": (
        function(f"\n  %0 = linalg.foo ins(%a : tensor<4xf32>)\n{RETURN}"),
        r"p.mlir:3:3: there is no operation linalg.foo",
    ),
    "undefined value": (
        function("%0 = arith.addf %a, %b : tensor<4xf32>\nreturn %0 : tensor<4xf32>"),
        r"p.mlir:2:21: %b is used but not defined",
    ),
    "types that differ": (
        function("%0 = arith.addf %a, %a : tensor<5xf32>\nreturn %0 : tensor<5xf32>"),
        r"p.mlir:2:17: operand is used with type tensor<5xf32>",
    ),
    "no maps": (
        function(GENERIC.format(maps="", iterators='"parallel"').replace("indexing_maps = [], ", "")),
        r"p.mlir:3:21: linalg.generic needs indexing_maps",
    ),
    "unknown iterator": (
        function(GENERIC.format(maps=f"{IDENTITY}, {IDENTITY}", iterators='"window"')),
        r"p.mlir:3:21: iterator_types must be 'parallel' or 'reduction'",
    ),
    "too few maps": (
        function(GENERIC.format(maps=IDENTITY, iterators='"parallel"')),
        r"p.mlir:3:1 in @f: linalg.generic: expected the number of indexing_map",
    ),
    "sizes that disagree": (
        function(
            "%0 = linalg.matmul ins(%a, %a : tensor<4x8xf32>, tensor<4x8xf32>) outs(%a : tensor<4x8xf32>) "
            "-> tensor<4x8xf32>\nreturn %0 : tensor<4x8xf32>",
            "%a: tensor<4x8xf32>",
            "tensor<4x8xf32>",
        ),
        r"p.mlir:2:1 in @f: linalg.matmul: operand 1 \(4, 8\) disagrees about d2 = 8",
    ),
    "a permutation that is none": (
        function(
            "%0 = linalg.transpose ins(%a : tensor<4xf32>) outs(%a : tensor<4xf32>) permutation = [1]\n" + RETURN,
        ),
        r"p.mlir:2:1 in @f: linalg.transpose: permutation must have each dimension",
    ),
    "another result type": (function(RETURN, result="tensor<5xf32>"), r"p.mlir:2:1 in @f: func.return: Expected"),
}

UNSUPPORTED = {
    "memref argument": (
        "func.func @f(%a: memref<4xf32>) {\nreturn\n}",
        r"p.mlir:1:1: func.func: .* type memref<4xf32>",
    ),
    "vector": (
        function(
            "%0 = arith.addf %a, %a : vector<4xf32>\nreturn %0 : vector<4xf32>", "%a: vector<4xf32>", "vector<4xf32>"
        ),
        r"p.mlir:2:1: arith.addf: values of type vector<4xf32>",
    ),
    "recursion": (
        function("%0 = func.call @f(%a) : (tensor<4xf32>) -> tensor<4xf32>\nreturn %0 : tensor<4xf32>"),
        r"p.mlir:2:1: func.call: @f calls itself",
    ),
    "mutual recursion": (
        function("%0 = func.call @g(%a) : (tensor<4xf32>) -> tensor<4xf32>\nreturn %0 : tensor<4xf32>")
        + function("%0 = func.call @f(%a) : (tensor<4xf32>) -> tensor<4xf32>\nreturn %0 : tensor<4xf32>").replace(
            "@f(%a: ", "@g(%a: "
        ),
        r"p.mlir:6:1: func.call: @f calls itself",
    ),
    "no body": (
        "func.func private @g(tensor<4xf32>) -> tensor<4xf32>\n"
        + function("%0 = func.call @g(%a) : (tensor<4xf32>) -> tensor<4xf32>\nreturn %0 : tensor<4xf32>"),
        r"p.mlir:3:1: func.call: the program has no body of @g",
    ),
    "a loop for each element": (
        function(
            GENERIC.format(maps=f"{IDENTITY}, {IDENTITY}", iterators='"parallel"')
            .replace(
                "  linalg.yield %x",
                "  %z = scf.for %i = %c to %c step %c iter_args(%s = %x) -> (f32) {\n"
                "    scf.yield %s : f32\n  }\n  linalg.yield %z",
            )
            .replace("%e = ", "%c = arith.constant 1 : index\n%e = ")
        ),
        r"p.mlir:7:3: scf.for %z: .* may branch, by scf.if, and not loop",
    ),
    "other control flow": (
        function(
            "%0 = scf.execute_region -> tensor<4xf32> {\nscf.yield %a : tensor<4xf32>\n}\nreturn %0 : tensor<4xf32>"
        ),
        r"p.mlir:2:1: scf.execute_region: of control flow there is scf.if, scf.for and scf.while",
    ),
    "a function of other elements": (
        function(
            "%0 = linalg.exp ins(%a : tensor<4xi8>) outs(%a : tensor<4xi8>) -> tensor<4xi8>\nreturn %0 : tensor<4xi8>",
            "%a: tensor<4xi8>",
            "tensor<4xi8>",
        ),
        r"p.mlir:2:1: linalg.exp: exp of 1 elements of type i8",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_text_names_its_line(name: str) -> None:
    text, message = MALFORMED[name]
    with pytest.raises(MalformedFileError, match=f"^{message}") as error:
        tosaic.tosa.read(text.encode(), "p.mlir")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_compiled_names_its_line(name: str) -> None:
    text, message = UNSUPPORTED[name]
    module = tosaic.tosa.read(text.encode(), "p.mlir")
    with pytest.raises(UnsupportedError, match=message):
        tosaic.lowering.compile(module)


ADD = "%0 = arith.addf %a, %b : tensor<?x4xf32>\nreturn %0 : tensor<?x4xf32>"


@pytest.mark.parametrize("shapes", [((2, 4), (3, 4)), ((2, 5), (2, 5)), ((4,), (4,))])
def test_mismatched_shapes_at_run_time(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    text = function(ADD, "%a: tensor<?x4xf32>, %b: tensor<?x4xf32>", "tensor<?x4xf32>")
    with load(tosaic.lowering.compile(tosaic.tosa.read(text.encode()), devices=["cpu:1"])) as program:
        with pytest.raises(ArgumentError):
            program.run([np.zeros(shape, np.float32) for shape in shapes])
        ones = np.ones((2, 4), np.float32)
        np.testing.assert_array_equal(program.run([ones, ones])[0], 2 * ones)
