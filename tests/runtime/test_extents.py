"""Constants come back bit for bit, however they are stored, and what cannot be true of an extent is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tosaic.runtime import artifact_file, extents, region
from tosaic.runtime.artifact import Artifact, DeviceSlot, Signature
from tosaic.runtime.errors import MalformedFileError
from tosaic.runtime.extents import DEFLATED, HALF, PLAIN, PLANES, SPARSE, Bytes, Extent, Piece

Draw = Callable[[np.random.Generator, int], Bytes]


def bits(array: np.ndarray) -> Bytes:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def noise(chance: np.random.Generator, size: int) -> Bytes:
    return chance.integers(0, 256, size, np.uint8)


def halves(chance: np.random.Generator, size: int) -> Bytes:
    """float32 that were float16, subnormal ones and zeros of both signs among them."""
    numbers = chance.integers(0, 1 << 16, size // 4).astype(np.uint16)
    numbers[(numbers & 0x7C00) == 0x7C00] = 0x8000  # neither infinite nor not a number
    return bits(numbers.view(np.float16).astype(np.float32))


def weights(chance: np.random.Generator, size: int) -> Bytes:
    return bits(chance.standard_normal(size // 4).astype(np.float32))


def padded(chance: np.random.Generator, size: int) -> Bytes:
    """Panels of 48 columns, 40 of which are used."""
    panels = chance.standard_normal((size // 192, 48)).astype(np.float32)
    panels[:, 40:] = 0
    return bits(panels)


def sparse(chance: np.random.Generator, size: int) -> Bytes:
    numbers = chance.standard_normal(size // 2).astype(np.float16)
    return bits(np.where(chance.random(size // 2) < 0.7, np.float16(0), numbers))


def padded_halves(chance: np.random.Generator, size: int) -> Bytes:
    """Panels of 48 columns, 24 of which are used, of float32 that were float16."""
    panels = chance.standard_normal((size // 192, 48)).astype(np.float16)
    panels[:, 24:] = 0
    return bits(panels.astype(np.float32))


def int8_weights(chance: np.random.Generator, size: int) -> Bytes:
    return bits(np.clip(np.round(chance.standard_normal(size) * 30), -127, 127).astype(np.int8))


KINDS: dict[str, Draw] = {
    each.__name__: each for each in (noise, halves, weights, padded, sparse, padded_halves, int8_weights)
}


def with_constants(constants: Bytes) -> Artifact:
    return Artifact((Signature("main", (), ()),), (DeviceSlot("cpu", "cpu", 0),), (), constants.data)


def extents_of(path: Path) -> tuple[Extent, ...]:
    table, _ = artifact_file.read_table(memoryview(path.read_bytes()))
    record = artifact_file.flatbuffer.decode(
        memoryview(table), artifact_file.ArtifactRecord, artifact_file.IDENTIFIER, size_prefixed=False
    )
    return record.constants.extents


@pytest.mark.parametrize("seed", range(12))
def test_any_mixture_comes_back(seed: int, tmp_path: Path) -> None:
    chance = np.random.default_rng(seed)
    names = chance.choice(list(KINDS), chance.integers(1, 9))
    parts = [KINDS[name](chance, int(chance.choice([192, 3 << 10, 96 << 10, 384 << 10]))) for name in names]
    constants = np.concatenate([*parts, noise(chance, int(chance.integers(0, 300)))])
    path = tmp_path / "a.module"
    with_constants(constants).save(path)
    assert bytes(Artifact.load(path).constants) == constants.tobytes()
    assert bytes(artifact_file.parse(memoryview(path.read_bytes())).constants) == constants.tobytes()


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (halves, 0.51),
        (padded, 0.86),
        (sparse, 0.37),
        (padded_halves, 0.26),
        (noise, 1.001),
        (weights, 1.0),
    ],
)
def test_a_file_is_as_small_as_what_its_constants_say(kind: Draw, most: float, tmp_path: Path) -> None:
    """sparse: 0.3 of the numbers and a bit for each of 16; padded: 40 of 48 columns and a bit for 8 of them;
    padded_halves: half of both the columns and the bytes, and a bit for 8 bytes of those."""
    constants = kind(np.random.default_rng(3), 3 << 17)
    path = tmp_path / "a.module"
    with_constants(constants).save(path)
    assert path.stat().st_size <= most * len(constants) + 256
    assert bytes(Artifact.load(path).constants) == constants.tobytes()


def test_large_parts_are_pages_of_the_file_and_small_ones_copies(tmp_path: Path) -> None:
    chance = np.random.default_rng(4)
    large = [noise(chance, 3 * region.MAPPED + 128), noise(chance, 2 * region.MAPPED)]
    constants = np.concatenate([halves(chance, 8192), large[0], halves(chance, 8192), large[1], halves(chance, 1024)])
    path = tmp_path / "a.module"
    with_constants(constants).save(path)
    loaded = np.frombuffer(Artifact.load(path).constants, np.uint8)
    first = loaded.ctypes.data
    mapped = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(each, 16) for each in line.split()[0].split("-"))
        mapped += end - begin if str(path) in line and first <= begin < first + len(loaded) else 0
    assert sum(map(len, large)) - 4 * region.PAGE <= mapped <= sum(map(len, large))
    assert loaded.tobytes() == constants.tobytes()


def test_constants_outlive_the_file(tmp_path: Path) -> None:
    constants = np.concatenate([halves(np.random.default_rng(5), 4096), noise(np.random.default_rng(6), 1 << 20)])
    path = tmp_path / "a.module"
    with_constants(constants).save(path)
    loaded = Artifact.load(path)
    path.unlink()
    assert bytes(loaded.constants) == constants.tobytes()


@pytest.mark.parametrize(("kind", "coding"), [(weights, PLANES), (int8_weights, DEFLATED)])
def test_deflating_saves_what_it_is_asked_to_and_no_more(kind: Draw, coding: int) -> None:
    constants = kind(np.random.default_rng(7), 1 << 20)
    whole = [Piece(PLAIN, 0, 0, len(constants))]
    pieces = extents.deflated(whole, constants, 3_000)
    saved = len(constants) - sum(len(extents.store(piece, constants)) for piece in pieces)
    assert [piece.coding for piece in pieces] == [coding, PLAIN] and 3_000 <= saved < 6_000
    stored = extents.store(pieces[0], constants)
    out = np.zeros(pieces[0].end, np.uint8)
    extents.expand(Extent.from_struct(coding, 0, 64, len(stored), len(out)), stored.data, out)
    assert out.tobytes() == constants[: len(out)].tobytes()


def test_deflating_is_for_who_needs_it_and_ends_where_it_takes_long() -> None:
    constants = weights(np.random.default_rng(7), 1 << 20)
    whole = [Piece(PLAIN, 0, 0, len(constants))]
    assert extents.deflated(whole, constants, 0) == whole
    assert extents.deflated(whole, noise(np.random.default_rng(8), 1 << 20), 10_000) == whole
    assert extents.deflated(whole, constants, 1 << 20)[0].end == 1 << 18  # a quarter of which is inflated


@pytest.mark.parametrize(
    "values",
    [
        (5, 0, 0, 8, 8),
        (DEFLATED, 0, 0, 8, 1 << 20),
        (PLAIN, 0, 0, 8, 9),
        (PLAIN, 0, 0, -1, -1),
        (HALF, 0, 0, 8, 8),
        (HALF, 32, 0, 8, 512),
        (HALF, 2, 0, 0, 32),
        (SPARSE, 0, 0, 9, 24),
        (SPARSE, 3, 0, 9, 24),
        (SPARSE, 2, 0, 0, 16),
        (PLANES, 0, 0, 2, 8),
        (PLANES, 0, 0, 9, 9),
    ],
)
def test_extents_that_cannot_be_are_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot stand for"):
        Extent.from_struct(*values)


@pytest.mark.parametrize(
    ("extent", "stored", "message"),
    [
        (Extent(SPARSE, 2, 64, 3, 16), b"\x03ab", "other bits than units"),
        (Extent(HALF, 2, 64, 3, 32), b"\x03ab", "other bits than units"),
        (Extent(PLANES, 0, 64, 15, 16), b"\x07bc" + bytes(12), "cannot be inflated"),
        (Extent(PLANES, 0, 64, 14, 16), b"\x03\x00" + bytes(12), "another size than 4"),
    ],
)
def test_stored_bytes_that_do_not_fit_are_refused(extent: Extent, stored: bytes, message: str) -> None:
    with pytest.raises(MalformedFileError, match=message):
        extents.expand(extent, memoryview(stored), np.zeros(extent.length, np.uint8))


def test_extents_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.module"
    with_constants(noise(np.random.default_rng(9), 4096)).save(path)
    saved = path.read_bytes()
    table, end = artifact_file.read_table(memoryview(saved))
    record = artifact_file.flatbuffer.decode(
        memoryview(table), artifact_file.ArtifactRecord, artifact_file.IDENTIFIER, size_prefixed=False
    )
    (extent,) = record.constants.extents
    twice = dataclasses.replace(record.constants, length=8192, extents=(extent, extent))
    bad = artifact_file.flatbuffer.encode(
        dataclasses.replace(record, constants=twice), artifact_file.IDENTIFIER, size_prefixed=False
    )
    with pytest.raises(MalformedFileError, match="do not make their 8192 bytes"):
        artifact_file.parse(memoryview(artifact_file.seal(bad) + saved[end:]))
