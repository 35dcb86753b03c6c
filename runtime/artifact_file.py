"""Artifacts on disk.

    offset          content
    0               size-prefixed FlatBuffer (`artifact.fbs`, identifier "TSIC")
    its end         SHA-256 of all bytes before
    next 64         machine code of the first image, and so on
    next 4096       constants, used in place from the mapping
    their end       at least SLACK zero bytes

Reading trusts nothing: the table's hash, then its structure, then every section's bounds and check, then what the
records mean (`verify.py`). The table and code, which decide what happens, are held by SHA-256. Constants are numbers
that no code trusts, and nearly all of the file, so what is looked for in them is damage: each mebibyte has its CRC-32,
which finds any damage within 32 bits for certain and other damage but for one case in 2**32. One core computes it at
4 GB/s (SHA-256 with SHA instructions: 1.7 GB/s), and threads share the mebibytes: 14 MB of weights cost 2 ms on two.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, BinaryIO

from . import flatbuffer
from .artifact import ALIGNMENT, SLACK, Artifact, DeviceSlot, Image, Launch, Segment, Signature, Variant
from .errors import MalformedFileError
from .flatbuffer import OneOf
from .host_program.instructions import INSTRUCTIONS, Block, HostProgram, Instruction
from .record import record
from .verify import verify

IDENTIFIER = b"TSIC"
VERSION = 5

_CHUNK = 1 << 20
_DIGEST = hashlib.sha256().digest_size
_PAGE = 4096
_HASH_THREADS = 4


@record
class Checksum:
    """How damage of a section is found: the digest of a mebibyte or less, and its size."""

    digest: Callable[[memoryview], bytes]
    size: int


CODE_CHECKSUM = Checksum(lambda data: hashlib.sha256(data).digest(), _DIGEST)
CONSTANTS_CHECKSUM = Checksum(lambda data: zlib.crc32(data).to_bytes(4, "little"), 4)


@record
class Section:
    """Bytes of the file. digests: what `Checksum.digest` makes of each mebibyte, one behind the other."""

    offset: int
    length: int
    digests: bytes


@record
class Entry:
    name: str
    offset: int


@record
class ImageRecord:
    target: str
    features: tuple[str, ...]
    code: Section
    entries: tuple[Entry, ...]
    segments: tuple[Segment, ...]
    launches: tuple[Launch, ...]


@record
class InstructionRecord:
    operation: Annotated[Instruction, OneOf(INSTRUCTIONS)]


@record
class BlockRecord:
    arguments: tuple[int, ...]
    instructions: tuple[InstructionRecord, ...]
    yields: tuple[int, ...]


@record
class HostProgramRecord:
    signature: str
    registers: int
    blocks: tuple[BlockRecord, ...]


@record
class VariantRecord:
    images: tuple[ImageRecord, ...]
    programs: tuple[HostProgramRecord, ...]


@record
class Property:
    key: str
    value: str


@record
class VersionRecord:
    """The beginning of every version's root table."""

    version: int


@record
class ArtifactRecord:
    version: int
    signatures: tuple[Signature, ...]
    devices: tuple[DeviceSlot, ...]
    variants: tuple[VariantRecord, ...]
    constants: Section
    metadata: tuple[Property, ...]


def save(artifact: Artifact, path: Path) -> None:
    """Write `artifact` to `path`, whole or not at all. Raises OSError."""
    from .atomic import atomic_write

    codes = [image.code for variant in artifact.variants for image in variant.images]
    blobs = [memoryview(blob) for blob in (*codes, artifact.constants)]
    blobs = [blob.cast("B") if blob.nbytes else memoryview(b"") for blob in blobs]
    alignments = [ALIGNMENT] * len(codes) + [_PAGE]
    checks = [CODE_CHECKSUM] * len(codes) + [CONSTANTS_CHECKSUM]
    digests = [b"".join(_digests(blob, check)) for blob, check in zip(blobs, checks, strict=True)]

    def encode(offsets: list[int]) -> bytes:
        sections = [Section(o, len(b), d) for o, b, d in zip(offsets, blobs, digests, strict=True)]
        return flatbuffer.encode(_to_record(artifact, sections), IDENTIFIER)

    # Where sections begin depends on the table's size, which in turn does not depend on their offsets, unless one is 0:
    # FlatBuffers leave such a field out.
    table = encode([1] * len(blobs))
    offsets, position = [], len(table) + _DIGEST
    for blob, alignment in zip(blobs, alignments, strict=True):
        offsets.append(-(-position // alignment) * alignment)
        position = offsets[-1] + len(blob)
    table = encode(offsets)

    with atomic_write(path) as stream:
        stream.write(table)
        stream.write(hashlib.sha256(table).digest())
        for offset, blob in zip(offsets, blobs, strict=True):
            _pad(stream, offset)
            stream.write(blob)
        _pad(stream, stream.tell() + SLACK)


def _pad(stream: BinaryIO, position: int) -> None:
    stream.write(bytes(position - stream.tell()))


def _to_record(artifact: Artifact, sections: list[Section]) -> ArtifactRecord:
    *codes, constants = sections
    following = iter(codes)
    variants = tuple(
        VariantRecord(
            tuple(_image_record(image, next(following)) for image in variant.images),
            tuple(map(_program_record, variant.programs)),
        )
        for variant in artifact.variants
    )
    metadata = tuple(Property(key, value) for key, value in artifact.metadata.items())
    return ArtifactRecord(VERSION, artifact.signatures, artifact.devices, variants, constants, metadata)


def _image_record(image: Image, code: Section) -> ImageRecord:
    entries = tuple(Entry(name, offset) for name, offset in image.entries.items())
    return ImageRecord(image.target, image.features, code, entries, image.segments, image.launches)


def _program_record(program: HostProgram) -> HostProgramRecord:
    blocks = tuple(
        BlockRecord(block.arguments, tuple(map(InstructionRecord, block.instructions)), block.yields)
        for block in program.blocks
    )
    return HostProgramRecord(program.signature, program.registers, blocks)


def is_artifact(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (at least 12) claims to be an artifact."""
    return prefix[8:12] == IDENTIFIER


def load(path: Path) -> Artifact:
    """Map `path` and verify everything in it. Raises MalformedFileError, OSError."""
    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size == 0:
            raise MalformedFileError(f"{path}: the file is empty")
        mapping = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return parse(mapping)
    except MalformedFileError as error:
        raise MalformedFileError(f"{path}: {error}") from None


def parse(data: memoryview) -> Artifact:
    """The artifact that fills `data`, whose code and constants stay views of it. Raises MalformedFileError."""
    if len(data) < 12 or not is_artifact(bytes(data[:12])):
        raise MalformedFileError("not a Tosaic artifact: the identifier TSIC is missing at byte 8")
    end = flatbuffer.table_size(data)
    if end + _DIGEST > len(data):
        raise MalformedFileError(f"the table ends at byte {end + _DIGEST}, the file at {len(data)}: it is truncated")
    table = data[:end]
    if hashlib.sha256(table).digest() != data[end : end + _DIGEST]:
        raise MalformedFileError(f"the table's hash at byte {end} does not match: the file is damaged")
    version = flatbuffer.decode(table, VersionRecord, IDENTIFIER).version
    if version != VERSION:
        raise MalformedFileError(f"artifact version {version}, this Tosaic reads version {VERSION}: compile it again")

    record = flatbuffer.decode(table, ArtifactRecord, IDENTIFIER)
    variants = tuple(
        Variant(tuple(_image(data, image) for image in variant.images), tuple(map(_program, variant.programs)))
        for variant in record.variants
    )
    constants = _read_section(data, record.constants, SLACK, "constants", CONSTANTS_CHECKSUM)
    if record.constants.offset % ALIGNMENT:
        raise MalformedFileError(f"the constants begin at byte {record.constants.offset}, no multiple of {ALIGNMENT}")
    metadata = {entry.key: entry.value for entry in record.metadata}
    artifact = Artifact(record.signatures, record.devices, variants, constants, metadata)
    try:
        verify(artifact)
    except MalformedFileError as error:
        raise MalformedFileError(_printable(str(error))) from None
    return artifact


def _printable(text: str) -> str:
    """`text` in one line: it may quote whatever stands in a damaged file."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _image(data: memoryview, image: ImageRecord) -> Image:
    code = _read_section(data, image.code, 0, f"code of {image.target}", CODE_CHECKSUM)
    entries = {entry.name: entry.offset for entry in image.entries}
    return Image(image.target, image.features, code, entries, image.segments, image.launches)


def _program(program: HostProgramRecord) -> HostProgram:
    blocks = (
        Block(block.arguments, tuple(instruction.operation for instruction in block.instructions), block.yields)
        for block in program.blocks
    )
    return HostProgram(program.signature, program.registers, tuple(blocks))


def _read_section(data: memoryview, section: Section, slack: int, name: str, check: Checksum) -> memoryview:
    """The section's bytes, after its bounds (with `slack` bytes behind it) and digests were checked."""
    begin, end = section.offset, section.offset + section.length
    if begin < 0 or section.length < 0 or end + slack > len(data):
        raise MalformedFileError(
            f"the {name} at bytes {begin}..{end} lies outside of the file's {len(data)} bytes: it is truncated"
        )
    content = data[begin:end]
    if len(section.digests) != -(-section.length // _CHUNK) * check.size:
        raise MalformedFileError(f"the {name} has {section.length} bytes but {len(section.digests)} bytes of hashes")
    expected = (section.digests[i : i + check.size] for i in range(0, len(section.digests), check.size))
    for index, (got, digest) in enumerate(zip(_digests(content, check), expected, strict=True)):
        if got != digest:
            raise MalformedFileError(
                f"the mebibyte of the {name} from byte {begin + index * _CHUNK} is damaged: its hash does not match"
            )
    return content


def _digests(data: memoryview, check: Checksum) -> list[bytes]:
    """Of each mebibyte. hashlib and zlib release the interpreter lock, so threads work at the same time."""
    starts = range(0, len(data), _CHUNK)
    digests = [b""] * len(starts)

    def work(first: int, step: int) -> None:
        for index in range(first, len(starts), step):
            digests[index] = check.digest(data[starts[index] : starts[index] + _CHUNK])

    count = min(len(starts) // 2, len(os.sched_getaffinity(0)), _HASH_THREADS)
    helpers = [threading.Thread(target=work, args=(first, count)) for first in range(1, count)]
    for helper in helpers:
        helper.start()
    work(0, max(count, 1))
    for helper in helpers:
        helper.join()
    return digests
