"""What people at a terminal see while they wait. Where nobody watches, nothing is shown and rich is not imported."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item", covariant=True)


class SizedIterable(Iterable[Item], Protocol[Item]):
    def __len__(self) -> int: ...


def status(message: str) -> AbstractContextManager[object]:
    """A spinner."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(message)


def track(items: SizedIterable[Item], message: str) -> Iterable[Item]:
    """`items` with a progress bar if there is more than one. Print nothing meanwhile: it would go through the bar."""
    if not sys.stderr.isatty() or len(items) == 1:
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, message, total=len(items), console=Console(stderr=True), transient=True)


class Phases:
    """A spinner while the compiler works; then, with `show_times`, how long each phase took."""

    def __init__(self, name: str, show_times: bool) -> None:
        self._status = status(f"compiling {name}")
        self._show_times = show_times
        self._times: list[tuple[str, float]] = []

    def report(self, phase: str, seconds: float) -> None:
        """The compiler calls this after each phase."""
        self._times.append((phase, seconds))

    def __enter__(self) -> Phases:
        self._status.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._status.__exit__(*raised)
        if self._show_times and raised[0] is None:
            print(format_times(self._times), file=sys.stderr)


def format_times(times: Sequence[tuple[str, float]]) -> str:
    """One line per phase and one for the sum, in milliseconds."""
    rows = [*times, ("in total", sum(seconds for _, seconds in times))]
    return "\n".join(f"{seconds * 1e3:8.1f} ms  {phase}" for phase, seconds in rows)
