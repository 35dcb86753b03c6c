"""Artifacts survive the way to disk and back, and no damage to the file goes unnoticed."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from tosaic.runtime import artifact as records
from tosaic.runtime import artifact_file, flatbuffer
from tosaic.runtime.artifact import Artifact, BufferReference, Image, Plan, Signature, Step, TensorInfo
from tosaic.runtime.errors import MalformedFileError

SCHEMA = Path(records.__file__).with_name("artifact.fbs")


def small_artifact() -> Artifact:
    """One step, 300 bytes of constants, code that nobody runs."""
    step = Step(
        "kernel",
        (
            BufferReference("input", 0, 0, 12),
            BufferReference("constants", 0, 64, 12),
            BufferReference("output", 0, 0, 12),
        ),
        "cpu",
        flops=3,
        bytes=36,
        description="x + c",
    )
    signature = Signature(
        "main",
        (TensorInfo("x", "float32", (1, 3)),),
        (TensorInfo("größe", "float32", (1, 3)),),
    )
    entries = {"invoke": 0, "worker": 16, "run:main": 64}
    plan = Plan("main", (step,), arena_bytes=128, scratch_bytes=64)
    image = Image("x86-64-v3", ("x86_64", "avx2"), bytes(range(200)), entries, (plan,))
    return Artifact(
        (signature,), (image,), bytes(i % 251 for i in range(300)), {"devices": "cpu:2", "source": "m.tflite"}
    )


@pytest.fixture
def saved(tmp_path: Path) -> bytes:
    path = tmp_path / "small.module"
    small_artifact().save(path)
    return path.read_bytes()


def same(one: Artifact, other: Artifact) -> bool:
    def plain(artifact: Artifact) -> Artifact:
        images = tuple(dataclasses.replace(i, code=bytes(i.code), entries=dict(i.entries)) for i in artifact.images)
        return dataclasses.replace(artifact, images=images, constants=bytes(artifact.constants))

    return plain(one) == plain(other)


def rehashed(table: bytes, rest: bytes) -> memoryview:
    """A file whose table claims to be intact, as a clever forger would make it."""
    return memoryview(table + hashlib.sha256(table).digest() + rest)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.module"
    small_artifact().save(path)
    assert same(Artifact.load(path), small_artifact())


def test_constants_are_used_from_the_mapping_at_a_page_boundary_with_slack(saved: bytes) -> None:
    artifact = artifact_file.parse(memoryview(saved))
    start = saved.index(bytes(artifact.constants))
    assert start % 4096 == 0
    assert len(saved) >= start + 300 + records.SLACK
    assert isinstance(artifact.constants, memoryview) and artifact.constants.obj is saved


def test_an_artifact_without_constants(tmp_path: Path) -> None:
    artifact = dataclasses.replace(corrupt(buffers=()), constants=b"")
    artifact.save(tmp_path / "a.module")
    assert same(Artifact.load(tmp_path / "a.module"), artifact)


def test_sections_of_several_chunks_are_hashed_in_order(tmp_path: Path) -> None:
    constants = random.Random(0).randbytes((5 << 20) + 17)
    artifact = dataclasses.replace(small_artifact(), constants=constants)
    path = tmp_path / "big.module"
    artifact.save(path)
    assert bytes(Artifact.load(path).constants) == constants
    data = bytearray(path.read_bytes())
    data[data.index(constants[:64]) + (3 << 20) + 5] ^= 0x10
    begin = data.index(constants[:64]) + (3 << 20)
    with pytest.raises(MalformedFileError, match=f"the mebibyte of the constants from byte {begin} is damaged"):
        artifact_file.parse(memoryview(data))


def test_every_byte_that_matters_is_covered(saved: bytes) -> None:
    """Flipping any one bit of the file is refused, or hits padding and changes nothing."""
    choose = random.Random(1)
    refused = 0
    for position in sorted(choose.sample(range(len(saved)), 2000)):
        damaged = bytearray(saved)
        damaged[position] ^= 1 << choose.randrange(8)
        try:
            loaded = artifact_file.parse(memoryview(damaged))
        except MalformedFileError:
            refused += 1
        else:
            assert same(loaded, small_artifact()), f"byte {position} changed the artifact"
    assert refused > 200


@pytest.mark.parametrize("length", [0, 1, 7, 11, 12, 100, 800, 4095, 4096, 4300])
def test_a_truncated_file_is_refused(saved: bytes, length: int, tmp_path: Path) -> None:
    path = tmp_path / "short.module"
    path.write_bytes(saved[:length])
    with pytest.raises(MalformedFileError, match=re.escape(str(path))):
        Artifact.load(path)


def test_something_else_is_refused() -> None:
    with pytest.raises(MalformedFileError, match="not a Tosaic artifact"):
        artifact_file.parse(memoryview(b"module {}\n" * 10))


def test_another_version_is_refused(saved: bytes) -> None:
    end = flatbuffer.table_size(memoryview(saved))
    record = flatbuffer.decode(memoryview(saved)[:end], artifact_file.ArtifactRecord, artifact_file.IDENTIFIER)
    table = flatbuffer.encode(dataclasses.replace(record, version=99), artifact_file.IDENTIFIER)
    with pytest.raises(MalformedFileError, match="artifact version 99, this Tosaic reads version 2: compile it again"):
        artifact_file.parse(rehashed(table, saved[end + 32 :]))


def test_mutated_tables_with_valid_hashes_never_crash(saved: bytes) -> None:
    """Thousands of forged tables: each loads as some verified artifact or is refused, and nothing else happens."""
    end = flatbuffer.table_size(memoryview(saved))
    choose = random.Random(2)
    extremes = [0, 1, 0x7F, 0x80, 0xFF]
    refused = 0
    for _ in range(6000):
        table = bytearray(saved[:end])
        for _ in range(choose.choice([1, 1, 2, 8])):
            position = choose.randrange(4, end)
            if choose.random() < 0.5:
                table[position] = choose.choice(extremes)
            else:
                width = min(choose.choice([2, 4, 8]), end - position)
                table[position : position + width] = choose.choice(
                    [
                        b"\xff" * width,
                        b"\0" * width,
                        struct.pack("<q", choose.choice([-1, 1 << 30, 4, 1 << 62]))[:width],
                    ]
                )
        try:
            artifact_file.parse(rehashed(bytes(table), saved[end + 32 :]))
        except MalformedFileError:
            refused += 1
    assert refused > 3000


def corrupt(**changes: object) -> Artifact:
    """The small artifact with other fields in its only signature, plan or step."""
    artifact = small_artifact()
    (signature,), (image,) = artifact.signatures, artifact.images
    (plan,) = image.plans
    (step,) = plan.steps

    def replaced(record: Any) -> Any:
        names = {field.name for field in dataclasses.fields(record)}
        return dataclasses.replace(record, **{name: value for name, value in changes.items() if name in names})

    plan = dataclasses.replace(replaced(plan), steps=(replaced(step),))
    images = (dataclasses.replace(image, plans=(plan,)),)
    return dataclasses.replace(artifact, signatures=(replaced(signature),), images=images)


@pytest.mark.parametrize(
    ("artifact", "message"),
    [
        (corrupt(buffers=(BufferReference("arena", 0, 100, 64),)), "uses bytes 100..164 of the 128 bytes of its arena"),
        (corrupt(buffers=(BufferReference("constants", 0, 256, 64),)), "of the 300 bytes of its constants"),
        (corrupt(buffers=(BufferReference("input", 1, 0, 4),)), "uses input 1, of 1"),
        (corrupt(buffers=(BufferReference("output", 0, 0, 13),)), "of the 12 bytes of its output"),
        (corrupt(arena_bytes=1 << 60), "bytes of arena"),
        (corrupt(scratch_bytes=10), "no multiple of 64"),
        (corrupt(inputs=(TensorInfo("x", "float31", (1, 3)),)), "unknown dtype 'float31'"),
        (corrupt(inputs=(TensorInfo("x", "float32", (1, -3)),)), "impossible shape"),
        (corrupt(inputs=(TensorInfo("x", "float32", (1 << 40, 1 << 40)),)), "impossible shape"),
        (corrupt(inputs=(TensorInfo("x", "int8", (64,)),) * 2), "input 'x' occurs twice"),
        (corrupt(name="other"), "lacks the entry 'run:other'"),
        (corrupt(signature="other"), "image 'x86-64-v3' has plans for ['other']; the signatures are ['main']"),
        (dataclasses.replace(small_artifact(), signatures=()), "there is no signature"),
    ],
)
def test_what_the_records_mean_is_verified(artifact: Artifact, message: str, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a.module")
    with pytest.raises(MalformedFileError, match=re.escape(message)):
        Artifact.load(tmp_path / "a.module")


def test_an_entry_outside_of_the_code_is_refused(tmp_path: Path) -> None:
    artifact = small_artifact()
    image = dataclasses.replace(artifact.images[0], entries={**artifact.images[0].entries, "run:main": 200})
    dataclasses.replace(artifact, images=(image,)).save(tmp_path / "a.module")
    with pytest.raises(MalformedFileError, match="entry 'run:main' at 200 lies outside of its 200 bytes of code"):
        Artifact.load(tmp_path / "a.module")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.module"
    path.write_bytes(b"old")
    broken = dataclasses.replace(small_artifact(), metadata={"source": 7})  # type: ignore[dict-item]
    with pytest.raises((TypeError, AttributeError)):
        broken.save(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.module"]


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        small_artifact().save("/dev/full")


@dataclasses.dataclass(frozen=True)
class Narrow:
    text: str


@dataclasses.dataclass(frozen=True)
class Wide:
    number: int
    narrow: Narrow


def test_tables_whose_fields_lie_alike_keep_their_own_sizes() -> None:
    record = Wide(1 << 40, Narrow("text"))
    wider = dataclasses.make_dataclass("Wider", [("number", int), ("wide", Wide)], frozen=True)(3, record)
    assert flatbuffer.decode(memoryview(flatbuffer.encode(wider, b"TEST")), type(wider), b"TEST") == wider


def test_the_schema_and_the_records_agree() -> None:
    """`artifact.fbs` is documentation and what other languages' readers are made from; it must be true."""
    text = re.sub(r"//.*", "", SCHEMA.read_text())
    declared = {
        name: re.findall(r"(\w+): ([^; ]+)", body)
        for name, body in re.findall(r"(?:table|struct) (\w+) \{(.*?)\}", text, re.DOTALL)
    }
    classes = {
        "TensorInfo": TensorInfo,
        "Step": Step,
        "Signature": Signature,
        "Plan": Plan,
        "Section": artifact_file.Section,
        "Entry": artifact_file.Entry,
        "Image": artifact_file.ImageRecord,
        "Property": artifact_file.Property,
        "Artifact": artifact_file.ArtifactRecord,
    }
    names = {cls: name for name, cls in classes.items()} | {str: "string", bytes: "[ubyte]"}
    names[BufferReference] = "BufferReference"

    def spell(kind: Any) -> str:
        return kind.builder_name.lower() if isinstance(kind, flatbuffer.Scalar) else names[kind]

    for name, cls in classes.items():
        fields = flatbuffer.fields_of(cls)
        expected = [(f.name, f"[{spell(f.element)}]" if f.kind is tuple else spell(f.kind)) for f in fields]
        assert declared[name] == expected, name
    inline = [("space", "Space"), ("index", "uint32"), ("offset", "uint64"), ("size", "uint64")]
    assert declared["BufferReference"] == inline and BufferReference.STRUCT.size == 24
    (spaces,) = re.findall(r"enum Space : ubyte \{ (.*) \}", text)
    assert spaces.split(", ") == list(records.SPACES)
