"""Artifacts on disk.

    offset          content
    0               bytes of the deflated table, bytes of the table, "TSIC", version, CRC-32 of what stands before
                    and of the deflated table; each four bytes, little endian
    20              the table, deflated: a FlatBuffer (`artifact.fbs`)
    next 64         machine code of the first image, deflated, and so on
    next            constants, as extents (`extents.py`), the large ones used in place from the mapping
    their end       at least SLACK zero bytes

Reading trusts nothing: the table's checksum, then its structure, then every section's bounds and checksum, then what
the records mean (`verify.py`). A checksum is there to find damage, which no signature could tell from intent either:
CRC-32 finds any damage within 32 bits for certain and other damage but for one case in 2**32. Constants have one for
each mebibyte; one core computes it at 4 GB/s, and threads share the mebibytes: 14 MB of weights cost 2 ms on two.

Steps are a FlatBuffer in the table that is decoded when somebody asks: 128 of them take 3 ms, and code needs none.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from . import extents, flatbuffer, region
from .artifact import (
    ALIGNMENT,
    SLACK,
    Artifact,
    DeviceSlot,
    Image,
    Launch,
    Segment,
    Signature,
    Step,
    StoredSteps,
    TensorType,
    Variant,
)
from .errors import MalformedFileError
from .extents import PLAIN, Extent
from .flatbuffer import Blob, OneOf, UInt32
from .host_program.instructions import INSTRUCTIONS, Block, HostProgram, Instruction
from .record import record
from .verify import verify, verify_steps

IDENTIFIER = b"TSIC"
STEPS = b"STEP"
VERSION = 5

HEADER = struct.Struct("<II4sII")
"""Bytes of the deflated table, bytes of the table, IDENTIFIER, version, checksum."""

_CHUNK = 1 << 20
_HASH_THREADS = 3
_WORTH_A_THREAD = 1 << 24
"""Bytes: for fewer, starting a thread (0.3 ms) and handing the interpreter lock around take what the thread saves."""


@record
class Section:
    """`stored` bytes of the file that inflate to `length`. checksum: CRC-32 of those that are stored."""

    offset: int
    stored: int
    length: int
    checksum: UInt32


@record
class Constants:
    """checksums: CRC-32, little endian, of each started mebibyte of what each extent stores."""

    length: int
    extents: tuple[Extent, ...]
    checksums: bytes


@record
class Steps:
    """Root of a table of its own."""

    steps: tuple[Step, ...]


@record
class SegmentRecord:
    name: str
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    scalars: int
    arena_bytes: int
    scratch_bytes: int
    steps: Blob


@record
class Entry:
    name: str
    offset: int


@record
class ImageRecord:
    """features: with commas between."""

    target: str
    features: str
    code: Section
    entries: tuple[Entry, ...]
    segments: tuple[SegmentRecord, ...]
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
class ArtifactRecord:
    signatures: tuple[Signature, ...]
    devices: tuple[DeviceSlot, ...]
    variants: tuple[VariantRecord, ...]
    constants: Constants
    metadata: tuple[Property, ...]


flatbuffer.prepare(ArtifactRecord)


def is_artifact(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (at least 12) claims to be an artifact."""
    return prefix[8:12] == IDENTIFIER


def seal(table: bytes, version: int = VERSION) -> bytes:
    """What a file with this table begins with."""
    stored = zlib.compress(table, 9)
    header = HEADER.pack(len(stored), len(table), IDENTIFIER, version, 0)
    checksum = zlib.crc32(stored, zlib.crc32(header[:-4]))
    return header[:-4] + checksum.to_bytes(4, "little") + stored


def load(path: Path) -> Artifact:
    """Map `path` and verify everything in it. Raises MalformedFileError, OSError."""
    with open(path, "rb", buffering=0) as stream:
        if os.fstat(stream.fileno()).st_size == 0:
            raise MalformedFileError(f"{path}: the file is empty")
        mapping = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        try:
            return parse(mapping, stream.fileno())
        except MalformedFileError as error:
            raise MalformedFileError(f"{path}: {error}") from None


def parse(data: memoryview, descriptor: int | None = None) -> Artifact:
    """The artifact that fills `data`; constants may stay views of it. Raises MalformedFileError.

    descriptor: of the file that `data` is a mapping of, so that other mappings of it can be made.
    """
    table, _ = read_table(data)
    record = flatbuffer.decode(memoryview(table), ArtifactRecord, IDENTIFIER, size_prefixed=False)
    constants, finish = _constants(data, record.constants, descriptor)
    variants = tuple(
        Variant(
            tuple(_image(data, image, len(constants)) for image in variant.images),
            tuple(map(_program, variant.programs)),
        )
        for variant in record.variants
    )
    metadata = {entry.key: entry.value for entry in record.metadata}
    artifact = Artifact(record.signatures, record.devices, variants, constants, metadata)
    try:
        verify(artifact)
    except MalformedFileError as error:
        raise MalformedFileError(_printable(str(error))) from None
    finish()
    return artifact


def read_table(data: memoryview) -> tuple[bytes, int]:
    """The table of the artifact that fills `data`, and where it ends there. Raises MalformedFileError."""
    if len(data) < 12 or not is_artifact(bytes(data[:12])):
        raise MalformedFileError("not a Tosaic artifact: the identifier TSIC is missing at byte 8")
    if len(data) < HEADER.size:
        raise MalformedFileError(f"the header ends at byte {HEADER.size}, the file at {len(data)}: it is truncated")
    stored, size, _, version, checksum = HEADER.unpack_from(data)
    end = HEADER.size + stored
    if end > len(data):
        raise MalformedFileError(f"the table ends at byte {end}, the file at {len(data)}: it is truncated")
    if zlib.crc32(data[HEADER.size : end], zlib.crc32(data[: HEADER.size - 4])) != checksum:
        raise MalformedFileError("the table's checksum at byte 16 does not match: it is damaged, or of another Tosaic")
    if version != VERSION:
        raise MalformedFileError(f"artifact version {version}, this Tosaic reads version {VERSION}: compile it again")
    return _inflate(data[HEADER.size : end], size, "table"), end


def _inflate(stored: memoryview, size: int, name: str) -> bytes:
    coder = zlib.decompressobj()
    try:
        data = coder.decompress(stored, size + 1)
    except zlib.error as error:
        raise MalformedFileError(f"the {name} cannot be inflated: {error}") from None
    if len(data) != size or not coder.eof or coder.unused_data:
        raise MalformedFileError(f"the {name} inflates to another size than {size}")
    return data


def _printable(text: str) -> str:
    """`text` in one line: it may quote whatever stands in a damaged file."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _image(data: memoryview, image: ImageRecord, constant_bytes: int) -> Image:
    code = image.code
    stored = _bytes(data, code.offset, code.stored, f"code of {image.target}")
    if zlib.crc32(stored) != code.checksum:
        raise MalformedFileError(f"the code of {image.target} is damaged: its checksum does not match")
    if not 0 <= code.length < 1 << 32:
        raise MalformedFileError(f"the code of {image.target} is said to have {code.length} bytes")
    entries = {entry.name: entry.offset for entry in image.entries}
    segments = tuple(_segment(segment, image.target, constant_bytes) for segment in image.segments)
    inflated = _inflate(stored, code.length, f"code of {image.target}")
    features = tuple(image.features.split(",")) if image.features else ()
    return Image(image.target, features, inflated, entries, segments, image.launches)


def _segment(stored: SegmentRecord, target: str, constant_bytes: int) -> Segment:
    def read() -> tuple[Step, ...]:
        steps = flatbuffer.decode(stored.steps, Steps, STEPS, size_prefixed=False).steps
        try:
            verify_steps(segment, steps, constant_bytes, f"image {target!r}")
        except MalformedFileError as error:
            raise MalformedFileError(_printable(str(error))) from None
        return steps

    segment = Segment(
        stored.name,
        stored.inputs,
        stored.outputs,
        stored.scalars,
        StoredSteps(read),
        stored.arena_bytes,
        stored.scratch_bytes,
    )
    return segment


def _program(program: HostProgramRecord) -> HostProgram:
    blocks = (
        Block(block.arguments, tuple(instruction.operation for instruction in block.instructions), block.yields)
        for block in program.blocks
    )
    return HostProgram(program.signature, program.registers, tuple(blocks))


def _bytes(data: memoryview, offset: int, length: int, name: str) -> memoryview:
    """A part of the file, after its bounds were checked."""
    if offset < 0 or length < 0 or offset + length > len(data):
        raise MalformedFileError(
            f"the {name} at bytes {offset}..{offset + length} lies outside of the file's {len(data)} bytes: "
            "it is truncated"
        )
    return data[offset : offset + length]


def _constants(data: memoryview, constants: Constants, descriptor: int | None) -> tuple[memoryview, Callable[[], None]]:
    """Memory for the constants, in `data` where it holds them as they are; the function checks and completes it."""
    found = constants.extents
    if sum(extent.length for extent in found) != constants.length or sum(e.stored for e in found) > len(data):
        raise MalformedFileError(f"the extents of the constants do not make their {constants.length} bytes")
    stored = [_bytes(data, extent.offset, extent.stored, "constants") for extent in found]
    if len(found) == 1 and found[0].coding == PLAIN and found[0].offset + constants.length + SLACK <= len(data):
        if found[0].offset % ALIGNMENT:
            raise MalformedFileError(f"the constants begin at byte {found[0].offset}, no multiple of {ALIGNMENT}")
        return stored[0], _begin_check(constants, stored)
    memory = region.reserve(constants.length, region.shift_of(found)) if found else memoryview(b"")
    for number, (extent, begin) in enumerate(extents.places(found)):
        if extent.coding == PLAIN:
            region.place_plain(memory, begin, extent, data, descriptor)
            stored[number] = memory[begin : begin + extent.length]  # read there, the file's other mapping stays unused
    check = _begin_check(constants, stored)

    def finish() -> None:
        check()
        whole = np.frombuffer(memory, np.uint8)
        for (extent, begin), source in zip(extents.places(found), stored, strict=True):
            if extent.coding != PLAIN:
                extents.expand(extent, source, whole[begin : begin + extent.length])

    return memory.toreadonly(), finish


def _begin_check(constants: Constants, stored: Sequence[memoryview]) -> Callable[[], None]:
    """Begin to look for damage in what the extents store; the function ends that and raises MalformedFileError."""
    chunks = chunks_of(stored)
    if len(constants.checksums) != 4 * len(chunks):
        raise MalformedFileError(
            f"{len(chunks)} parts of the constants have {len(constants.checksums)} bytes of checksums"
        )
    compute = begin_checksums(chunks)

    def check() -> None:
        found = compute()
        if found == constants.checksums:
            return
        places = [extent.offset + start for extent in constants.extents for start in range(0, extent.stored, _CHUNK)]
        wrong = np.frombuffer(found, "<u4") != np.frombuffer(constants.checksums, "<u4")
        raise MalformedFileError(
            f"the constants in the mebibyte from byte {places[int(wrong.argmax())]} on are damaged: "
            "the checksum does not match"
        )

    return check


def begin_checksums(chunks: Sequence[memoryview]) -> Callable[[], bytes]:
    """Begin to compute the CRC-32 of each chunk; the function lends a hand and returns them.

    zlib releases the interpreter lock, so threads compute while the one that called goes on to other things.
    """
    results = np.zeros(len(chunks), "<u4")
    pending = iter(range(len(chunks)))

    def work() -> None:
        for index in pending:
            results[index] = zlib.crc32(chunks[index])

    most = min(len(chunks), len(os.sched_getaffinity(0)) - 1, _HASH_THREADS)
    worthwhile = sum(map(len, chunks)) >= _WORTH_A_THREAD
    helpers = [threading.Thread(target=work) for _ in range(most if worthwhile else 0)]
    for helper in helpers:
        helper.start()

    def finish() -> bytes:
        work()
        for helper in helpers:
            helper.join()
        return results.tobytes()

    return finish


def chunks_of(stored: Sequence[memoryview]) -> list[memoryview]:
    """The mebibytes of what each extent stores."""
    return [source[start : start + _CHUNK] for source in stored for start in range(0, len(source), _CHUNK)]
