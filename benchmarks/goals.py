"""What the figures have to reach, and which of them do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .standings import THREADS, class_mean, of_class, ratio, scaling, twin_ratio

MEANS = {"f32": 0.85, "int8": 0.75}
"""The most that the geometric mean of the ratios of a class may be."""
BF16 = 0.95
"""The most of OpenVINO's time in bf16."""
SCALING = 1.85
SCALED = ("resnet50_f32", "mobilenet_v1_f32", "bert_base_f32")
"""At least so many times faster on two threads than on one, and what has to be."""
CALL_SECONDS = 5e-6
BATCHES = 1.1
"""The least images per second of the best peer's."""


@dataclass(frozen=True)
class Goal:
    """A figure and what it has to be: at most `limit`, or at least. `value` is None where it was not measured."""

    text: str
    value: float | None
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        if self.value is None:
            return False
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.3f}"
        return f"{self.text}: {value}, wanted at {'least' if self.at_least else 'most'} {self.limit:g}"


def missed(figures: Mapping[str, Any]) -> list[str]:
    """A line for each goal that is not met."""
    return [str(goal) for goal in goals(figures) if not goal.is_met]


def goals(figures: Mapping[str, Any]) -> Iterator[Goal]:
    """All goals that the models in `figures` have, and those of a program as a whole."""
    models = {name: model for name, model in figures["models"].items() if "refused" not in model}
    for kind in ("f32", "int8"):
        for name in of_class(models, kind):
            yield from _against_peers(name, models[name], kind)
        for threads in THREADS:
            mean = class_mean(models, kind, threads)
            if mean is not None:
                yield Goal(f"geometric mean of {kind}, {_threads(threads)}, of the best peers", mean, MEANS[kind])
    for name, model in models.items():
        if model["class"] == "int8" and "exact" in model:
            yield Goal(f"{name}: equal to the reference bit for bit", float(model["exact"]), 1, at_least=True)
        if model["class"] == "f32":
            yield from _against_peers(name, model, "bf16", BF16)
        elif model.get("twin") in models:
            for threads in THREADS:
                value = twin_ratio(models, name, threads)
                yield Goal(f"{name}, {_threads(threads)}, of its own time in f32", value, 1.0)
        if name in SCALED:
            yield Goal(f"{name}: speed of 2 threads over 1", scaling(model), SCALING, at_least=True)
        yield from _sizes(name, model)
    calls = figures.get("calls", {}).get("engines", {}).get("tosaic", {}).get("times", {}).get("1")
    yield Goal("a call of three small layers, us", calls and 1e6 * calls, 1e6 * CALL_SECONDS)
    yield Goal("images a second in batches, of the best peer's", batch_ratio(figures), BATCHES, at_least=True)


def _against_peers(name: str, model: Mapping[str, Any], kind: str, limit: float = 1.0) -> Iterator[Goal]:
    for threads in THREADS:
        value = ratio(model, threads, kind)
        if value is not None:
            yield Goal(f"{name} in {kind}, {_threads(threads)}, of the best peer", value, limit)


def _sizes(name: str, model: Mapping[str, Any]) -> Iterator[Goal]:
    """Compiling beside IREE; loading, memory and file beside LiteRT."""
    ours, theirs = (model["engines"].get(engine, {}) for engine in ("tosaic", "litert"))
    compile = model["compile"]
    if "iree" in compile:
        yield Goal(f"{name}: time to compile, of iree-compile", compile["cold"] / compile["iree"], 1.0)
    for figure, text in (("load", "time to load"), ("rss", "added peak memory")):
        if figure in ours and figure in theirs:
            yield Goal(f"{name}: {text}, of LiteRT", ours[figure] / max(theirs[figure], 1e-9), 1.0)
    size = model["size"]
    yield Goal(f"{name}: artifact, of the .tflite", size["artifact"] / size["tflite"], 1.0)


def batch_ratio(figures: Mapping[str, Any]) -> float | None:
    """Our images per second over the best peer's, each with the batches that suit it best."""
    rates = {name: max(sizes.values()) for name, sizes in figures.get("batches", {}).get("rates", {}).items()}
    ours, peers = ([rate for name, rate in rates.items() if name.startswith("tosaic") == own] for own in (True, False))
    return max(ours) / max(peers) if ours and peers else None


def _threads(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
