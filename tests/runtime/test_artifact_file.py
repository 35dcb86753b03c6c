"""Artifacts survive the way to disk and back, and no damage to the file goes unnoticed."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from tosaic.runtime import artifact as records
from tosaic.runtime import artifact_file, flatbuffer
from tosaic.runtime.artifact import (
    Artifact,
    BufferReference,
    DeviceSlot,
    Image,
    Launch,
    Segment,
    Signature,
    Step,
    TensorInfo,
    TensorMap,
    TensorType,
    Variant,
)
from tosaic.runtime.errors import MalformedFileError
from tosaic.runtime.extents import Extent
from tosaic.runtime.host_program.instructions import (
    INSTRUCTIONS,
    NONE,
    Block,
    Check,
    Constant,
    Dim,
    Execute,
    Extract,
    For,
    FromElements,
    HostProgram,
    If,
    Instruction,
    Number,
    Reshape,
    Scalar,
    Transfer,
    While,
)

SCHEMA = Path(records.__file__).with_name("artifact.fbs")


def small_artifact() -> Artifact:
    """One step, 300 bytes of constants, code that nobody runs."""
    buffers = (
        BufferReference("input", 0, 0, 12),
        BufferReference("constants", 0, 64, 12),
        BufferReference("output", 0, 0, 12),
    )
    step = Step("kernel", buffers, flops=3, bytes=36, description="x + c")
    signature = Signature(
        "main",
        (TensorInfo("x", "float32", (1, 3)),),
        (TensorInfo("größe", "float32", (1, 3)),),
    )
    type = TensorType("float32", (1, 3))
    entries = {"invoke": 0, "worker": 16, "run:main": 64}
    segment = Segment("main", (type,), (type,), 0, (step,), arena_bytes=128, scratch_bytes=64)
    image = Image("x86-64-v3", ("x86_64", "avx2"), bytes(range(200)), entries, (segment,))
    program = HostProgram("main", 2, (Block((0,), (Execute(0, 0, (0,), (), (), NONE, (1,)),), (1,)),))
    slots = (DeviceSlot("cpu:2", "cpu", 2),)
    constants = bytes(i % 251 for i in range(300))
    return Artifact((signature,), slots, (Variant((image,), (program,)),), constants, {"source": "m.tflite"})


def dynamic_artifact() -> Artifact:
    """A program with every instruction, on tensors of unknown sizes."""
    vector, table = TensorType("float32", (None,)), (0, 1)
    buffers = (BufferReference("input", 0, 0, -1), BufferReference("arena", 0, 0, -1, 1))
    buffers = (*buffers, BufferReference("output", 0, 0, -1))
    step = Step("kernel", buffers, 0, 0, "copy", scalars=(1,), dims=(0, 0))
    segment = Segment("main", (vector,), (vector,), 1, (step,), arena_bytes=-1, scratch_bytes=0)
    assert segment.table_size == len(table)
    image = Image("x86-64-v3", ("x86_64",), bytes(200), {"invoke": 0, "worker": 16, "run:main": 64}, (segment,))
    main = Block(
        (0,),
        (
            Dim(0, 0, 1),
            Number("index", 64, 2),
            Scalar("arith.muli", (1, 2), "index", "index", 3),
            Scalar("arith.cmpi", (1, 2), "index", "i1", 4, 2),
            Check(4, (1,), "{} elements are too many"),
            Execute(0, 0, (0,), (3,), (1,), 3, (5,)),
            Reshape(5, (1, None), (1,), 6, "%view"),
            Reshape(6, (None,), (1,), 7, "%back"),
            Transfer(7, 0, 8),
            Number("index", 0, 9),
            Number("index", 1, 10),
            For(9, 1, 10, (8,), 1, (13,), "%loop"),
            If(4, 2, 3, (14,)),
            While((13,), 4, 5, (17,)),
            Constant("int32", (), 64, 18),
            FromElements("float32", (1,), (14,), 19),
        ),
        (17, 18, 19),
    )
    blocks = (
        main,
        Block((11, 12), (), (12,)),
        Block((), (Extract(8, (9,), "f32", 20, "%element"),), (20,)),
        Block((), (Number("f32", 0x3F800000, 21),), (21,)),
        Block((15,), (), (4, 15)),
        Block((16,), (), (16,)),
    )
    outputs = (("y", "float32", (None,)), ("n", "int32", ()), ("z", "float32", (1,)))
    signature = Signature("main", (TensorInfo("x", "float32", (None,)),), tuple(TensorInfo(*info) for info in outputs))
    variant = Variant((image,), (HostProgram("main", 22, blocks),))
    return Artifact((signature,), (DeviceSlot("cpu", "cpu", 0),), (variant,), bytes(300))


@pytest.fixture
def saved(tmp_path: Path) -> bytes:
    path = tmp_path / "small.module"
    small_artifact().save(path)
    return path.read_bytes()


def same(one: Artifact, other: Artifact) -> bool:
    def plain(artifact: Artifact) -> Artifact:
        variants = tuple(
            dataclasses.replace(
                variant,
                images=tuple(
                    dataclasses.replace(image, code=bytes(image.code), entries=dict(image.entries))
                    for image in variant.images
                ),
            )
            for variant in artifact.variants
        )
        return dataclasses.replace(artifact, variants=variants, constants=bytes(artifact.constants))

    return plain(one) == plain(other)


def forged(table: bytes, saved: bytes) -> memoryview:
    """The file `saved` with another table that claims to be intact, as a clever forger would make it."""
    head = artifact_file.seal(table)
    end = artifact_file.read_table(memoryview(saved))[1]
    # What lies behind the table stays where it was as far as that is possible.
    return memoryview(head + bytes(max(end - len(head), 0)) + saved[max(end, len(head)) :])


@pytest.mark.parametrize("artifact", [small_artifact(), dynamic_artifact()], ids=["static", "dynamic"])
def test_what_is_saved_is_loaded(artifact: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "a.module"
    artifact.save(path)
    assert same(Artifact.load(path), artifact)


def test_constants_that_are_stored_as_they_are_are_used_in_place_with_slack(tmp_path: Path) -> None:
    constants = random.Random(0).randbytes(300)
    dataclasses.replace(small_artifact(), constants=constants).save(tmp_path / "a.module")
    saved = (tmp_path / "a.module").read_bytes()
    artifact = artifact_file.parse(memoryview(saved))
    start = saved.index(constants)
    assert start % records.ALIGNMENT == 0
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
    with pytest.raises(MalformedFileError, match=f"the constants in the mebibyte from byte {begin} on are damaged"):
        artifact_file.parse(memoryview(data))


def test_every_byte_that_matters_is_covered(saved: bytes) -> None:
    """Flipping any one bit of the file is refused, or hits padding and changes nothing."""
    choose = random.Random(1)
    refused = 0
    for position in range(len(saved)):
        damaged = bytearray(saved)
        damaged[position] ^= 1 << choose.randrange(8)
        try:
            loaded = artifact_file.parse(memoryview(damaged))
        except MalformedFileError:
            refused += 1
        else:
            assert same(loaded, small_artifact()), f"byte {position} changed the artifact"
    assert refused > 200


@pytest.mark.parametrize("length", [0, 1, 7, 11, 12, 19, 20, 100, 500, 700])
def test_a_truncated_file_is_refused(saved: bytes, length: int, tmp_path: Path) -> None:
    path = tmp_path / "short.module"
    path.write_bytes(saved[:length])
    with pytest.raises(MalformedFileError, match=re.escape(str(path))):
        Artifact.load(path)


def test_something_else_is_refused() -> None:
    with pytest.raises(MalformedFileError, match="not a Tosaic artifact"):
        artifact_file.parse(memoryview(b"module {}\n" * 10))


def test_another_version_is_refused(saved: bytes) -> None:
    table, end = artifact_file.read_table(memoryview(saved))
    with pytest.raises(
        MalformedFileError,
        match=f"artifact version 99, this Tosaic reads version {artifact_file.VERSION}: compile it again",
    ):
        artifact_file.parse(memoryview(artifact_file.seal(table, version=99) + saved[end:]))


@pytest.mark.parametrize("artifact", [small_artifact(), dynamic_artifact()], ids=["static", "dynamic"])
def test_mutated_tables_with_valid_hashes_never_crash(artifact: Artifact, tmp_path: Path) -> None:
    """Thousands of forged tables: each loads as some verified artifact or is refused, and nothing else happens."""
    path = tmp_path / "a.module"
    artifact.save(path)
    saved = path.read_bytes()
    original, _ = artifact_file.read_table(memoryview(saved))
    end = len(original)
    choose = random.Random(2)
    extremes = [0, 1, 0x7F, 0x80, 0xFF]
    refused = 0
    for _ in range(6000):
        table = bytearray(original)
        for _ in range(choose.choice([1, 1, 2, 8])):
            position = choose.randrange(end)
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
            loaded = artifact_file.parse(forged(bytes(table), saved))
            for image in (image for variant in loaded.variants for image in variant.images):
                assert all(len(segment.steps) >= 0 for segment in image.segments)
        except MalformedFileError:
            refused += 1
    assert refused > 3000


def corrupt(**changes: object) -> Artifact:
    """The small artifact with other fields in its only signature, segment or step."""
    artifact = small_artifact()
    (signature,), (variant,) = artifact.signatures, artifact.variants
    (image,) = variant.images
    (segment,) = image.segments
    (step,) = segment.steps

    def replaced(record: Any) -> Any:
        names = {field.name for field in dataclasses.fields(record)}
        return dataclasses.replace(record, **{name: value for name, value in changes.items() if name in names})

    segment = replaced(dataclasses.replace(segment, steps=(replaced(step),)))
    image = replaced(dataclasses.replace(image, segments=(segment,)))
    variant = replaced(dataclasses.replace(variant, images=(image,)))
    return dataclasses.replace(artifact, signatures=(replaced(signature),), variants=(variant,))


def with_instructions(*instructions: Instruction, yields: tuple[int, ...] = (1,)) -> Artifact:
    """The small artifact with another program, which takes x in register 0."""
    return corrupt(programs=(HostProgram("main", 8, (Block((0,), instructions, yields), Block((), (), ()))),))


@pytest.mark.parametrize(
    ("artifact", "message"),
    [
        (corrupt(buffers=(BufferReference("arena", 0, 100, 64),)), "uses bytes 100..164 of the 128 bytes of its arena"),
        (corrupt(buffers=(BufferReference("constants", 0, 256, 64),)), "of the 300 bytes of its constants"),
        (corrupt(buffers=(BufferReference("input", 1, 0, 4),)), "uses input 1, of 1"),
        (corrupt(buffers=(BufferReference("output", 0, 0, 13),)), "of the 12 bytes of its output"),
        (corrupt(arena_bytes=1 << 60), "bytes of arena"),
        (corrupt(scratch_bytes=10), "no multiple of 64"),
        (corrupt(inputs=(TensorInfo("x", "float31", (1, 3)),)), "the impossible type float31[1x3]"),
        (corrupt(buffers=(BufferReference("arena", 0, 0, 64, 0),)), "reads entry 0 of a table of 0"),
        (corrupt(dims=(-1,)), "reads entry -1 of a table of 0"),
        (corrupt(inputs=(TensorInfo("x", "float32", (1, -3)),)), "impossible type"),
        (corrupt(inputs=(TensorInfo("x", "float32", (1 << 40, 1 << 40)),)), "impossible type"),
        (corrupt(inputs=(TensorInfo("x", "int8", (64,)),) * 2), "input 'x' occurs twice"),
        (corrupt(name="other"), "lacks the entry 'run:other'"),
        (corrupt(programs=(HostProgram("other", 0, ()),)), "has programs for ['other']; the signatures are ['main']"),
        (corrupt(images=()), "0 images for 1 devices"),
        (with_instructions(), "reads register 1, which holds nothing"),
        (with_instructions(Dim(0, 2, 1)), "dimension 2 of 2"),
        (with_instructions(Dim(0, 1, 1)), "yields index; its outputs are float32[1x3]"),
        (with_instructions(Number("i65", 0, 1)), "the unknown type 'i65'"),
        (with_instructions(Number("index", 0, 9)), "writes register 9"),
        (with_instructions(Number("index", 0, 0)), "writes register 0 twice"),
        (with_instructions(Constant("float32", (1, 60), 64, 1)), "float32[1x60] at 64 of 300"),
        (with_instructions(Constant("float32", (1, 3), 1, 1)), "is not aligned"),
        (with_instructions(Execute(1, 0, (0,), (), (), NONE, (1,))), "device 1 of 1"),
        (with_instructions(Execute(0, 1, (0,), (), (), NONE, (1,))), "segment 1 of 1"),
        (with_instructions(Execute(0, 0, (), (), (), NONE, (1,))), "'main' takes float32[1x3], got none"),
        (with_instructions(Execute(0, 0, (0,), (), (), NONE, ())), "puts 1 values into 0 registers"),
        (with_instructions(Reshape(0, (None,), (), 1, "")), "0 sizes for float32[?]"),
        (with_instructions(Extract(0, (), "f32", 1, "")), "0 indices of float32[1x3]"),
        (with_instructions(Number("i1", 1, 1), Scalar("arith.addi", (1,), "i1", "i1", 2)), "arith.addi of i1"),
        (with_instructions(Number("i1", 1, 1), Scalar("arith.tail", (1,), "i1", "i1", 2)), "arith.tail"),
        (with_instructions(Number("i1", 1, 1), Check(1, (), "{}")), "its message"),
        (with_instructions(Number("i1", 1, 1), If(1, 0, 1, ())), "enters block 0 from block 0"),
        (with_instructions(Number("i1", 1, 1), If(1, 1, 1, ())), "enters block 1 twice"),
        (with_instructions(While((), 1, 2, ())), "yields no condition"),
        (with_instructions(Transfer(0, 1, 1)), "to device 1"),
        (dataclasses.replace(small_artifact(), signatures=()), "there is no signature"),
    ],
)
def test_what_the_records_mean_is_verified(artifact: Artifact, message: str, tmp_path: Path) -> None:
    artifact.save(tmp_path / "a.module")
    with pytest.raises(MalformedFileError, match=re.escape(message)):
        for variant in Artifact.load(tmp_path / "a.module").variants:
            assert [list(segment.steps) for image in variant.images for segment in image.segments]  # read only here


def test_an_entry_outside_of_the_code_is_refused(tmp_path: Path) -> None:
    artifact = small_artifact()
    entries = {**artifact.variants[0].images[0].entries, "run:main": 200}
    corrupt(entries=entries).save(tmp_path / "a.module")
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
    text = re.sub(r"//.*|\(.*?\)", "", SCHEMA.read_text())
    declared = {
        name: re.findall(r"(\w+): ([^; ]+)", body)
        for name, body in re.findall(r"(?:table|struct) (\w+) \{(.*?)\}", text, re.DOTALL)
    }
    classes = {
        "TensorInfo": TensorInfo,
        "Step": Step,
        "Signature": Signature,
        "TensorType": TensorType,
        "TensorMap": TensorMap,
        "Launch": Launch,
        "Steps": artifact_file.Steps,
        "Segment": artifact_file.SegmentRecord,
        "DeviceSlot": DeviceSlot,
        "Variant": artifact_file.VariantRecord,
        "HostProgram": artifact_file.HostProgramRecord,
        "Block": artifact_file.BlockRecord,
        "Instruction": artifact_file.InstructionRecord,
        **{cls.__name__: cls for cls in INSTRUCTIONS},
        "Section": artifact_file.Section,
        "Constants": artifact_file.Constants,
        "Entry": artifact_file.Entry,
        "Image": artifact_file.ImageRecord,
        "Property": artifact_file.Property,
        "Artifact": artifact_file.ArtifactRecord,
    }
    names = {cls: name for name, cls in classes.items()} | {str: "string", bytes: "[ubyte]", memoryview: "[ubyte]"}
    names |= {BufferReference: "BufferReference", Extent: "Extent"}

    def spell(kind: Any) -> str:
        if isinstance(kind, flatbuffer.OneOf):
            return "Operation"
        return kind.builder_name.lower() if isinstance(kind, flatbuffer.Scalar) else names[kind]

    for name, cls in classes.items():
        fields = flatbuffer.fields_of(cls)
        expected = [(f.name, f"[{spell(f.element)}]" if f.kind is tuple else spell(f.kind)) for f in fields]
        assert declared[name] == expected, name
    inline = [("space", "Space"), ("index", "uint32"), ("offset", "uint64"), ("size", "int64"), ("slot", "int32")]
    assert declared["BufferReference"] == inline and BufferReference.STRUCT.size == 32
    assert [name for name, _ in declared["Extent"]] == [field.name for field in dataclasses.fields(Extent)]
    assert Extent.STRUCT.size == 32
    (members,) = re.findall(r"union Operation \{(.*?)\}", text, re.DOTALL)
    assert re.findall(r"\w+", members) == [cls.__name__ for cls in INSTRUCTIONS]
    (spaces,) = re.findall(r"enum Space : ubyte \{ (.*) \}", text)
    assert spaces.split(", ") == list(records.SPACES)
