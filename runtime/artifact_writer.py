"""Writing artifacts; `artifact_file` describes the format. Needs flatbuffers, and is imported by who writes only."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import extents, flatbuffer, region
from .artifact import ALIGNMENT, SLACK, Artifact, Image, Segment
from .artifact_file import (
    IDENTIFIER,
    STEPS,
    ArtifactRecord,
    BlockRecord,
    Constants,
    Entry,
    HostProgramRecord,
    ImageRecord,
    InstructionRecord,
    Property,
    Section,
    SegmentRecord,
    Steps,
    VariantRecord,
    begin_checksums,
    chunks_of,
    seal,
)
from .atomic import atomic_write
from .extents import PLAIN, Extent, Piece
from .host_program.instructions import HostProgram
from .record import record


@record
class _Contents:
    """What follows the table: `codes` deflated, and the bytes of each piece of the constants."""

    codes: list[bytes]
    lengths: list[int]
    pieces: list[Piece]
    stored: list[memoryview]
    checksums: bytes

    @staticmethod
    def of(codes: list[bytes], lengths: list[int], pieces: list[Piece], constants: extents.Bytes) -> _Contents:
        stored = [np.ascontiguousarray(extents.store(piece, constants)).data for piece in pieces]
        return _Contents(codes, lengths, pieces, stored, begin_checksums(chunks_of(stored))())


class Encoded:
    """What the file of an artifact holds, found once for all files that are to hold it."""

    def __init__(self, artifact: Artifact) -> None:
        codes = [memoryview(image.code).cast("B") for variant in artifact.variants for image in variant.images]
        deflated = [zlib.compress(code, 9) for code in codes]
        lengths = [len(code) for code in codes]
        constants = np.frombuffer(artifact.constants, np.uint8) if len(artifact.constants) else np.zeros(0, np.uint8)
        pieces = extents.analyze(constants)
        contents = _Contents.of(deflated, lengths, pieces, constants)
        # A file is to be no larger than the constants in it: what else it holds is saved on them where that is quick.
        excess = _lay_out(artifact, contents)[1] - len(constants)
        if excess > 0:
            contents = _Contents.of(deflated, lengths, extents.deflated(pieces, constants, excess), constants)
        self._head, _, self._parts = _lay_out(artifact, contents)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        with atomic_write(path) as stream:
            stream.write(self._head)
            position = len(self._head)
            for offset, data in self._parts:
                stream.write(bytes(offset - position))
                stream.write(data)
                position = offset + len(data)
            stream.write(bytes(SLACK))


def _lay_out(artifact: Artifact, contents: _Contents) -> tuple[bytes, int, list[tuple[int, bytes | memoryview]]]:
    """The header with the table, the size of the file, and what lies where behind the table."""
    start = 0
    while True:
        # Where things lie decides how small the table deflates, and that decides where they lie: until there is room.
        sections, found, parts, end = _place(contents, start)
        constants = Constants(sum(extent.length for extent in found), tuple(found), contents.checksums)
        head = seal(flatbuffer.encode(_to_record(artifact, sections, constants), IDENTIFIER, size_prefixed=False))
        if len(head) <= start:
            return head, end + SLACK, parts
        start = -(-len(head) // ALIGNMENT) * ALIGNMENT


def _place(
    contents: _Contents, start: int
) -> tuple[list[Section], list[Extent], list[tuple[int, bytes | memoryview]], int]:
    """Sections of code and extents of the constants from byte `start` of the file on, and where they end."""
    parts: list[tuple[int, bytes | memoryview]] = []
    position = start

    def put(data: bytes | memoryview, offset: int) -> int:
        nonlocal position
        parts.append((offset, data))
        position = offset + len(data)
        return offset

    sections = [
        Section(put(code, position), len(code), length, zlib.crc32(code))
        for code, length in zip(contents.codes, contents.lengths, strict=True)
    ]
    found: dict[int, Extent] = {}
    pieces = list(enumerate(zip(contents.pieces, contents.stored, strict=True)))
    large = [each for each in pieces if _is_large(each[1][0]) or len(pieces) == 1]
    for number, (piece, data) in pieces:
        if (number, (piece, data)) not in large:
            found[number] = _extent(piece, put(data, position), len(data))
    shift = None
    for number, (piece, data) in large:
        if shift is None:
            offset = -(-position // ALIGNMENT) * ALIGNMENT
            shift = (offset - piece.begin) % region.PAGE
        else:
            offset = region.congruent(position, piece.begin, shift)
        found[number] = _extent(piece, put(data, offset), len(data))
    return sections, [found[number] for number in range(len(pieces))], parts, position


def _is_large(piece: Piece) -> bool:
    return piece.coding == PLAIN and piece.end - piece.begin >= region.MAPPED


def _extent(piece: Piece, offset: int, stored: int) -> Extent:
    return Extent(piece.coding, piece.unit, offset, stored, piece.end - piece.begin)


def _to_record(artifact: Artifact, sections: Sequence[Section], constants: Constants) -> ArtifactRecord:
    following = iter(sections)
    variants = tuple(
        VariantRecord(
            tuple(_image_record(image, next(following)) for image in variant.images),
            tuple(map(_program_record, variant.programs)),
        )
        for variant in artifact.variants
    )
    metadata = tuple(Property(key, value) for key, value in artifact.metadata.items())
    return ArtifactRecord(artifact.signatures, artifact.devices, variants, constants, metadata)


def _image_record(image: Image, code: Section) -> ImageRecord:
    entries = tuple(Entry(name, offset) for name, offset in image.entries.items())
    segments = tuple(map(_segment_record, image.segments))
    return ImageRecord(image.target, ",".join(image.features), code, entries, segments, image.launches)


def _segment_record(segment: Segment) -> SegmentRecord:
    steps = flatbuffer.encode(Steps(tuple(segment.steps)), STEPS, size_prefixed=False)
    return SegmentRecord(
        segment.name,
        segment.inputs,
        segment.outputs,
        segment.scalars,
        segment.arena_bytes,
        segment.scratch_bytes,
        memoryview(steps),
    )


def _program_record(program: HostProgram) -> HostProgramRecord:
    blocks = tuple(
        BlockRecord(block.arguments, tuple(map(InstructionRecord, block.instructions)), block.yields)
        for block in program.blocks
    )
    return HostProgramRecord(program.signature, program.registers, blocks)
