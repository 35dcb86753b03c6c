"""LLVM IR text to relocatable object code for a target, big amounts of it in several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from ..target import Target
from . import assembler
from .emit import ATTRIBUTES, OUTLINED, UNLIKELY

_PROGRAM = Path(assembler.__file__)
_WORTH_A_PROCESS = 256 * 1024
"""Characters of IR that LLVM takes some 0.3 s for, several times what it takes to start a process."""


def assemble(text: str, target: Target) -> bytes:
    """The ELF object of a module of LLVM IR. Raises RuntimeError with LLVM's message if the text is not valid IR."""
    return assembler.object_of(text + _attributes(target), *_machine(target))


def assemble_all(texts: Sequence[str], target: Target) -> list[bytes]:
    """The objects of modules, in order, as by `assemble`, by as many processes as processors where that pays.

    Whatever keeps another process from doing its part costs time, never a result.
    """
    objects: list[bytes | None] = [None] * len(texts)
    left = sorted(range(len(texts)), key=lambda index: len(texts[index]))  # The longest first, from the end.
    processes = min(len(os.sched_getaffinity(0)), sum(map(len, texts)) // _WORTH_A_PROCESS, len(texts))
    helpers = [threading.Thread(target=_delegate, args=(texts, left, objects, target)) for _ in range(1, processes)]
    for helper in helpers:
        helper.start()
    try:
        while (index := _take(left)) is not None:
            objects[index] = assemble(texts[index], target)
    finally:
        left.clear()
        for helper in helpers:
            helper.join()
    return [assemble(text, target) if made is None else made for text, made in zip(texts, objects, strict=True)]


def _delegate(texts: Sequence[str], left: list[int], objects: list[bytes | None], target: Target) -> None:
    """Have texts assembled by another process as long as there are some `left`."""
    command = [sys.executable, "-P", str(_PROGRAM), *_machine(target)]
    attributes = _attributes(target)
    with (
        suppress(OSError),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        while (index := _take(left)) is not None:
            assembler.write(cast("assembler.BinaryIO", process.stdin), (texts[index] + attributes).encode())
            made = assembler.read(cast("assembler.BinaryIO", process.stdout))
            if made is None:
                return
            objects[index] = made


def _take(left: list[int]) -> int | None:
    try:
        return left.pop()
    except IndexError:
        return None


def _attributes(target: Target) -> str:
    common = f'attributes {ATTRIBUTES} = {{ nounwind "no-builtins" "tune-cpu"="{target.cpu}" }}\n'
    weights = f'{UNLIKELY} = !{{!"branch_weights", i32 1, i32 1000}}\n'
    return common + f"attributes {OUTLINED} = {{ noinline }}\n" + weights


def _machine(target: Target) -> tuple[str, str, str]:
    """(triple, processor, features) for LLVM: what may be used are the target's features alone, whatever else its
    processor has, as the runtime checks for those."""
    features = ",".join(f"+{feature}" for feature in target.features if feature != target.architecture)
    return target.triple, target.baseline, features
