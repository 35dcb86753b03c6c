"""Targets by name, and the tiles that their resolvers choose."""

from __future__ import annotations

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from tosaic.lowering.contraction import Contraction
from tosaic.lowering.dialects.encoding import UNKNOWN
from tosaic.lowering.target import Target, known_targets, resolve_target
from tosaic.lowering.targets import x86
from tosaic.runtime.errors import ArgumentError
from xdsl.dialects.builtin import bf16, f16, f32, f64, i8, i32
from xdsl.ir import Attribute

TARGETS = [resolve_target(name) for name in (*x86.NAMES, "znver4")]
RESULTS: dict[Attribute, Attribute] = {f32: f32, bf16: f32, i8: i32}

extents = st.integers(2, 3000)
contractions = st.builds(
    lambda type, m, n, k: Contraction("matmul", type, type, RESULTS[type], 1, m, n, k, m),
    st.sampled_from(list(RESULTS)),
    extents,
    extents,
    extents,
)


@given(st.sampled_from(TARGETS), contractions)
def test_tiles_fit_in_the_registers(target: Target, contraction: Contraction) -> None:
    tile = target.tile(contraction)
    if tile is None:
        reject()
    lanes = target.vector_bits // 32
    if tile.n0 % lanes and target.half_width_multipliers:
        lanes //= 2
    vectors, rest = divmod(tile.n0, lanes)
    assert rest == 0
    product = 0 if target.fma else 1
    assert tile.m0 * vectors + vectors + 1 + product < target.vector_registers
    assert 1 <= tile.m0 <= contraction.m


@given(st.sampled_from(TARGETS), contractions)
def test_the_left_side_is_made_unsigned_exactly_for_vnni_bytes(target: Target, contraction: Contraction) -> None:
    tile = target.tile(contraction)
    if tile is None:
        reject()
    unsigned = contraction.lhs == i8 and target.vnni
    assert tile.lhs_offset == (128 if unsigned else 0)
    assert tile.k0 == (
        4 if unsigned else 2 if contraction.lhs == i8 or (contraction.lhs == bf16 and target.bf16) else 1
    )


@pytest.mark.parametrize(
    ("m", "n", "n0"),
    [
        (49, 960, 48),  # seven rows of seven, twenty columns of 48
        (196, 64, 32),
        (12544, 16, 16),  # no wider than the matrix
    ],
)
def test_avx512_wastes_little_at_the_edges(m: int, n: int, n0: int) -> None:
    tile = resolve_target("x86-64-v4").tile(Contraction("matmul", f32, f32, f32, 1, m, n, 256, m))
    assert tile is not None
    computed = -(-m // tile.m0) * tile.m0 * -(-n // tile.n0) * tile.n0
    assert computed <= 1.03 * m * n
    assert tile.n0 == n0


@pytest.mark.parametrize(
    ("m", "n", "k"),
    [(1, 4096, 4096), (8, 1024, 1024), (4096, 1, 4096), (17, 65, 33), (UNKNOWN, 1, UNKNOWN), (1, UNKNOWN, 7)],
)
@pytest.mark.parametrize("types", [(f32, f32, f32), (i8, i8, i32)], ids=str)
def test_skinny_products_stay_in_rows(m: int, n: int, k: int, types: tuple[Attribute, Attribute, Attribute]) -> None:
    assert resolve_target("x86-64-v4").tile(Contraction("matmul", *types, 1, m, n, k, m)) is None


@pytest.mark.parametrize(
    ("m", "n", "k", "tiles"),
    [(1, 1000, 1280, True), (8, 1024, 1024, True), (1, 10, 4096, False), (4096, 1, 4096, False), (1, 128, 256, False)],
)
@pytest.mark.parametrize("types", [(f32, f32, f32), (i8, i8, i32)], ids=str)
def test_few_rows_are_multiplied_by_tiles_that_compile_time_packs(
    m: int, n: int, k: int, tiles: bool, types: tuple[Attribute, Attribute, Attribute]
) -> None:
    tile = resolve_target("x86-64-v4").tile(Contraction("matmul", *types, 1, m, n, k, m, constant_rhs=True))
    assert (tile is not None) == tiles


@pytest.mark.parametrize(
    ("types", "tiles"),
    [
        ((f32, f32, f16), False),  # operands are rounded before they are multiplied
        ((f16, f16, f16), True),
        ((i8, i8, f32), True),
        ((f32, f32, i32), False),
        ((f32, f32, f64), True),
        ((i32, i32, i8), True),
    ],
    ids=str,
)
def test_tiles_are_for_operands_that_widen_exactly(types: tuple[Attribute, Attribute, Attribute], tiles: bool) -> None:
    tile = resolve_target("x86-64-v4").tile(Contraction("matmul", *types, 1, 512, 512, 512, 512))
    assert (tile is not None) == tiles


@pytest.mark.parametrize(
    ("type", "n", "whole", "halves"), [(f32, 24, 32, 24), (f32, 8, 16, 8), (bf16, 40, 48, 40), (f32, 96, 32, 32)]
)
def test_halves_of_registers_where_multipliers_are_half_as_wide(
    type: Attribute, n: int, whole: int, halves: int
) -> None:
    contraction = Contraction("matmul", type, type, f32, 1, 3136, n, 144, 3136)
    tiles = [resolve_target(name).tile(contraction) for name in ("x86-64-v4", "znver4")]
    assert [tile and tile.n0 for tile in tiles] == [whole, halves]


def test_convolutions_tile_within_rows_of_the_image() -> None:
    tile = resolve_target("x86-64-v4").tile(Contraction("conv_2d", f32, f32, f32, 1, 28 * 28, 64, 576, 28))
    assert tile is not None
    assert 28 % tile.m0 == 0


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"did you mean .*znver4") as caught:
        resolve_target("znver9")
    assert all(name in str(caught.value) for name in known_targets())


@pytest.mark.parametrize(
    ("name", "architecture", "has", "lacks"),
    [
        ("znver4", "x86_64", {"avx512vnni", "avx512bf16"}, {"avxvnni"}),
        ("alderlake", "x86_64", {"avxvnni", "fma"}, {"avx512f"}),
        ("nehalem", "x86_64", {"sse4.2"}, {"avx"}),
        ("cortex-a53", "aarch64", {"neon"}, {"dotprod"}),
        ("cortex-a76", "aarch64", {"dotprod", "fullfp16"}, {"bf16"}),
        ("neoverse-v1", "aarch64", {"dotprod", "fullfp16", "bf16"}, set()),
        ("apple-m1", "aarch64", {"dotprod"}, {"bf16"}),
        ("sifive-u74", "riscv64", {"d", "c"}, {"v"}),
        ("spacemit-x60", "riscv64", {"v", "zfh"}, set()),
    ],
)
def test_processors_have_the_features_that_llvm_gives_them(
    name: str, architecture: str, has: set[str], lacks: set[str]
) -> None:
    target = resolve_target(name)
    assert (target.name, target.architecture, target.cpu) == (name, architecture, name)
    assert has <= set(target.features)
    assert not lacks & set(target.features)


@pytest.mark.parametrize(
    ("triple", "least"),
    [("x86_64-linux-gnu", "sse4.2"), ("aarch64-linux-gnu", "neon"), ("riscv64-unknown-linux-gnu", "d")],
)
def test_a_triple_alone_is_the_least_of_its_architecture(triple: str, least: str) -> None:
    target = resolve_target(triple=triple)
    assert triple.startswith(target.architecture)
    assert least in target.features
    assert target == resolve_target(target.architecture)


def test_features_are_added_and_taken_away() -> None:
    more = resolve_target(triple="aarch64-linux-gnu", features="+dotprod,+bf16")
    assert {"dotprod", "bf16"} <= set(more.features)
    less = resolve_target(cpu="neoverse-v1", features=["-bf16"])
    assert set(resolve_target("neoverse-v1").features) - set(less.features) == {"bf16"}
    assert resolve_target("riscv64", features="+v").vector_bits == 128
    assert not resolve_target("x86-64-v4+vnni", features="-avx512vnni").vnni


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"triple": "sparc-linux-gnu"}, "unknown target triple 'sparc-linux-gnu'; known triples: x86_64-linux-gnu"),
        ({"triple": "aarch64-pc-windows"}, "unknown target triple"),
        ({"triple": "aarch64-linux-gnu", "cpu": "cortex-a67"}, "unknown CPU 'cortex-a67'.*did you mean .*cortex-a76"),
        ({"triple": "aarch64-linux-gnu", "features": "+dotprd"}, "unknown feature '+dotprd'.*did you mean dotprod"),
        ({"triple": "aarch64-linux-gnu", "features": "dotprod"}, "write .NAME or -NAME"),
        ({"triple": "riscv64-linux-gnu", "features": "+zvl256b"}, "requires 'v'"),
        ({"triple": "riscv64-linux-gnu", "cpu": "generic-rv64"}, "less than rv64gc.*lacks m"),
        ({"name": "x86-64-v3", "triple": "aarch64-linux-gnu"}, "x86-64-v3 is x86_64, not aarch64-linux-gnu"),
        ({"name": "x86-64-v3", "cpu": "znver4"}, "not both"),
        ({"name": "generic"}, "of several architectures: say which"),
        ({"name": "k8"}, "k8 is older than x86-64-v2, the oldest supported: it lacks"),
    ],
)
def test_what_cannot_be_a_target_is_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message.replace("+", "[+]")):
        resolve_target(**arguments)


def test_levels_include_the_lower_ones() -> None:
    v2, v3, v4 = (set(resolve_target(name).features) for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4+vnni+bf16"))
    assert v2 < v3 < v4
    assert {"avx512vnni", "avx512bf16"} <= v4


def test_a_host_is_placed_at_the_highest_level_it_has() -> None:
    features = frozenset(resolve_target("x86-64-v3").features) - {"x86_64"} | {"avx512f", "avxvnni"}
    host = x86.from_features("alderlake", "alderlake", features)
    assert (host.cpu, host.vector_bits, host.vnni) == ("alderlake", 256, True)
    with pytest.raises(ArgumentError, match=r"it lacks.*ssse3"):
        x86.from_features("k8", "k8", frozenset({"sse2"}))
