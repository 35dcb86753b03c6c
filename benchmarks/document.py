"""docs/performance.md and its picture, from figures.

What stands between `<!-- measured: NAME WORDS -->` and `<!-- end -->` is replaced by what the function NAME of `tables`
makes of the figures and WORDS; the rest of the page is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import tables
from .standings import THREADS, of_class, ratio

FOLDER = Path(__file__).resolve().parents[1] / "docs"
PAGE, PICTURE = FOLDER / "performance.md", FOLDER / "performance.svg"
_MEASURED = re.compile(r"(<!-- measured: (\w+)((?: \w+)*) -->\n).*?(<!-- end -->)", re.DOTALL)
_COLOURS = {1: "#1f6f8b", 2: "#e08e45"}


def write_document(figures: Mapping[str, Any]) -> None:
    """Bring page and picture up to date."""
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    draw(figures, PICTURE)


def fill(page: str, figures: Mapping[str, Any]) -> str:
    """The page with its measured parts made anew."""

    def replace(match: re.Match[str]) -> str:
        begin, name, words, end = match.groups()
        made = getattr(tables, name)(figures, *([words.strip()] if words else []))
        return f"{begin}{made}\n{end}"

    return _MEASURED.sub(replace, page)


def draw(figures: Mapping[str, Any], path: Path) -> None:
    """Our time over the best peer's for each model, a panel for each class, as SVG."""
    import matplotlib  # pyright: ignore[reportMissingImports]

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tosaic"  # the same figures make the same file
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]

    known = {name: model for name, model in figures["models"].items() if "refused" not in model}
    panels = {}
    for kind in tables.COLUMNS:
        names = [name for name in of_class(known, "f32" if kind == "bf16" else kind) if ratio(known[name], 1, kind)]
        if names:
            panels[kind] = sorted(names, key=lambda name: ratio(known[name], 1, kind) or 0.0, reverse=True)
    heights = [len(names) for names in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(9, 1 + 0.3 * sum(heights) + 0.5 * len(panels)), sharex=True, squeeze=False,
        height_ratios=heights, layout="constrained",
    )  # fmt: skip
    for axis, (kind, names) in zip(axes[:, 0], panels.items(), strict=True):
        for threads in THREADS:
            places = [place + (0.2 if threads == 1 else -0.2) for place in range(len(names))]
            values = [ratio(known[name], threads, kind) or 0.0 for name in names]
            label = "1 thread" if threads == 1 else f"{threads} threads"
            axis.barh(places, values, 0.38, color=_COLOURS[threads], label=label)
        axis.axvline(1.0, color="black", linewidth=1)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.set_title("bf16, beside OpenVINO's" if kind == "bf16" else kind, fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(fontsize=8, loc="lower right")
    axes[-1, 0].set_xlabel("our time over the best correct peer's (below 1 is faster)")
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
