"""Which processors and features LLVM knows, and which processor has which: names are its own."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...runtime.errors import ArgumentError

_PROBE = Path(__file__).with_name("probe.py")


@dataclass(frozen=True)
class _Answer:
    """What the probe found out: all names of an architecture, the features of one processor, or why there are none."""

    processors: frozenset[str]
    features: frozenset[str]
    has: frozenset[str] | None
    complaint: str


def processors(triple: str, baseline: str) -> frozenset[str]:
    """The processors that LLVM has for the architecture of `triple`, `baseline` being one."""
    return _ask(triple, baseline, (), ()).processors


def features_of(triple: str, cpu: str, changes: Sequence[str], candidates: Sequence[str]) -> frozenset[str]:
    """Those of the `candidates` that `cpu` has with `changes` such as "+dotprod" or "-avx512f".

    Raises ArgumentError for a processor or feature that LLVM does not know, and for changes that contradict each other.
    """
    answer = _ask(triple, cpu, tuple(changes), tuple(candidates))
    if cpu not in answer.processors:
        raise ArgumentError(f"unknown CPU {cpu!r} for {triple}{similar(cpu, answer.processors)}")
    for change in changes:
        if change[:1] not in "+-" or change[1:] not in answer.features:
            feature = change.lstrip("+-")
            hint = ": write +NAME or -NAME" if change == feature else similar(feature, answer.features)
            raise ArgumentError(f"unknown feature {change!r} for {triple}{hint}")
    if answer.has is None:
        raise ArgumentError(f"{' with '.join(filter(None, [cpu, ','.join(changes)]))}: {answer.complaint}")
    return answer.has


def similar(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known names that are like `name`, if there are any."""
    close = difflib.get_close_matches(name.lower(), sorted(known), n=5, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else ""


@cache
def _ask(triple: str, cpu: str, changes: tuple[str, ...], candidates: tuple[str, ...]) -> _Answer:
    command = [sys.executable, str(_PROBE), triple, cpu, ",".join(changes), ",".join(candidates)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    names, _, features = done.stderr.partition("Available features for this target:")
    has = None if done.returncode else frozenset(done.stdout.strip().split(","))
    complaint = (done.stderr.strip().splitlines() or ["LLVM gives no reason"])[-1].removeprefix("LLVM ERROR: ")
    return _Answer(frozenset(_entries(names)), frozenset(_entries(features)), has, complaint)


def _entries(table: str) -> Iterator[str]:
    """The first words of lines such as "  znver4    - Select the znver4 processor."."""
    for line in table.splitlines():
        name, dash, _ = line.partition(" - ")
        if dash and line.startswith("  "):
            yield name.strip()
