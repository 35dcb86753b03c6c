"""What data tiling promises: nothing is packed between two products, weights never at run time, hints are heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tosaic.lowering import pipeline
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.dialects.encoding import EncodingAttr, LayoutAttr
from tosaic.lowering.dialects.linalg.relayout import PackOp
from tosaic.lowering.dump import readable
from tosaic.lowering.meaning import Array, evaluate
from tosaic.lowering.pipeline import Options
from tosaic.lowering.target import Target, Tile, resolve_target
from tosaic.runtime.device import DeviceSpec
from tosaic.runtime.errors import ArgumentError
from tosaic.tosa.text import parse
from xdsl.dialects.builtin import ModuleOp, TensorType
from xdsl.ir import Attribute


def packs_rows(target: Target, contraction: Contraction) -> Tile:
    return Tile(4, 4, 4, pack_rows=True)


def packs_columns(target: Target, contraction: Contraction) -> Tile:
    return Tile(8, 16, 1)


def wants_none(target: Target, contraction: Contraction) -> None:
    return None


V4 = replace(resolve_target("x86-64-v4+vnni"), resolver=packs_columns)
ROWS = replace(V4, name="rows", resolver=packs_rows)
NONE = replace(V4, name="none", resolver=wants_none)


def lowered(text: str, target: Target, stop_after: str = "const-eval") -> ModuleOp:
    module = parse(text)
    pipeline.run(module, Options((DeviceSpec("cpu"),), {"cpu": target}), stop_after=stop_after)
    return module


def names(module: ModuleOp) -> list[str]:
    return [op.name for op in module.walk()]


def chain(m: str, weights: str) -> str:
    """[m, 6] x [6, 10], one half and the bias added, e to the power of it, x [10, 3]. Sizes are no multiples of 4."""
    argument = "" if "tosa" in weights else ", %w: tensor<6x10xf32>, %v: tensor<10x3xf32>"
    size, dim = ("%m", "%m = tensor.dim %x, %c0 : tensor<?x6xf32>") if m == "?" else ("", "")
    return f"""
func.func @main(%x: tensor<{m}x6xf32>, %bias: tensor<10xf32>{argument}) -> tensor<{m}x3xf32> {{
  %c0 = arith.constant 0 : index
  {dim}
  {weights}
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %e0 = tensor.empty({size}) : tensor<{m}x10xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<{m}x10xf32>) -> tensor<{m}x10xf32>
  %p0 = linalg.matmul ins(%x, %w : tensor<{m}x6xf32>, tensor<6x10xf32>)
    outs(%f0 : tensor<{m}x10xf32>) -> tensor<{m}x10xf32>
  %g0 = linalg.generic {{
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]}}
    ins(%p0, %bias : tensor<{m}x10xf32>, tensor<10xf32>) outs(%e0 : tensor<{m}x10xf32>) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    %t = arith.addf %s, %half : f32
    %u = arith.divf %half, %t : f32
    linalg.yield %u : f32
  }} -> tensor<{m}x10xf32>
  %e1 = tensor.empty({size}) : tensor<{m}x3xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<{m}x3xf32>) -> tensor<{m}x3xf32>
  %p1 = linalg.matmul ins(%g0, %v : tensor<{m}x10xf32>, tensor<10x3xf32>)
    outs(%f1 : tensor<{m}x3xf32>) -> tensor<{m}x3xf32>
  return %p1 : tensor<{m}x3xf32>
}}"""


CONSTANTS = """
  %w = "tosa.const"() <{values = dense<0.5> : tensor<6x10xf32>}> : () -> tensor<6x10xf32>
  %v = "tosa.const"() <{values = dense<0.25> : tensor<10x3xf32>}> : () -> tensor<10x3xf32>"""


def chained(x: Array, bias: Array, w: Array, v: Array) -> Array:
    with np.errstate(all="ignore"):
        return (np.float32(0.5) / (x @ w + bias + np.float32(0.5))) @ v


@pytest.mark.parametrize("m", ["5", "?"])
def test_nothing_is_packed_between_two_products_on_a_device_that_packs_rows(m: str) -> None:
    module = lowered(chain(m, CONSTANTS), ROWS)
    found = [name for name in names(module) if name in ("linalg.pack", "linalg.unpack", "linalg.mmt4d")]
    # x and the bias in front, the result behind
    assert sorted(found[: found.index("linalg.mmt4d")]) == ["linalg.pack", "linalg.pack"]
    assert found[found.index("linalg.mmt4d") :] == ["linalg.mmt4d", "linalg.mmt4d", "linalg.unpack"]


@pytest.mark.parametrize("m", ["5", "?"])
def test_nothing_is_packed_at_all_where_rows_stay(m: str) -> None:
    found = names(lowered(chain(m, CONSTANTS), V4))
    assert "linalg.pack" not in found and "linalg.unpack" not in found
    assert found.count("tiled.matmul") == 2


@pytest.mark.parametrize("target", [ROWS, V4, NONE], ids=lambda target: target.name)
@pytest.mark.parametrize("m", ["5", "?"])
def test_what_lies_beyond_the_edges_of_tiles_stays_zero(m: str, target: Target) -> None:
    """A division by zero in the padding, and infinities in the operands, reach no other element."""
    rng = np.random.default_rng(0)
    x, bias = rng.standard_normal((5, 6)).astype(np.float32), np.full(10, -0.5, np.float32)
    w, v = rng.standard_normal((6, 10)).astype(np.float32), rng.standard_normal((10, 3)).astype(np.float32)
    x[2, 3] = np.inf
    module = lowered(chain(m, ""), target)
    (got,) = evaluate(module, "main", [x, bias, w, v])
    wanted = chained(x, bias, w, v)
    assert np.isfinite(got[2]).all() and np.isfinite(wanted[2]).all()
    np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_weights_are_packed_when_compiling() -> None:
    for target in (V4, ROWS):
        module = lowered(chain("5", CONSTANTS), target)
        packed = [op for op in module.walk() if isinstance(op, PackOp)]
        assert not any(op.source.type.get_shape() in ((6, 10), (10, 3)) for op in packed)  # pyright: ignore
        constants = [op.results[0].type for op in module.walk() if op.name == "tosa.const"]
        assert all(isinstance(type, TensorType) and type.get_num_dims() == 4 for type in constants)


def test_equal_encoded_constants_are_stored_once() -> None:
    """The same matrix as [k, n] and, transposed, as [n, k]."""
    text = """
func.func @main(%x: tensor<5x3xf32>, %y: tensor<7x3xf32>) -> (tensor<5x2xf32>, tensor<7x2xf32>) {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %v = arith.constant dense<[[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]> : tensor<2x3xf32>
  %zero = arith.constant 0.0 : f32
  %e0 = tensor.empty() : tensor<5x2xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<5x2xf32>) -> tensor<5x2xf32>
  %p0 = linalg.matmul ins(%x, %w : tensor<5x3xf32>, tensor<3x2xf32>) outs(%f0 : tensor<5x2xf32>) -> tensor<5x2xf32>
  %e1 = tensor.empty() : tensor<7x2xf32>
  %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<7x2xf32>) -> tensor<7x2xf32>
  %p1 = linalg.matmul
    indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%y, %v : tensor<7x3xf32>, tensor<2x3xf32>) outs(%f1 : tensor<7x2xf32>) -> tensor<7x2xf32>
  return %p0, %p1 : tensor<5x2xf32>, tensor<7x2xf32>
}"""
    for target in (V4, ROWS):
        assert names(lowered(text, target)).count("tosa.const") == 1


def test_a_device_that_wants_no_layout_gets_no_copies() -> None:
    found = names(lowered(chain("?", CONSTANTS), NONE))
    assert found.count("linalg.matmul") == found.count("dispatch.region") == 2
    assert not {"linalg.pack", "linalg.unpack", "encoding.set_encoding", "encoding.unset_encoding"} & set(found)


def product(hint: str, lhs: str = "m, k", out: str = "m, n", shapes: str = "5x6 6x7 5x7") -> str:
    left, right, result = (f"tensor<{shape}xf32>" for shape in shapes.split())
    return f"""
func.func @main(%x: {left}, %y: {right}) -> {result} {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : {result}
  %f = linalg.fill ins(%zero : f32) outs(%e : {result}) -> {result}
  %p = linalg.matmul
    indexing_maps = [
      affine_map<(m, n, k) -> ({lhs})>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> ({out})>
    ] {hint} ins(%x, %y : {left}, {right}) outs(%f : {result}) -> {result}
  return %p : {result}
}}"""


def test_a_program_can_keep_a_product_in_rows() -> None:
    found = names(lowered(product("{encoding.data_tiling = false}"), V4))
    assert "linalg.matmul" in found and "linalg.pack" not in found


def test_a_program_can_tile_what_the_target_would_not() -> None:
    def only_large(target: Target, contraction: Contraction) -> Tile | None:
        return Tile(8, 16, 1) if contraction.m > 100 else None

    target = replace(V4, resolver=only_large)
    assert "tiled.matmul" not in names(lowered(product(""), target))
    assert "tiled.matmul" in names(lowered(product("{encoding.data_tiling = true}"), target))


@pytest.mark.parametrize(
    ("out", "shapes", "tile"), [("m, n", "5x6 6x7 5x7", (3, 32)), ("n, m", "5x6 6x7 7x5", (2, 16))]
)
def test_a_program_can_choose_tiles(out: str, shapes: str, tile: tuple[int, int]) -> None:
    """Of a transposed result they are those of the product as it is computed, with its sides exchanged."""
    m0, n0 = tile if out == "m, n" else reversed(tile)
    module = lowered(product(f"{{encoding.tile_sizes = array<i64: {m0}, {n0}, 1>}}", out=out, shapes=shapes), V4)
    (matmul,) = (op for op in module.walk() if op.name == "tiled.matmul")
    assert matmul.properties["rows"].value.data == tile[0]  # pyright: ignore[reportAttributeAccessIssue]
    assert matmul.operands[1].type.get_shape()[2] == tile[1]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("sizes", ["4, 20, 1", "40, 16, 1", "4, 16, 3"])
def test_tiles_that_no_kernel_has_are_refused(sizes: str) -> None:
    with pytest.raises(ArgumentError, match=r"linalg\.matmul.*tile_sizes.*is no tile.*n0 must be one of 16.*k0 1"):
        lowered(product(f"{{encoding.tile_sizes = array<i64: {sizes}>}}"), V4)


def test_tiles_that_are_none_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"linalg\.matmul.*tile_sizes must be array<i64: m0, n0, k0>"):
        lowered(product("{encoding.tile_sizes = array<i64: 4, 16>}"), V4)


@pytest.mark.parametrize("target", [ROWS, V4, NONE], ids=lambda target: target.name)
@pytest.mark.parametrize(
    ("lhs", "out", "shapes"),
    [("m, k", "m, n", "5x6 6x7 5x7"), ("k, m", "m, n", "6x5 6x7 5x7"), ("k, m", "n, m", "6x5 6x7 7x5")],
)
def test_operands_may_lie_in_any_order(lhs: str, out: str, shapes: str, target: Target) -> None:
    module = lowered(product("", lhs, out, shapes), target)
    rng = np.random.default_rng(0)
    x, y = (
        rng.integers(-4, 5, [int(size) for size in shape.split("x")]).astype(np.float32) for shape in shapes.split()[:2]
    )
    wanted = (x.T if lhs == "k, m" else x) @ y
    (got,) = evaluate(module, "main", [x, y])
    np.testing.assert_array_equal(got, wanted.T if out == "n, m" else wanted)


def attributes(module: ModuleOp) -> Iterator[Attribute]:
    for op in module.walk():
        for result in op.results:
            if isinstance(result.type, TensorType):
                yield result.type.encoding


@pytest.mark.parametrize(("phase", "kind"), [("hoist-encodings", EncodingAttr), ("specialize-encodings", LayoutAttr)])
def test_encodings_are_read_as_they_are_printed(phase: str, kind: type[Attribute]) -> None:
    module = lowered(chain("?", "").replace("ins(%x", "{encoding.data_tiling = true} ins(%x"), ROWS, phase)
    assert any(isinstance(attribute, kind) for attribute in attributes(module))
    assert str(parse(str(module))) == str(module)


def test_encodings_are_readable() -> None:
    text = readable(lowered(chain("?", CONSTANTS), V4, "hoist-encodings"))
    sizes = "element_types = [f32, f32, f32], user_indexing_maps = [#map0, #map1, #map2], iteration_sizes = [?, 10, 6]"
    assert f"#encoding.encoding<operand_index = 0, op_type = matmul, {sizes}, hints = {{constant_rhs}}>" in text
    assert "encoding.set_encoding %x : tensor<?x6xf32> -> tensor<?x6xf32, #encoding" in text


def test_what_a_loop_only_reads_is_packed_in_front_of_it() -> None:
    text = """
func.func @main(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>, %rounds: index) -> tensor<?x?xf32> {
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %m = tensor.dim %x, %c0 : tensor<?x?xf32>
  %n = tensor.dim %x, %c1 : tensor<?x?xf32>
  %r = scf.for %i = %c0 to %rounds step %c1 iter_args(%z = %x) -> (tensor<?x?xf32>) {
    %e = tensor.empty(%m, %n) : tensor<?x?xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
    %p = linalg.matmul ins(%z, %y : tensor<?x?xf32>, tensor<?x?xf32>) outs(%f : tensor<?x?xf32>) -> tensor<?x?xf32>
    scf.yield %p : tensor<?x?xf32>
  }
  return %r : tensor<?x?xf32>
}"""
    module = lowered(text, V4)
    (loop,) = (op for op in module.walk() if op.name == "scf.for")
    inside = [op.name for op in loop.walk()]
    assert "tiled.matmul" in inside and "linalg.pack" not in inside
    assert names(module).count("linalg.pack") == 1
    x, y = np.eye(3, dtype=np.float32) * 2, np.arange(9, dtype=np.float32).reshape(3, 3) - 4
    (got,) = evaluate(module, "main", [x, y, np.asarray(2)])
    np.testing.assert_array_equal(got, x @ y @ y)
