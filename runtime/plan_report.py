"""Plans for people: a table, and a picture of the graph coloured by device, one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from .atomic import atomic_write
from .plan import HOST, Edge, Node, Plan
from .report import LEFT, RIGHT, format_table

_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#e15759", "#76b7b2", "#edc948", "#9c755f")
"""Of devices, in their order; hues that people with any colour vision tell apart (Tableau 10)."""

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 300, 44, 24, 34, 20
"""Pixels: of a node, between nodes and around the picture."""

_MOST_LETTERS = 46


def describe_placement(plan: Plan) -> str:
    """Per dispatch: device, predicted and measured time, what is brought from other devices; sums below."""
    header = {"step": RIGHT, "device": LEFT, "predicted us": RIGHT, "measured us": RIGHT, "transfers": LEFT}
    header |= {"dispatch": LEFT}
    rows = [
        (
            str(number),
            node.device,
            _microseconds(node.predicted),
            _microseconds(node.measured),
            ", ".join(
                f"{_bytes(edge.size)} from {plan.nodes[edge.source].device}" for edge in plan.transfers_to(number)
            ),
            node.text,
        )
        for number, node in enumerate(plan.nodes)
        if node.step is not None
    ]
    return "\n".join([f"plan of {plan.signature}", format_table(header, rows), *_totals(plan)])


def save_picture(plans: Sequence[Plan], path: Path) -> None:
    """Write an HTML file with the graph of each plan. It appears whole or not at all. Raises OSError."""
    with atomic_write(path) as stream:
        stream.write(picture(plans).encode())


def picture(plans: Sequence[Plan]) -> str:
    """The text of the HTML file: headings, sums and one SVG for each plan, without scripts."""
    body = "\n".join(
        f"<h1>{escape(plan.signature)}</h1>\n{_legend(plan)}\n<pre>{escape(chr(10).join(_totals(plan)))}</pre>\n{_svg(plan)}"
        for plan in plans
    )
    style = (
        "body{font:14px system-ui,sans-serif;margin:24px}h1{font-size:18px}text{font:12px system-ui,sans-serif}"
        ".swatch{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 6px 0 16px}"
        "path{fill:none;stroke:#888;stroke-width:1.2}path.transfer{stroke:#d62728;stroke-width:2;stroke-dasharray:6 3}"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Plan</title>\n<style>{style}</style>'
        f"</head>\n<body>\n{body}\n</body></html>\n"
    )


def _totals(plan: Plan) -> list[str]:
    lines = []
    for device in plan.devices:
        own = [node for node in plan.nodes if node.device == device and node.step is not None]
        lines.append(f"{device}: {len(own)} dispatches, predicted {_sum(own, 0)} us, measured {_sum(own, 1)} us")
    moved = {(edge.source, plan.nodes[edge.target].device): edge.size for edge in plan.edges if edge.transfer}
    total = sum(moved.values()) if all(size >= 0 for size in moved.values()) else -1
    return [*lines, f"{len(moved)} transfers, {_bytes(total)}"]


def _sum(nodes: Sequence[Node], which: int) -> str:
    known = [seconds for node in nodes if (seconds := (node.predicted, node.measured)[which]) is not None]
    return f"{sum(known) * 1e6:.1f}" if known else "-"


def _legend(plan: Plan) -> str:
    entries = [
        f'<span class="swatch" style="background:{_colour(plan, device)}"></span>{escape(device)}'
        for device in plan.devices
    ]
    return f"<p>{''.join(entries)}</p>"


def _colour(plan: Plan, device: str) -> str:
    return "#dddddd" if device == HOST else _COLOURS[plan.devices.index(device) % len(_COLOURS)]


def _svg(plan: Plan) -> str:
    places, width, height = _layout(plan)
    edges = [_edge(plan, edge, places) for edge in plan.edges]
    nodes = [_node(plan, number, node, places[number]) for number, node in enumerate(plan.nodes) if number in places]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        + "\n".join([*edges, *nodes])
        + "\n</svg>"
    )


def _layout(plan: Plan) -> tuple[dict[int, tuple[int, int]], int, int]:
    """The left upper corner of each node in layers, every edge leading down, and the size of the picture."""
    layer = [0] * len(plan.nodes)
    for _ in plan.nodes:  # as often as the longest path could be
        before = list(layer)
        for edge in plan.edges:
            if edge.source != edge.target:
                layer[edge.target] = min(max(layer[edge.target], layer[edge.source] + 1), len(plan.nodes))
        if layer == before:
            break
    rows: dict[int, list[int]] = {}
    for number in range(len(plan.nodes)):
        rows.setdefault(layer[number], []).append(number)
    places: dict[int, tuple[int, int]] = {}
    for row, (_, numbers) in enumerate(sorted(rows.items())):
        for column, number in enumerate(numbers):
            places[number] = (_MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
    most = max((len(numbers) for numbers in rows.values()), default=1)
    return places, 2 * _MARGIN + most * (_WIDTH + _GAP_X), 2 * _MARGIN + len(rows) * (_HEIGHT + _GAP_Y)


def _node(plan: Plan, number: int, node: Node, place: tuple[int, int]) -> str:
    x, y = place
    times = f"predicted {_microseconds(node.predicted)} us, measured {_microseconds(node.measured)} us"
    name = f"{number}  {node.text}" if node.step is not None else node.text
    shown = name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
    below = f"{node.device}: {times}" if node.step is not None else ""
    return (
        f"<g><title>{escape(f'{name}, {node.device}, {times}')}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{_colour(plan, node.device)}"'
        f' fill-opacity="0.35" stroke="{_colour(plan, node.device)}"/>'
        f'<text x="{x + 8}" y="{y + 18}">{escape(shown)}</text>'
        f'<text x="{x + 8}" y="{y + 35}" fill="#555">{escape(below[:_MOST_LETTERS])}</text></g>'
    )


def _edge(plan: Plan, edge: Edge, places: dict[int, tuple[int, int]]) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    begin, end = (x1 + _WIDTH // 2, y1 + _HEIGHT), (x2 + _WIDTH // 2, y2)
    middle = (begin[1] + end[1]) // 2
    kind = ' class="transfer"' if edge.transfer else ""
    what = f"{'transfer of ' if edge.transfer else ''}{_bytes(edge.size)}"
    curve = f"M{begin[0]} {begin[1]}C{begin[0]} {middle} {end[0]} {middle} {end[0]} {end[1]}"
    return f'<path{kind} d="{curve}"><title>{escape(what)}</title></path>'


def _microseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e6:.1f}"


def _bytes(size: int) -> str:
    if size < 0:
        return "? KB"
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} KB"
