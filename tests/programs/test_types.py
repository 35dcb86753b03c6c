"""One program of arithmetic, a matrix product, a reduction and a transposition, over every element type."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import tosaic.lowering
import tosaic.tosa
from tosaic.runtime import Program, load

from .programs import DTYPES, assert_equal, integers, shapes

TYPES = {
    **{f"f{width}": DTYPES[f"float{width}"] for width in (64, 32, 16)},
    "bf16": DTYPES["bfloat16"],
    **{f"i{width}": DTYPES[f"int{width}"] for width in (64, 32, 16, 8)},
    "index": DTYPES["int64"],
}

PROGRAM = """
#id = affine_map<(i, j) -> (i, j)>
!matrix = tensor<?x?xTYPE>
func.func @arithmetic(%a: !matrix, %b: !matrix) -> !matrix {
  %0 = arith.addS %a, %b : !matrix
  %1 = arith.mulS %0, %b : !matrix
  %2 = arith.constant dense<2NUMBER> : tensor<1x1xTYPE>
  %3 = linalg.generic {indexing_maps = [#id, affine_map<(i, j) -> (0, 0)>, #id],
      iterator_types = ["parallel", "parallel"]} ins(%1, %2 : !matrix, tensor<1x1xTYPE>) outs(%a : !matrix) {
  ^bb0(%x: TYPE, %y: TYPE, %z: TYPE):
    %4 = arith.subS %x, %y : TYPE
    %5 = arith.addS %4, %z : TYPE
    linalg.yield %5 : TYPE
  } -> !matrix
  return %3 : !matrix
}
func.func @product(%a: !matrix, %b: !matrix, %c: !matrix) -> !matrix {
  %0 = linalg.matmul ins(%a, %b : !matrix, !matrix) outs(%c : !matrix) -> !matrix
  return %0 : !matrix
}
func.func @sums(%a: !matrix, %start: tensor<?xTYPE>) -> (tensor<?xTYPE>, TYPE) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0NUMBER : TYPE
  %0 = linalg.reduce { arith.addS } ins(%a : !matrix) outs(%start : tensor<?xTYPE>) dimensions = [1]
  %empty = tensor.empty() : tensor<TYPE>
  %init = linalg.fill ins(%zero : TYPE) outs(%empty : tensor<TYPE>) -> tensor<TYPE>
  %1 = linalg.reduce { arith.addS } ins(%0 : tensor<?xTYPE>) outs(%init : tensor<TYPE>) dimensions = [0]
  %2 = tensor.extract %1[] : tensor<TYPE>
  return %0, %2 : tensor<?xTYPE>, TYPE
}
func.func @transposed(%a: !matrix, %into: !matrix) -> !matrix {
  %0 = linalg.transpose ins(%a : !matrix) outs(%into : !matrix) permutation = [1, 0]
  return %0 : !matrix
}
"""

LOGIC = """
#id = affine_map<(i, j) -> (i, j)>
!matrix = tensor<?x?xi1>
func.func @logic(%a: !matrix, %b: !matrix) -> (!matrix, tensor<?x?xi32>) {
  %0 = arith.andi %a, %b : !matrix
  %1 = arith.constant dense<true> : tensor<i1>
  %2 = linalg.generic {indexing_maps = [#id, affine_map<(i, j) -> ()>, #id],
      iterator_types = ["parallel", "parallel"]} ins(%0, %1 : !matrix, tensor<i1>) outs(%a : !matrix) {
  ^bb0(%x: i1, %y: i1, %z: i1):
    %4 = arith.xori %x, %y : i1
    linalg.yield %4 : i1
  } -> !matrix
  %3 = arith.extui %2 : !matrix to tensor<?x?xi32>
  return %2, %3 : !matrix, tensor<?x?xi32>
}
"""

WIDENING = """
!wide = tensor<?x?xWIDE>
!narrow = tensor<?x?xNARROW>
func.func @product(%a: !narrow, %b: !narrow, %c: !wide) -> (!wide, !wide) {
  %0 = linalg.matmul ins(%a, %b : !narrow, !narrow) outs(%c : !wide) -> !wide
  %1 = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
        affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : !narrow, !narrow) outs(%c : !wide) {
  ^bb0(%x: NARROW, %y: NARROW, %sum: WIDE):
    %2 = arith.extK %x : NARROW to WIDE
    %3 = arith.extK %y : NARROW to WIDE
    %4 = arith.mulS %2, %3 : WIDE
    %5 = arith.addS %sum, %4 : WIDE
    linalg.yield %5 : WIDE
  } -> !wide
  return %0, %1 : !wide, !wide
}
"""


@cache
def program(text: str) -> Program:
    return load(tosaic.lowering.compile(tosaic.tosa.read(text.encode()), devices=["cpu:1"]))


def of_type(name: str) -> Program:
    floating = "f" in name
    suffix, number = ("f", ".0") if floating else ("i", "")
    return program(PROGRAM.replace("TYPE", name).replace("S ", f"{suffix} ").replace("NUMBER", number))


@pytest.mark.parametrize("shape", shapes(2, 5, seed=14))
@pytest.mark.parametrize("name", TYPES)
def test_arithmetic(name: str, shape: tuple[int, ...]) -> None:
    dtype = TYPES[name]
    a, b = integers(*shape, dtype=dtype), integers(*shape, dtype=dtype, seed=1)
    assert_equal(of_type(name).function("arithmetic").run([a, b]), [(a + b) * b - dtype.type(2) + a])


@pytest.mark.parametrize(("m", "n", "k"), [(0, 0, 0), (1, 1, 1), (7, 16, 2), (5, 33, 7), (17, 2, 0)])
@pytest.mark.parametrize("name", TYPES)
def test_product(name: str, m: int, n: int, k: int) -> None:
    dtype = TYPES[name]
    a, b, c = (integers(*shape, dtype=dtype, seed=seed) for seed, shape in enumerate([(m, k), (k, n), (m, n)]))
    exact = c.astype(np.float64) + a.astype(np.float64) @ b.astype(np.float64)
    assert_equal(of_type(name).function("product").run([a, b, c]), [exact.astype(dtype)])


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (2, 7), (7, 3), (16, 2)])
@pytest.mark.parametrize("name", TYPES)
def test_sums(name: str, shape: tuple[int, ...]) -> None:
    dtype = TYPES[name]
    a, start = integers(*shape, dtype=dtype), integers(shape[0], dtype=dtype, seed=1)
    exact = start.astype(np.float64) + a.astype(np.float64).sum(1)
    expected = [exact.astype(dtype), np.asarray(exact.sum()).astype(dtype)]
    assert_equal(of_type(name).function("sums").run([a, start]), expected)


@pytest.mark.parametrize("shape", shapes(2, 5, seed=15))
@pytest.mark.parametrize("name", TYPES)
def test_transposed(name: str, shape: tuple[int, ...]) -> None:
    a = integers(*shape, dtype=TYPES[name])
    into = np.zeros(shape[::-1], TYPES[name])
    assert_equal(of_type(name).function("transposed").run([a, into]), [np.ascontiguousarray(a.T)])


@pytest.mark.parametrize("shape", shapes(2, 5, seed=16))
def test_logic(shape: tuple[int, ...]) -> None:
    a, b = integers(*shape, dtype=np.bool_), integers(*shape, dtype=np.bool_, seed=1)
    expected = ~(a & b)
    assert_equal(program(LOGIC).main.run([a, b]), [expected, expected.astype(np.int32)])


@pytest.mark.parametrize(("m", "n", "k"), [(0, 1, 2), (1, 1, 1), (7, 16, 2), (17, 33, 65), (5, 7, 0)])
@pytest.mark.parametrize(
    ("narrow", "wide"),
    [("i8", "i32"), ("i16", "i32"), ("i8", "i64"), ("i32", "i64"), ("f16", "f32"), ("bf16", "f32"), ("f32", "f64")],
)
def test_widening(narrow: str, wide: str, m: int, n: int, k: int) -> None:
    text = WIDENING.replace("NARROW", narrow).replace("WIDE", wide)
    text = text.replace("K %", "f %" if "f" in wide else "si %").replace("S %", "f %" if "f" in wide else "i %")
    a, b = integers(m, k, dtype=TYPES[narrow]), integers(k, n, dtype=TYPES[narrow], seed=1)
    c = integers(m, n, dtype=TYPES[wide], seed=2)
    products: Any = a.astype(TYPES[wide]) @ b.astype(TYPES[wide])
    assert_equal(program(text).main.run([a, b, c]), [c + products] * 2)
