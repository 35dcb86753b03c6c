"""The figures as a table, and which goals they miss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tosaic.runtime.report import LEFT, RIGHT, format_table

from .cases import Case

MOST_OVERHEAD = 20e-6
"""Seconds of a steady call of the least program."""


def make_table(chosen: Sequence[Case], figures: dict[str, Any]) -> str:
    """One line for each case: our times, TFLOP/s of products, and our speed over the peer's."""
    columns = {"case": LEFT, "GPU us": RIGHT, "call us": RIGHT, "TFLOP/s": RIGHT, "torch GPU us": RIGHT}
    columns |= {"speed over torch": RIGHT, "note": LEFT}
    rows: list[tuple[str, ...]] = []
    for case in chosen:
        ours, peer = figures["cases"][case.name], figures["torch"].get(case.name, {})
        if "refused" in ours:
            rows.append((case.name, "", "", "", _time(peer, "gpu"), "", ours["refused"]))
            continue
        rate = f"{case.flops / ours['gpu'] / 1e12:.3g}" if case.flops and ours["gpu"] > 0 else ""
        speed = ratio(ours, peer)
        shown = "" if speed is None else f"{speed:.2f}"
        note = peer.get("missing", "")
        rows.append((case.name, _time(ours, "gpu"), _time(ours, "call"), rate, _time(peer, "gpu"), shown, note))
    return format_table(columns, rows)


def ratio(ours: dict[str, Any], peer: dict[str, Any]) -> float | None:
    """Our speed over the peer's, by the time on the GPU."""
    return peer["gpu"] / ours["gpu"] if "gpu" in peer and ours.get("gpu") else None


def missed(chosen: Sequence[Case], figures: dict[str, Any]) -> list[str]:
    """The goals that the figures do not reach, in words; what was not measured counts as missed."""
    problems: list[str] = []
    for case in chosen:
        ours = figures["cases"][case.name]
        if case.kind == "call" and not ours.get("call", 1.0) < MOST_OVERHEAD:
            problems.append(
                f"{case.name}: {_time(ours, 'call') or 'no'} us, wanted are less than {MOST_OVERHEAD * 1e6:g}"
            )
        if case.goal is not None:
            speed = ratio(ours, figures["torch"].get(case.name, {}))
            if speed is None or speed < case.goal:
                found = "not measured" if speed is None else f"{speed:.2f} of torch's speed"
                problems.append(f"{case.name}: {found}, wanted is {case.goal:.2f}")
    return problems


def _time(record: dict[str, Any], name: str) -> str:
    return f"{1e6 * record[name]:.1f}" if name in record else ""
