"""What the innermost loop of matrix products is made of: little beside the instructions that multiply.

LLVM writes it as assembly for targets that this machine need not be. A tile of m0 rows and V vectors takes, per step,
m0 * V multiplications, m0 loads of the left side (on AArch64 `ldr` of an element, or `ld1r` after an addition, as that
has no displacement; two rows for `smmla` take two `ldr` and a `mov`), V loads of the right side (two in one `ldp`), and
the loop's own few: what is spilled or moved would come on top and show here.
"""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import pytest
from tosaic.lowering.codegen import assemble, assembler, compile_region
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.dialects.dispatch import RegionOp, YieldOp
from tosaic.lowering.dialects.tiled import MatmulOp
from tosaic.lowering.target import Target, Tile, resolve_target
from xdsl.dialects.builtin import TensorType, bf16, f32, i8, i32
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Attribute

_SIZE = 256


@pytest.mark.parametrize(
    ("name", "operand", "result", "multiply", "products", "most"),
    [
        ("aarch64", f32, f32, r"fmla\tv\S+4s", 4, 1.6),
        ("neoverse-v1", f32, f32, r"fmla\tv\S+4s", 4, 1.6),
        ("neoverse-n1", i8, i32, r"sdot\t", 16, 1.8),
        ("neoverse-v1", i8, i32, r"smmla\t", 32, 2.3),
        ("neoverse-v1", bf16, f32, r"bfmmla\t", 16, 2.3),
        ("x86-64-v3", f32, f32, r"vfmadd231ps\t", 8, 1.8),
        ("x86-64-v3+vnni", i8, i32, r"(\{vex\}\t)?vpdpbusd\t", 32, 2.0),
        ("x86-64-v3", i8, i32, r"vpmaddwd\t", 16, 3.0),
        ("x86-64-v4", f32, f32, r"vfmadd231ps\t", 16, 1.7),
        ("znver4", i8, i32, r"vpdpbusd\t", 64, 1.7),
        ("znver4", bf16, f32, r"vdpbf16ps\t", 32, 1.7),
    ],
)
def test_multiplications_fill_it(
    name: str, operand: Attribute, result: Attribute, multiply: str, products: int, most: float
) -> None:
    """At most `most` instructions for each that multiplies, of which one does `products` multiply-adds."""
    tile, loop = _tile_and_loop(name, operand, result, _SIZE, _SIZE)
    multiplications = sum(re.match(multiply, line) is not None for line in loop)
    per_step = tile.m0 * tile.n0 * tile.k0
    assert multiplications > 0 and multiplications * products % per_step == 0
    assert len(loop) <= most * multiplications, "\n".join(loop)
    assert not [line for line in loop if re.search(r"\[sp|\(%rsp", line)], "nothing is spilled"


@pytest.mark.parametrize(("operand", "multiply"), [(f32, "vfmadd231ps"), (bf16, "vdpbf16ps")])
def test_a_tile_one_vector_wide_broadcasts_from_memory(operand: Attribute, multiply: str) -> None:
    """A broadcast of its own takes 1.4 cycles, which only tiles of more vectors have time for."""
    tile, loop = _tile_and_loop("znver4", operand, f32, 16, _SIZE)
    multiplications = [line for line in loop if line.startswith(multiply)]
    assert tile.n0 == 16 and len(multiplications) >= tile.m0
    assert all("{1to16}" in line for line in multiplications), "\n".join(loop)


@pytest.mark.parametrize(
    ("n", "k", "comes"), [(_SIZE, _SIZE, False), (4 * _SIZE, _SIZE // 2, True), (_SIZE, 8 * _SIZE, True)]
)
def test_the_next_panel_is_brought_nearer_where_the_right_side_is_not_in_the_second_cache(
    n: int, k: int, comes: bool
) -> None:
    """256 x 256 f32 are 256 KiB, which all of many blocks but the first find there; eight times as many do not fit,
    and a wide right side is swept over by few blocks. One cache line a step is enough."""
    tile, loop = _tile_and_loop("znver4", f32, f32, n, k)
    prefetches = [line for line in loop if line.startswith("prefetch")]
    steps = sum(line.startswith("vfmadd") for line in loop) * 16 // (tile.m0 * tile.n0)
    assert len(prefetches) <= steps and bool(prefetches) == comes, "\n".join(loop)


def _tile_and_loop(name: str, operand: Attribute, result: Attribute, n: int, k: int) -> tuple[Tile, list[str]]:
    """The tile of a product of 256 rows, and the instructions of its innermost loop."""
    target = resolve_target(name)
    tile = target.tile(Contraction("matmul", operand, operand, result, 1, _SIZE, n, k, _SIZE))
    assert tile is not None
    right = TensorType(operand, [-(-n // tile.n0), k // tile.k0, tile.n0, tile.k0])
    product_type = TensorType(result, [_SIZE, n])
    region = RegionOp([EmptyOp([], type).tensor for type in (TensorType(operand, [_SIZE, k]), right)], [product_type])
    left, panels = region.body.block.args
    product = MatmulOp(left, panels, product_type, tile.m0, tile.lhs_offset)
    region.body.block.add_ops([product, YieldOp(product.result)])
    return tile, _innermost(_assembly(compile_region(region, target, "work").text, target), "work.tile")


def _assembly(text: str, target: Target) -> str:
    arguments = assemble._machine(target)
    machine = assembler._target_machine(*arguments)
    with llvm.parse_assembly(text + assemble._attributes(target)) as module:
        module.triple = target.triple
        module.data_layout = str(machine.target_data)
        assembler._optimise(module, machine)
        return machine.emit_assembly(module)


def _innermost(assembly: str, function: str) -> list[str]:
    """The instructions of the longest loop of `function` that has no label in it."""
    body = assembly[assembly.index(f"\n{function}:") :]
    lines = [line.strip() for line in body[: body.index(".Lfunc_end")].splitlines()]
    loops: list[list[str]] = []
    label, since = "", 0
    for number, line in enumerate(lines):
        if match := re.match(r"(\.LBB\w+):", line):
            label, since = match.group(1), number + 1
        elif label and line.endswith(label):
            loops.append([each for each in lines[since : number + 1] if each and not each.startswith((".", "#", "//"))])
    return max(loops, key=len)
