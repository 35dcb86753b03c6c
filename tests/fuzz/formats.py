"""Feeds damaged programs, artifacts, arrays and pictures to whatever reads them: each is read, or refused in one line.

    python -m tests.fuzz.formats --format mlir --count 20000 [--seed 1] [--compile 0.1] [--save FOLDER]

A failure prints the label that reproduces it. Of the TOSA programs that are read, a share (`--compile`) is compiled and
run, each in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import tosaic.importers
import tosaic.lowering
import tosaic.tosa
from PIL import Image
from tosaic.runtime import artifact_file
from tosaic.runtime.artifact import TensorInfo
from tosaic.runtime.errors import TosaicError, UnsupportedError
from tosaic.runtime.reference import file as reference_file
from tosaic.runtime.samples import read_samples
from xdsl.dialects.builtin import ModuleOp

from tests.random_programs.programs import Random, make_program

from . import child
from .models import INTERESTING, flip_bits, seed_models, splice, truncate

TIME_LIMIT_S = 20
MEMORY_LIMIT_BYTES = 8 << 30
_EXAMPLE = Path(__file__).parents[2] / "docs" / "example.mlir"
_CONTROL_FLOW = Path(__file__).parents[1] / "programs" / "control_flow.mlir"
_TOKEN = re.compile(rb'"[^"\n]*"|[%@#!]?[\w.]+|->|\s+|.', re.DOTALL)
_NUMBER = re.compile(rb"-?\d+")
_SHAPE = (1, 4, 6, 3)
_INPUT = TensorInfo("x", "float32", _SHAPE)


@dataclass(frozen=True)
class Format:
    """How one kind of file is made, damaged and read. `read` gives the program that may be compiled, or None."""

    seeds: Callable[[], list[bytes]]
    damage: Callable[[bytes, random.Random], bytes]
    read: Callable[[bytes], ModuleOp | None]


class TimeLimitExceeded(BaseException):
    """Not an Exception, so that no handler can take it for an error of the file."""


# Damage


def damage_bytes(data: bytes, chance: random.Random) -> bytes:
    """Bits, runs of bytes, or words that miss by little or a lot."""
    damaged = bytearray(data)
    mutation = chance.choice([truncate, flip_bits, splice, _change_word, _change_word])
    mutation(damaged, [], chance)
    return bytes(damaged)


def _change_word(data: bytearray, places: object, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 2, 4])):
        size = chance.choice([1, 2, 4, 8])
        position = chance.randrange(max(1, len(data) - size))
        old = int.from_bytes(data[position : position + size], "little")
        new = chance.choice([old + chance.choice([-4, -1, 1, 4]), chance.choice(INTERESTING), chance.getrandbits(64)])
        data[position : position + size] = (new % (1 << 8 * size)).to_bytes(size, "little")


def damage_text(data: bytes, chance: random.Random) -> bytes:
    """Tokens removed, repeated, exchanged, replaced, nested; numbers that miss; sometimes plain bytes."""
    if chance.random() < 0.2:
        return damage_bytes(data, chance)
    tokens = _TOKEN.findall(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at, other = chance.randrange(len(tokens)), chance.randrange(len(tokens))
        kind = chance.randrange(7)
        if kind == 0:
            tokens[at] = b""
        elif kind == 1:
            tokens[at] += tokens[at]
        elif kind == 2:
            tokens[at], tokens[other] = tokens[other], tokens[at]
        elif kind == 3:
            tokens[at] = tokens[other]
        elif kind == 4 and chance.random() < 0.1:
            tokens[at] *= chance.choice([100, 10000])
        else:
            numbers = [i for i, token in enumerate(tokens) if _NUMBER.search(token)]
            replacement = str(
                chance.choice([-1, 0, chance.choice(INTERESTING), 1 << 70, chance.randrange(10)])
            ).encode()
            at = chance.choice(numbers)
            tokens[at] = _NUMBER.sub(replacement, tokens[at], count=1)
    return b"".join(tokens)


def damage_artifact(data: bytes, chance: random.Random) -> bytes:
    """As bytes; half of the time within the table, whose checksum is then made right."""
    if chance.random() < 0.5:
        return damage_bytes(data, chance)
    table, end = artifact_file.read_table(memoryview(data))
    head = artifact_file.seal(damage_bytes(table, chance))
    return head + bytes(max(end - len(head), 0)) + data[max(end, len(head)) :]


# Seeds and readers


def _programs() -> list[ModuleOp]:
    return [tosaic.tosa.read(_EXAMPLE), *(tosaic.importers.import_model(model) for model in seed_models()[1:])]


def _written(format: tosaic.tosa.io.Format) -> list[bytes]:
    files = []
    for module in _programs():
        stream = io.BytesIO()
        tosaic.tosa.write(module, stream, format)
        files.append(stream.getvalue())
    return files


def _artifacts() -> list[bytes]:
    """One of a model, one of programs of unknown sizes with control flow."""
    files = []
    for module in (_programs()[0], tosaic.tosa.read(_CONTROL_FLOW)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "seed.module"
            tosaic.lowering.compile(module).save(path)
            files.append(path.read_bytes())
    return files


def _arrays(save: Callable[..., None]) -> list[bytes]:
    stream = io.BytesIO()
    save(stream, **{"x" if save is np.savez else "arr": np.ones(_SHAPE, np.float32)})
    return [stream.getvalue()]


def _pictures() -> list[bytes]:
    picture = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    files = []
    for format in ("png", "jpeg", "bmp", "gif", "ppm", "tiff", "webp"):
        stream = io.BytesIO()
        picture.save(stream, format)
        files.append(stream.getvalue())
    return files


def _linalg_programs() -> list[bytes]:
    """Programs as compiler people write them; those with loops would, when damaged, run for ever."""
    texts = (make_program(Random(seed)).text for seed in range(16))
    return [text.encode() for text in texts if "scf." not in text]


def _reference_code() -> list[bytes]:
    """What the device `reference` is given to run."""
    modules = [*_programs()[:2], *(tosaic.tosa.read(text) for text in _linalg_programs())]
    images = [tosaic.lowering.compile(module, ["reference"]).variants[0].images[0] for module in modules]
    return [bytes(image.code) for image in images]


def _read_artifact(data: bytes) -> None:
    artifact = artifact_file.parse(memoryview(data))
    for image in (image for variant in artifact.variants for image in variant.images):
        for segment in image.segments:
            len(segment.steps)  # which are read only now


def _read_reference_code(data: bytes) -> None:
    reference_file.read(data)


def _read_sample(suffix: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(data)
            file.flush()
            for sample in read_samples([file.name], [_INPUT], (0, 1)):
                assert set(sample) <= {"x"} or suffix == ".npz"

    return read


FORMATS = {
    "mlir": Format(
        lambda: [_EXAMPLE.read_bytes(), *_written("mlir"), *_linalg_programs()], damage_text, tosaic.tosa.read
    ),
    "reference": Format(_reference_code, damage_text, _read_reference_code),
    "tosa": Format(lambda: _written("tosa"), damage_bytes, tosaic.tosa.read),
    "artifact": Format(_artifacts, damage_artifact, _read_artifact),
    "npy": Format(lambda: _arrays(np.save), damage_bytes, _read_sample(".npy")),
    "npz": Format(lambda: _arrays(np.savez), damage_bytes, _read_sample(".npz")),
    "image": Format(_pictures, damage_bytes, _read_sample(".png")),
}


def outcome(format: Format, data: bytes, compile: bool = False) -> str:
    """What becomes of it: "read", "compiled and run", or the name of the error. Anything else propagates."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"more than {TIME_LIMIT_S} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)
    try:
        module = format.read(data)
    except TosaicError as error:
        if "\n" in str(error) and not isinstance(error, UnsupportedError):
            raise ValueError(f"not one line: {error}") from error
        return type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    if module is None or not compile:
        return "read"
    result = child.outcome(lambda: child.compile_and_run(module))
    return "compiled and run" if result == "done" else f"{result} from the compiler or runtime"


def mutants(format: Format, count: int, seed: int) -> Sequence[tuple[str, Callable[[], bytes]]]:
    """`count` labels, each with what makes its damaged file."""
    seeds = format.seeds()

    def make(label: str) -> bytes:
        chance = random.Random(label)
        return format.damage(chance.choice(seeds), chance)

    labels = [f"{seed}:{number}" for number in range(count)]
    return [(label, lambda label=label: make(label)) for label in labels]


def main() -> int:
    """Exit code 1 if any file led to a crash, a hang, a warning or something that is no TosaicError."""
    parser = argparse.ArgumentParser(description="See the module's docstring.")
    parser.add_argument("--format", choices=[*FORMATS, "all"], default="all")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", type=float, default=0.1, help="share of the programs that are compiled and run")
    parser.add_argument("--save", type=Path, help="write files that fail into this folder")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ResourceWarning)  # numpy forgets to close damaged archives
    failures = 0
    for name in FORMATS if arguments.format == "all" else [arguments.format]:
        outcomes: Counter[str] = Counter()
        for label, make in mutants(FORMATS[name], arguments.count, arguments.seed):
            data = make()
            try:
                outcomes[outcome(FORMATS[name], data, random.Random(f"{label}c").random() < arguments.compile)] += 1
            except (Exception, TimeLimitExceeded) as error:
                failures += 1
                outcomes["failure"] += 1
                print(f"{name} {label}: {type(error).__name__}: {error}", flush=True)
                traceback.print_exc()
                if arguments.save:
                    arguments.save.mkdir(parents=True, exist_ok=True)
                    (arguments.save / f"{label.replace(':', '_')}.{name}").write_bytes(data)
        print(f"{name}: {arguments.count} files: {dict(outcomes)}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
