"""Feeds damaged models to the importer: each must import or be refused with a TosaicError, in bounded time and memory.

    python -m tests.fuzz.models --count 20000 --seed 1 [--save FOLDER] [MODEL.tflite ...]

Without models, small ones that use every kind of field are built. A failure prints the seed that reproduces it. Some of
those that import, `--compile` of them all, are compiled and run as well, each in a process of its own.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import struct
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import tosaic.importers
from ai_edge_litert import schema_py_generated as schema
from tosaic.importers.tflite.schema import TABLES, Field, Kind, union_member
from tosaic.runtime.errors import TosaicError

from ..importers.tflite_builder import ModelBuilder
from . import child

TIME_LIMIT_S = 10
MEMORY_LIMIT_BYTES = 8 << 30

# Values that make sizes overflow, turn negative, or point to the beginning, the end and beyond.
INTERESTING = [
    0,
    1,
    2,
    3,
    4,
    127,
    128,
    255,
    256,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
]


class TimeLimitExceeded(BaseException):
    """Not an Exception, so that no handler in the importer can take it for an error of the model."""


def seed_models() -> list[bytes]:
    """Small models that between them use constants, options, quantisation, signatures and dynamic shapes."""
    return [_float_model(-1), _float_model(1), _quantized_model(), _shape_model(), sparse_model()]


def _float_model(batch: int) -> bytes:
    model = ModelBuilder()
    x = model.tensor(np.float32, [batch, 6, 6, 2], name="x")
    filters = model.constant(np.ones((4, 3, 3, 2)), np.float16)
    floats = model.tensor(np.float32, [4, 3, 3, 2])
    bias = model.constant(np.ones(4), np.float32)
    padded, y, cut, flat, out = (
        model.tensor(np.float32, shape) for shape in ([1, 8, 8, 2], [1, 3, 3, 4], [1, 3, 4], [1, 12], [1, 12])
    )
    model.operator("DEQUANTIZE", [filters], [floats], schema.DequantizeOptionsT())
    model.operator("PAD", [x, model.constant([[0, 0], [1, 1], [1, 1], [0, 0]])], [padded], schema.PadOptionsT())
    options = schema.Conv2DOptionsT(padding=1, strideW=2, strideH=2, dilationWFactor=1, dilationHFactor=1)
    model.operator("CONV_2D", [padded, floats, bias], [y], options)
    begin, end, strides = (model.constant(values) for values in ([0, 1, 0, 0], [0, 2, 3, 4], [1, 1, 1, 1]))
    options = schema.StridedSliceOptionsT(beginMask=13, endMask=13, shrinkAxisMask=2)
    model.operator("STRIDED_SLICE", [y, begin, end, strides], [cut], options)
    model.operator("RESHAPE", [cut, model.constant([-1, 12])], [flat], schema.ReshapeOptionsT(newShape=[-1, 12]))
    model.operator("SOFTMAX", [flat], [out], schema.SoftmaxOptionsT(beta=1.0))
    model.signature("serve", {"image": x}, {"probabilities": out})
    return model.build([x], [out])


def _quantized_model() -> bytes:
    model = ModelBuilder()
    quantized = {"scale": 0.05, "zero_point": 3}
    x = model.tensor(np.uint8, [1, 6, 6, 4], name="x", **quantized)
    filters = model.constant(np.ones((1, 3, 3, 4)), np.int8, scale=[0.1, 0.2, 0.3, 0.4], axis=3)
    bias = model.constant([1, 2, 3, 4], np.int32, scale=[0.005, 0.01, 0.015, 0.02])
    signed, y, sum_, joined, rows, z, out = (
        model.tensor(np.int8, shape, **quantized)
        for shape in ([1, 6, 6, 4], [1, 6, 6, 4], [1, 6, 6, 4], [1, 6, 6, 8], [1, 2, 6, 8], [1, 4, 12, 8], [1, 4, 12])
    )
    model.operator("QUANTIZE", [x], [signed], schema.QuantizeOptionsT())
    options = schema.DepthwiseConv2DOptionsT(
        strideW=1, strideH=1, depthMultiplier=1, dilationWFactor=1, dilationHFactor=1, fusedActivationFunction=1
    )
    model.operator("DEPTHWISE_CONV_2D", [signed, filters, bias], [y], options)
    model.operator("ADD", [signed, y], [sum_], schema.AddOptionsT())
    model.operator("CONCATENATION", [y, sum_], [joined], schema.ConcatenationOptionsT(axis=3))
    model.operator("GATHER", [joined, model.constant([3, 1])], [rows], schema.GatherOptionsT(axis=1))
    model.operator("RESIZE_BILINEAR", [rows, model.constant([4, 12])], [z], schema.ResizeBilinearOptionsT())
    options = schema.ReducerOptionsT(keepDims=False)
    model.operator("MEAN", [z, model.constant([3])], [out], options)
    return model.build([x], [out])


def _shape_model() -> bytes:
    """Operators whose constants decide how large their results are."""
    model = ModelBuilder()
    x = model.tensor(np.float32, [1, 2, 3, 4], name="x")
    shape, filled, zeros, one_hot = (
        model.tensor(dtype, extents)
        for dtype, extents in ((np.int32, [4]), (np.float32, [2, 3]), (np.float32, [2, 3]), (np.float32, [1, 2, 3]))
    )
    tiled, scattered, resized, out = (
        model.tensor(np.float32, extents) for extents in ([2, 6], [4, 2, 3], [1, 5, 7, 4], [1, 2, 4, 2, 5, 3, 7, 4])
    )
    model.operator("SHAPE", [x], [shape], schema.ShapeOptionsT(outType=schema.TensorType.INT32))
    model.operator("FILL", [model.constant([2, 3]), model.constant(2.5, np.float32)], [filled], schema.FillOptionsT())
    model.operator("ZEROS_LIKE", [filled], [zeros], schema.ZerosLikeOptionsT())
    model.operator("TILE", [zeros, model.constant([1, 2])], [tiled], schema.TileOptionsT())
    operands = [model.constant([[0], [2]]), filled, model.constant([4, 3])]
    model.operator("SCATTER_ND", operands, [scattered], schema.ScatterNdOptionsT())
    operands = [model.constant([[1, 2]]), model.constant(3), *(model.constant(v, np.float32) for v in (1.0, 0.0))]
    model.operator("ONE_HOT", operands, [one_hot], schema.OneHotOptionsT(axis=-1))
    model.operator(
        "RESIZE_NEAREST_NEIGHBOR", [x, model.constant([5, 7])], [resized], schema.ResizeNearestNeighborOptionsT()
    )
    blocks = [model.constant([1, 1]), model.constant([[0, 1], [1, 0]])]
    model.operator("SPACE_TO_BATCH_ND", [resized, *blocks], [out], schema.SpaceToBatchNDOptionsT())
    return model.build([x], [shape, tiled, scattered, one_hot, out])


def sparse_model() -> bytes:
    """x + a 4 x 4 matrix in compressed rows of 2 x 2 blocks, of which those at (0, 0) and (1, 1) are stored."""
    model = ModelBuilder()
    x, dense, y = (model.tensor(np.float32, [4, 4]) for _ in range(3))
    weights = model.constant(np.arange(1, 9), np.float32)
    tensor = model.graph.tensors[weights]
    tensor.shape = [4, 4]
    blocks = schema.DimensionMetadataT(format=schema.DimensionType.DENSE, denseSize=2)
    columns = schema.DimensionMetadataT(
        format=schema.DimensionType.SPARSE_CSR,
        arraySegmentsType=schema.SparseIndexVector.Int32Vector,
        arraySegments=schema.Int32VectorT(values=[0, 1, 2]),
        arrayIndicesType=schema.SparseIndexVector.Int32Vector,
        arrayIndices=schema.Int32VectorT(values=[0, 1]),
    )
    tensor.sparsity = schema.SparsityParametersT(
        traversalOrder=[0, 1, 2, 3], blockMap=[0, 1], dimMetadata=[blocks, columns, blocks, blocks]
    )
    model.operator("DENSIFY", [weights], [dense], schema.DensifyOptionsT())
    model.operator("ADD", [x, dense], [y], schema.AddOptionsT())
    return model.build([x], [y])


@dataclass(frozen=True)
class Spot:
    """Where a scalar, an offset, a length or an element is stored."""

    position: int
    size: int


def spots(data: bytes) -> list[Spot]:
    """Every place of a valid model that means something, down to the elements of its vectors."""
    found: list[Spot] = [Spot(0, 4)]
    seen: set[int] = set()

    def unsigned(position: int, size: int = 4) -> int:
        return int.from_bytes(data[position : position + size], "little")

    def table(name: str, position: int) -> None:
        if position in seen:
            return
        seen.add(position)
        vtable = position - struct.unpack_from("<i", data, position)[0]
        length = unsigned(vtable, 2)
        found.append(Spot(position, 4))
        found.extend(Spot(at, 2) for at in range(vtable, vtable + length, 2))
        for field in TABLES[name].values():
            offset = unsigned(vtable + field.slot, 2) if field.slot + 2 <= length else 0
            if offset and field.kind is not Kind.UNREAD:
                tag = unsigned(vtable + field.slot - 2, 2)
                value(field, position + offset, unsigned(position + tag, 1) if tag else 0)

    def value(field: Field, stored: int, tag: int) -> None:
        found.append(Spot(stored, field.size))
        target = stored + unsigned(stored)
        if field.kind is Kind.TABLE:
            table(field.element, target)
        elif field.kind is Kind.UNION and (member := union_member(field.element, tag)):
            table(member, target)
        elif field.kind in (Kind.STRING, Kind.SCALARS, Kind.TABLES):
            found.append(Spot(target, 4))
            count = min(unsigned(target), 64)
            found.extend(Spot(target + 4 + i * field.size, field.size) for i in range(count))
            if field.kind is Kind.TABLES:
                for i in range(unsigned(target)):
                    table(field.element, target + 4 + 4 * i + unsigned(target + 4 + 4 * i))

    table("Model", unsigned(0))
    return found


Mutation = Callable[[bytearray, list[Spot], random.Random], None]


def truncate(data: bytearray, places: list[Spot], chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def flip_bits(data: bytearray, places: list[Spot], chance: random.Random) -> None:
    for _ in range(chance.choice([1, 2, 8, 64])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def splice(data: bytearray, places: list[Spot], chance: random.Random) -> None:
    """Copy, remove or insert a run of bytes."""
    start, length = chance.randrange(len(data)), chance.choice([1, 2, 4, 16, 100])
    target = chance.randrange(len(data))
    kind = chance.randrange(3)
    run = data[start : start + length]
    if kind == 0:
        data[target : target + len(run)] = run
    elif kind == 1:
        del data[start : start + length]
    else:
        data[target:target] = run


def change_fields(data: bytearray, places: list[Spot], chance: random.Random) -> None:
    """Give fields, dimensions, indices, offsets and lengths values that nearly or grossly miss."""
    for _ in range(chance.choice([1, 1, 2, 4])):
        spot = chance.choice(places)
        if spot.position + spot.size > len(data):
            continue
        old = int.from_bytes(data[spot.position : spot.position + spot.size], "little")
        near = old + chance.choice([-4, -2, -1, 1, 2, 4])
        random_value = chance.getrandbits(8 * spot.size)
        new = chance.choice([near, chance.choice(INTERESTING), random_value]) % (1 << 8 * spot.size)
        data[spot.position : spot.position + spot.size] = new.to_bytes(spot.size, "little")


def exchange_fields(data: bytearray, places: list[Spot], chance: random.Random) -> None:
    """Swap two fields of one size: indices that exist, but elsewhere; this makes cycles."""
    first, second = chance.sample(places, 2)
    if first.size == second.size and max(first.position, second.position) + first.size <= len(data):
        one, other = (slice(spot.position, spot.position + spot.size) for spot in (first, second))
        data[one], data[other] = data[other], data[one]


MUTATIONS: list[Mutation] = [truncate, flip_bits, splice, *[change_fields] * 4, exchange_fields]


def mutate(model: bytes, places: list[Spot], chance: random.Random) -> bytes:
    data = bytearray(model)
    chance.choice(MUTATIONS)(data, places, chance)
    return bytes(data)


def outcome(model: bytes, compile: bool = False) -> str:
    """What becomes of it: "imported", "compiled and run", or the name of the error. Anything else propagates."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"more than {TIME_LIMIT_S} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)
    try:
        module = tosaic.importers.import_model(model)
    except TosaicError as error:
        return type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    if not compile:
        return "imported"
    result = child.outcome(lambda: child.compile_and_run(module))
    return "compiled and run" if result == "done" else f"{result} from the compiler or runtime"


def mutants(models: list[bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` mutated models, each with the label that reproduces it."""
    places = [spots(model) for model in models]
    for number in range(count):
        chance = random.Random(f"{seed}:{number}")
        chosen = chance.randrange(len(models))
        yield f"{seed}:{number}", mutate(models[chosen], places[chosen], chance)


def main() -> int:
    """Exit code 1 if any mutant crashed, hung or raised something that is no TosaicError."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", type=float, default=0.1, help="share of the imported ones to compile and run")
    parser.add_argument("--save", type=Path, help="write models that fail into this folder")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    models = [path.read_bytes() for path in arguments.models] or seed_models()
    outcomes: Counter[str] = Counter()
    failures = 0
    for label, mutant in mutants(models, arguments.count, arguments.seed):
        compile = random.Random(f"{label} compile").random() < arguments.compile
        try:
            outcomes[outcome(mutant, compile)] += 1
        except (Exception, TimeLimitExceeded) as error:
            failures += 1
            print(f"mutant {label}: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc()
            if arguments.save:
                arguments.save.mkdir(parents=True, exist_ok=True)
                (arguments.save / f"{label.replace(':', '_')}.tflite").write_bytes(mutant)
    print(f"{arguments.count} mutants: {dict(outcomes)}, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
