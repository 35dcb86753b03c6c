"""How each kind of dispatch uses a GPU's memory, by the emulator: `traffic.txt` beside this file may only get better.

python -m tests.cuda.traffic          writes it anew, and says what became worse
"""

from __future__ import annotations

from dataclasses import astuple
from functools import cache
from pathlib import Path

import numpy as np
import tosaic.lowering
import tosaic.tosa
from tosaic.runtime.abi import ptx_entry
from tosaic.runtime.artifact import Image, Segment, Step
from tosaic.runtime.cuda_emulator import tensor_map
from tosaic.runtime.cuda_emulator.launch import LoadedModule
from tosaic.runtime.cuda_emulator.memory import GlobalMemory
from tosaic.runtime.cuda_emulator.parser import parse
from tosaic.runtime.cuda_emulator.program import Grid
from tosaic.runtime.cuda_emulator.traffic import Traffic

from .usage import CAPABILITIES, PROGRAMS

GOLDEN = Path(__file__).with_name("traffic.txt")
HEADING = "sectors, the fewest they could be, wavefronts of shared memory, the fewest, of the first block"


@cache
def measure(capability: str) -> dict[str, Traffic]:
    """By function and position in it, such as "softmax/1"; dispatches of sizes known only at run time are left out."""
    measured: dict[str, Traffic] = {}
    for precision, path in PROGRAMS.items():
        program = tosaic.tosa.read(path)
        artifact = tosaic.lowering.compile(program, [f"cuda-emulator@{capability}"], precision=precision)
        (variant,) = artifact.variants
        (image,) = variant.images
        for segment in image.segments:
            for position, step in enumerate(segment.steps):
                if not step.scalars and not step.dims and all(buffer.size >= 0 for buffer in step.buffers):
                    measured[f"{segment.name}/{position}"] = _first_block(image, segment, step)
    return measured


def _first_block(image: Image, segment: Segment, step: Step) -> Traffic:
    """What the first block of a dispatch does, on buffers of zeros: which addresses it uses does not depend on them."""
    traffic = Traffic()
    memory = GlobalMemory(traffic)
    module = LoadedModule(parse(bytes(image.code).decode()), memory)
    launch = next(launch for launch in image.launches if launch.kernel == step.kernel)
    addresses = [memory.add(np.zeros(buffer.size, np.uint8)) for buffer in step.buffers]
    grid = Grid(launch.blocks or 1, launch.threads, launch.shared_bytes)
    scratch = memory.add(np.zeros(segment.scratch_bytes * grid.blocks * grid.threads, np.uint8))
    maps = [tensor_map.encode(each, addresses[each.buffer]) for each in launch.tensor_maps]
    arguments = [*addresses, scratch, segment.scratch_bytes, *maps]
    module.launch(ptx_entry(step.kernel), grid, arguments, blocks=1)
    return traffic


def golden() -> dict[str, dict[str, Traffic]]:
    """What was counted, by capability."""
    _, *lines = GOLDEN.read_text().splitlines()
    counted: dict[str, dict[str, Traffic]] = {}
    for line in lines:
        capability, name, *numbers = line.split()
        counted.setdefault(capability, {})[name] = Traffic(*map(int, numbers))
    return counted


def worse(now: Traffic, before: Traffic) -> bool:
    """Whether more is moved for what is needed: other tiles may need more, or less."""
    pairs = [
        (now.sectors * before.fewest_sectors, before.sectors * now.fewest_sectors),
        (now.wavefronts * before.fewest_wavefronts, before.wavefronts * now.fewest_wavefronts),
    ]
    return any(mine > theirs for mine, theirs in pairs)


def main() -> None:
    before = golden() if GOLDEN.exists() else {}
    lines = [HEADING]
    for capability in CAPABILITIES:
        for name, now in measure(capability).items():
            lines.append(" ".join([capability, name, *map(str, astuple(now))]))
            then = before.get(capability, {}).get(name)
            if then is not None and worse(now, then):
                print(f"worse: {capability} {name}: {now}; it was {then}")
    GOLDEN.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
