"""What each kind of dispatch needs of a GPU, by NVIDIA's assembler: `usage.txt` beside this file may only get better.

python -m tests.cuda.usage          writes it anew, and says what became worse
"""

from __future__ import annotations

from dataclasses import astuple
from functools import cache
from pathlib import Path

import tosaic.lowering
import tosaic.tosa

from .ptxas import Usage, assemble, version

CAPABILITIES = ("sm_75", "sm_80", "sm_90a")

PROGRAMS = {None: Path(__file__).with_name("dispatches.mlir"), "bf16": Path(__file__).with_name("reduced.mlir")}
"""By the precision that they are compiled with."""

GOLDEN = Path(__file__).with_name("usage.txt")


@cache
def measure(capability: str) -> dict[str, Usage]:
    """By function and position in it, such as "softmax/1"."""
    measured: dict[str, Usage] = {}
    for precision, path in PROGRAMS.items():
        program = tosaic.tosa.read(path)
        artifact = tosaic.lowering.compile(program, [f"cuda-emulator@{capability}"], precision=precision)
        (variant,) = artifact.variants
        (image,) = variant.images
        usage = assemble(image)
        for segment in image.segments:
            for position, step in enumerate(segment.steps):
                measured[f"{segment.name}/{position}"] = usage[step.kernel]
    return measured


def golden() -> tuple[str, dict[str, dict[str, Usage]]]:
    """The version of the assembler that was asked, and what it said by capability."""
    heading, *lines = GOLDEN.read_text().splitlines()
    usage: dict[str, dict[str, Usage]] = {}
    for line in lines:
        capability, name, *numbers = line.split()
        usage.setdefault(capability, {})[name] = Usage(*map(int, numbers))
    return heading.split()[1].rstrip(":"), usage


def main() -> None:
    before = golden()[1] if GOLDEN.exists() else {}
    measured = {capability: measure(capability) for capability in CAPABILITIES}
    for capability, kernels in measured.items():
        for name, usage in kernels.items():
            old = before.get(capability, {}).get(name)
            if old is not None and not usage.no_worse_than(old):
                print(f"{capability} {name}: {usage}; it was {old}")
    lines = [f"ptxas {version()}: registers, stack, spilled, shared"]
    lines += [
        f"{capability} {name} {' '.join(map(str, astuple(usage)))}"
        for capability, kernels in measured.items()
        for name, usage in kernels.items()
    ]
    GOLDEN.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
