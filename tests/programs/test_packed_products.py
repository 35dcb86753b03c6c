"""Products packed by hand: `linalg.pack`, `linalg.mmt4d` with an element-wise consumer on tiles, `linalg.unpack`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import tosaic.lowering
from tosaic.runtime import load
from tosaic.runtime.api import Program
from tosaic.tosa.text import parse

M0, N0, K0 = 8, 16, 2


def program(sizes: Sequence[str], element: str, result: str) -> str:
    """relu(a @ b + bias) over tiles; `sizes` are m, n, k and the numbers of tiles along them, or `?` each."""
    m, n, k, m1, n1, k1 = sizes
    a, b, c = f"tensor<{m}x{k}x{element}>", f"tensor<{k}x{n}x{element}>", f"tensor<{m}x{n}x{result}>"
    pa, pb = f"tensor<{m1}x{k1}x{M0}x{K0}x{element}>", f"tensor<{n1}x{k1}x{N0}x{K0}x{element}>"
    pc = f"tensor<{m1}x{n1}x{M0}x{N0}x{result}>"
    known = m != "?"
    dims = {name: "" if known else values for name, values in EMPTY.items()}
    zero, kind = ("0", "i") if result.startswith("i") else ("0.0", "f")
    identity = "affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>"
    return f"""
func.func @main(%a: {a}, %b: {b}, %bias: {c}) -> {c} {{
  %z = arith.constant {zero} : {element}
  %r = arith.constant {zero} : {result}
  {"" if known else SIZES.format(a=a, b=b)}
  %ea = tensor.empty({dims["a"]}) : {pa}
  %pa = linalg.pack %a padding_value(%z : {element}) inner_dims_pos = [0, 1] inner_tiles = [{M0}, {K0}]
    into %ea : {a} -> {pa}
  %eb = tensor.empty({dims["b"]}) : {pb}
  %pb = linalg.pack %b padding_value(%z : {element}) outer_dims_perm = [1, 0] inner_dims_pos = [1, 0]
    inner_tiles = [{N0}, {K0}] into %eb : {b} -> {pb}
  %ec = tensor.empty({dims["c"]}) : {pc}
  %pbias = linalg.pack %bias padding_value(%r : {result}) inner_dims_pos = [0, 1] inner_tiles = [{M0}, {N0}]
    into %ec : {c} -> {pc}
  %fc = linalg.fill ins(%r : {result}) outs(%ec : {pc}) -> {pc}
  %product = linalg.mmt4d ins(%pa, %pb : {pa}, {pb}) outs(%fc : {pc}) -> {pc}
  %sum = linalg.generic {{indexing_maps = [{identity}, {identity}, {identity}],
      iterator_types = ["parallel", "parallel", "parallel", "parallel"]}}
      ins(%product, %pbias : {pc}, {pc}) outs(%ec : {pc}) {{
  ^bb0(%x: {result}, %y: {result}, %o: {result}):
    %s = arith.add{kind} %x, %y : {result}
    %p = arith.{"maxsi" if kind == "i" else "maximumf"} %s, %r : {result}
    linalg.yield %p : {result}
  }} -> {pc}
  %eu = tensor.empty({dims["u"]}) : {c}
  %u = linalg.unpack %sum inner_dims_pos = [0, 1] inner_tiles = [{M0}, {N0}] into %eu : {pc} -> {c}
  return %u : {c}
}}"""


EMPTY = {"a": "%m1, %k1", "b": "%n1, %k1", "c": "%m1, %n1", "u": "%m, %n"}
SIZES = f"""%c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m0 = arith.constant {M0} : index
  %n0 = arith.constant {N0} : index
  %k0 = arith.constant {K0} : index
  %m = tensor.dim %a, %c0 : {{a}}
  %k = tensor.dim %a, %c1 : {{a}}
  %n = tensor.dim %b, %c1 : {{b}}
  %m1 = arith.ceildivui %m, %m0 : index
  %n1 = arith.ceildivui %n, %n0 : index
  %k1 = arith.ceildivui %k, %k0 : index"""

SHAPES = [(1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 4, 0), (8, 16, 4), (9, 17, 5), (100, 77, 33)]


def _check(run: Program, element: str, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m + n + k)
    type, result = (np.int8, np.int32) if element == "i8" else (np.float32, np.float32)
    a, b = ((rng.normal(size=shape) * 40).astype(type) for shape in ((m, k), (k, n)))
    bias = (rng.normal(size=(m, n)) * 40).astype(result)
    (actual,) = run.run([a, b, bias])
    exact = np.maximum(a.astype(np.float64) @ b.astype(np.float64) + bias, 0)
    # |error| <= (k + 1) * eps * (|a| @ |b| + |bias|) for f32, integers are exact.
    error = (k + 1) * np.finfo(np.float32).eps * (np.abs(a.astype(float)) @ np.abs(b.astype(float)) + np.abs(bias))
    assert np.all(np.abs(actual - exact) <= (0 if element == "i8" else error))


@pytest.mark.parametrize(("element", "result"), [("f32", "f32"), ("i8", "i32")])
def test_sizes_that_only_a_call_knows(element: str, result: str) -> None:
    text = program("??????", element, result)
    with load(tosaic.lowering.compile(parse(text), devices=["cpu:2"])) as run:
        for shape in SHAPES:
            _check(run, element, *shape)


@pytest.mark.parametrize(("element", "result"), [("f32", "f32"), ("i8", "i32")])
@pytest.mark.parametrize("shape", [(8, 16, 4), (9, 17, 5), (100, 77, 33)])
def test_known_sizes(shape: tuple[int, int, int], element: str, result: str) -> None:
    m, n, k = shape
    counts = [-(-m // M0), -(-n // N0), -(-k // K0)]
    text = program([str(size) for size in (m, n, k, *counts)], element, result)
    with load(tosaic.lowering.compile(parse(text), devices=["cpu:2"])) as run:
        _check(run, element, m, n, k)
