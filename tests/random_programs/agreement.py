"""Whether devices, and the numpy meaning, agree with what random programs should return.

    python -m tests.random_programs.agreement --count 2000 [--seed 1] [--devices cpu]

runs each program in a process of its own, on one list of devices after the other unless one is named, and prints those
that fail with the seed that makes them again.
"""

from __future__ import annotations

import argparse
import platform
import random
import re
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
import tosaic.lowering
import tosaic.runtime
import tosaic.tosa
from tosaic.lowering.meaning import evaluate

from tests.fuzz import child

from .numbers import Array
from .programs import Called, Program, Random, make_program

_X86 = ("cpu@x86-64-v3", "cpu@x86-64-v2", "cpu@x86-64-v3:1,cpu:1")
DEVICES = ("cpu", "reference", "cpu:1,reference", *(_X86 if platform.machine() == "x86_64" else ()))
"""The lists of devices that programs are tried on."""


_NAMED = re.compile(r"(linalg\.(?!fill)\w+) ins\(")
"""An operation by its name, without attributes, up to its operands."""


class Disagreement(AssertionError):
    """A result is not what it should be."""


def check_meaning(program: Program) -> None:
    """Raises Disagreement unless numpy at the level of the program agrees."""
    module = tosaic.tosa.read(program.text.encode())
    for call in program.functions:
        _compare(program, call, evaluate(module, call.name, call.inputs), "the numpy meaning")


def check_devices(program: Program, devices: str) -> None:
    """Raises Disagreement unless the compiled program agrees; calls it twice, as buffers are used again."""
    text = pinned(program.text, devices.split(","))
    artifact = tosaic.lowering.compile(tosaic.tosa.read(text.encode()), devices.split(","))
    with tosaic.runtime.load(artifact) as loaded:
        for _ in range(2):
            for call in program.functions:
                _compare(program, call, loaded.function(call.name).run(call.inputs), devices)


def pinned(text: str, devices: Sequence[str]) -> str:
    """The program with some of its named operations bound to one of several devices."""
    if len(devices) == 1:
        return text
    chance = random.Random(text)

    def bind(match: re.Match[str]) -> str:
        if chance.random() < 0.5:
            return match[0]
        return f'{match[1]} {{device.affinity = @"{chance.choice(devices)}"}} ins('

    return _NAMED.sub(bind, text)


def _compare(program: Program, call: Called, found: Sequence[Array], where: str) -> None:
    for position, (expected, array) in enumerate(zip(call.outputs, found, strict=True)):
        problem = expected.explain_difference(np.asarray(array))
        if problem is not None:
            raise Disagreement(f"{where}: result {position} of {call.name}: {problem}\n{program!r}")


def main() -> int:
    """Exit code 1 if any program crashed, was refused or returned something else."""
    parser = argparse.ArgumentParser(description="See the module's docstring.")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--devices", help=f"instead of, in turn: {'  '.join(DEVICES)}")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        devices = arguments.devices or DEVICES[seed % len(DEVICES)]
        program = make_program(Random(seed))

        def check(program: Program = program, devices: str = devices) -> None:
            check_meaning(program)
            check_devices(program, devices)

        try:
            result = child.outcome(check)
        except child.Failure as failure:
            result = "failed"
            print(f"seed {seed} on {devices}: {failure}", flush=True)
        if result not in ("done", "failed"):
            print(f"seed {seed} on {devices}: refused with {result}", flush=True)
        outcomes[result] += 1
    print(dict(outcomes))
    return 0 if outcomes.keys() <= {"done"} else 1


if __name__ == "__main__":
    sys.exit(main())
