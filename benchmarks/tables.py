"""The tables of docs/performance.md: Markdown from figures, nothing measured and nothing written."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .agreement import is_correct
from .goals import BATCHES, BF16, MEANS, batch_ratio, goals, missed
from .standings import THREADS, best_peer, class_mean, is_disturbed, of_class, ratio, scaling, twin_ratio

Figures = Mapping[str, Any]

NAMES = {
    "tosaic": "Tosaic",
    "tosaic_bf16": "Tosaic",
    "tosaic_bound": "Tosaic, arrays bound once",
    "tosaic_streams": "Tosaic, an image per thread",
    "litert": "LiteRT",
    "openvino": "OpenVINO",
    "openvino_bf16": "OpenVINO bf16",
    "openvino_streams": "OpenVINO, an image per thread",
    "onnxruntime": "ONNX Runtime",
    "iree": "IREE",
}
COLUMNS = {
    "f32": ("tosaic", "litert", "openvino", "onnxruntime", "iree"),
    "int8": ("tosaic", "litert", "openvino", "openvino_bf16", "iree"),
    "bf16": ("tosaic_bf16", "openvino_bf16"),
    "dynamic range": ("tosaic", "litert", "openvino", "iree"),
}
"""Whose times a table shows. An int8 model's float part OpenVINO runs in bf16 unless told otherwise."""

_SHARES = (0.8, 0.5, 0.25, 0.0)
"""Of the limit: the classes that time is sorted into."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are numbers."""
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def summary(figures: Figures) -> str:
    """Where and when, the means, and what is missed."""
    models = _compiled(figures)
    versions = {
        NAMES[name]: engine["version"]
        for model in models.values()
        for name, engine in model["engines"].items()
        if name in ("tosaic", "litert", "openvino", "onnxruntime", "iree") and "version" in engine
    }
    dates = sorted({model["date"] for model in models.values()})
    when = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never"
    peaks = ", ".join(f"{rate / 1e9:.0f} of {dtype}" for dtype, rate in figures["machine"]["peaks"].items())
    levels = ", ".join(f"{level['name']} {level['rate'] / 1e9:.0f}" for level in figures["machine"]["levels"])
    lines = [
        f"Measured {when} on {figures['machine']['processor']}, with {_listed(versions)}. One core does "
        f"(G operations/s) {peaks}, and reads (GB/s) {levels}.",
        "",
        table(
            ("geometric mean of our time over the best peer's", *map(_threads, THREADS), "goal"),
            [
                (kind, *(_number(class_mean(models, kind, threads)) for threads in THREADS), _goal_of(kind))
                for kind in COLUMNS
            ],
        ),
        "",
    ]
    if disturbed := [name for name, model in models.items() if is_disturbed(model)]:
        lines += [f"Something else was running while these were measured: {', '.join(disturbed)}.", ""]
    lost = missed(figures)
    lines.append(f"{len(list(goals(figures)))} goals, {len(lost)} missed{':' if lost else '.'}")
    lines += ["", *(f"- {line}" for line in lost)] if lost else []
    return "\n".join(lines)


def models(figures: Figures, kind: str) -> str:
    """The times of one class, or of f32 models in "bf16"."""
    known = _compiled(figures)
    own = "tosaic_bf16" if kind == "bf16" else "tosaic"
    names = [name for name in of_class(known, "f32" if kind == "bf16" else kind)]
    header = ["model", *(f"{NAMES[engine]}, ms" for engine in COLUMNS[kind]), "of the best peer"]
    header += [{"int8": "of f32", "dynamic range": "of f32", "bf16": "error"}.get(kind, "error")]
    rows = []
    for name in names:
        model = known[name]
        cells = [_times(model["engines"].get(engine, {}), kind) for engine in COLUMNS[kind]]
        best = best_peer(model, kind, 1)
        pair = _pair(ratio(model, threads, kind) for threads in THREADS)
        cells.append(f"**{pair}** {NAMES[best[0]]}" if best else "-")
        if kind in ("int8", "dynamic range"):
            cells.append(_pair(twin_ratio(known, name, threads) for threads in THREADS))
        else:
            cells.append(f"{model['engines'].get(own, {}).get('error', float('nan')):.1e}")
        rows.append((name, *cells))
    return table(header, rows)


def costs(figures: Figures) -> str:
    """Compiling, loading, memory and size."""
    rows = []
    for name, model in _compiled(figures).items():
        ours, theirs = (model["engines"].get(engine, {}) for engine in ("tosaic", "litert"))
        compile, size = model["compile"], model["size"]
        rows.append(
            (
                name,
                f"{compile['cold']:.1f} / {compile['iree']:.1f}" if "iree" in compile else f"{compile['cold']:.1f} / -",
                f"{compile['cached']:.2f}",
                f"{_scaled(ours, 'load', 1e3)} / {_scaled(theirs, 'load', 1e3)}",
                f"{_scaled(ours, 'rss', 1e-6)} / {_scaled(theirs, 'rss', 1e-6)}",
                f"{size['artifact'] / size['tflite']:.3f}",
                _number(scaling(model)),
            )
        )
    header = ("model", "compile, s: ours / IREE", "cached, s", "load, ms: ours / LiteRT")
    return table((*header, "added peak RSS, MB: ours / LiteRT", "artifact / .tflite", "2 threads over 1"), rows)


def calls(figures: Figures) -> str:
    """Microseconds of a call of next to nothing."""
    engines = figures.get("calls", {}).get("engines", {})
    names = [name for name in ("tosaic_bound", *COLUMNS["f32"]) if "times" in engines.get(name, {})]
    rows = [
        (NAMES[name], *(_scaled(engines[name]["times"], str(threads), 1e6, 1) for threads in THREADS)) for name in names
    ]
    return table(("us per call", *map(_threads, THREADS)), rows) if rows else "Not measured."


def batches(figures: Figures) -> str:
    """Images per second by the size of batches."""
    batches = figures.get("batches")
    if batches is None:
        return "Not measured."
    sizes = sorted({int(size) for rates in batches["rates"].values() for size in rates})
    rows = [
        (NAMES[name], *(f"{rates[str(size)]:.0f}" if str(size) in rates else "-" for size in sizes))
        for name, rates in batches["rates"].items()
    ]
    header = ("images a second", *(f"batches of {size}" for size in sizes))
    return f"{table(header, rows)}\n\nOf the best peer's: {_number(batch_ratio(figures))}, wanted {BATCHES}."


def rooflines(figures: Figures) -> str:
    """For each model, how much of its time goes to dispatches that are near or far from their limit."""
    rows = []
    for name, model in _compiled(figures).items():
        dispatches = model.get("dispatches", [])
        total = sum(each["seconds"] for each in dispatches)
        limit = sum(each["limit"] for each in dispatches)
        parts: Counter[float] = Counter()
        for each in dispatches:
            share = each["limit"] / each["seconds"]
            parts[next(least for least in _SHARES if share >= least)] += each["seconds"]
        row = (
            name,
            str(len(dispatches)),
            f"{1e3 * total:.2f}",
            f"{1e3 * limit:.2f}",
            f"{limit / max(total, 1e-12):.0%}",
        )
        rows.append((*row, *(f"{parts[least] / max(total, 1e-12):.0%}" for least in _SHARES)))
    edges = ("above", *(f"{least:.0%} to {most:.0%}" for most, least in itertools.pairwise(_SHARES)))
    header = (
        "model",
        "dispatches",
        "ms",
        "limit, ms",
        "limit / time",
        f"time {edges[0]} {_SHARES[0]:.0%} of the limit",
    )
    return table((*header, *edges[1:]), rows)


def kinds(figures: Figures) -> str:
    """For each class of models and kind of dispatch, time and limit."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for model in _compiled(figures).values():
        for each in model.get("dispatches", []):
            groups.setdefault((model["class"], kind_of(each["description"])), []).append(each)
    rows = []
    for (kind, what), dispatches in sorted(groups.items(), key=lambda item: -_lost(item[1])):
        total, limit = (sum(each[figure] for each in dispatches) for figure in ("seconds", "limit"))
        bounds = Counter(each["bound"] for each in dispatches).most_common(2)
        lost = f"{1e3 * (total - limit):.2f}"
        rows.append(
            (
                *(f"{kind}: {what}", str(len(dispatches)), f"{1e3 * total:.2f}", f"{limit / total:.0%}", lost),
                ", ".join(bound for bound, _ in bounds),
            )
        )
    return table(("dispatches of all models", "number", "ms", "limit / time", "ms over the limit", "bound by"), rows)


def losers(figures: Figures, count: int = 40) -> str:
    """The dispatches that lose most of their model's time against their limit."""
    found = []
    for name, model in _compiled(figures).items():
        total = sum(each["seconds"] for each in model.get("dispatches", []))
        for each in model.get("dispatches", []):
            found.append(((each["seconds"] - each["limit"]) / total, name, each))
    found.sort(key=lambda item: -item[0])
    rows = [
        (
            f"{each['description']} ({name})",
            f"{1e6 * each['seconds']:.0f}",
            f"{1e6 * each['limit']:.0f}",
            f"{each['limit'] / each['seconds']:.0%}",
            each["bound"],
            f"{share:.1%}",
        )
        for share, name, each in found[:count]
    ]
    return table(("dispatch", "us", "limit, us", "limit / time", "bound by", "lost of its model"), rows)


def kind_of(description: str) -> str:
    """What a dispatch does, without its sizes: "conv_2d 3x3/2", "matmul", "elementwise"."""
    words = [re.sub(r"^\d+$", "", word) for word in description.split()]
    first, *rest = [word for word in words if word] or ["?"]
    window = rest[0] if rest and first in ("conv_2d", "depthwise") else ""
    return f"{first} {window}".strip()


def refusals(figures: Figures) -> str:
    """What is not compiled, and which results do not count."""
    lines = [f"- {name}: {model['refused']}" for name, model in figures["models"].items() if "refused" in model]
    for name, model in _compiled(figures).items():
        for engine, found in model["engines"].items():
            kind = "bf16" if model["class"] == "f32" and engine.endswith("bf16") else model["class"]
            if "refused" in found:
                lines.append(f"- {name}: {NAMES[engine]} cannot run it: {found['refused'][:160]}")
            elif not is_correct(found, kind):
                lines.append(f"- {name}: {NAMES[engine]} computes something else: relative error {found['error']:.2g}")
    return "\n".join(lines) or "None."


def _compiled(figures: Figures) -> dict[str, Mapping[str, Any]]:
    return {name: model for name, model in figures["models"].items() if "refused" not in model}


def _lost(dispatches: Iterable[Mapping[str, Any]]) -> float:
    return sum(each["seconds"] - each["limit"] for each in dispatches)


def _times(engine: Mapping[str, Any], kind: str) -> str:
    """Milliseconds on one and two threads, crossed out where the results are wrong."""
    if "times" not in engine:
        return "-"
    cell = " / ".join(_scaled(engine["times"], str(threads), 1e3, 2) for threads in THREADS)
    return cell if is_correct(engine, kind) else f"~~{cell}~~"


def _scaled(record: Mapping[str, float], figure: str, factor: float, digits: int = 0) -> str:
    return f"{factor * record[figure]:.{digits}f}" if figure in record else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _pair(values: Iterable[float | None]) -> str:
    return " / ".join(map(_number, values))


def _threads(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def _goal_of(kind: str) -> str:
    return f"{MEANS[kind]}" if kind in MEANS else f"{BF16} each" if kind == "bf16" else "-"


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
