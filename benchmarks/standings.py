"""What follows from the measured times: ratios to the best peer that computes the right thing, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .agreement import is_correct

THREADS = (1, 2)
QUIET = 0.1
"""Processors that may be busy with something else while engines are measured."""

PEERS = {
    "f32": ("litert", "openvino", "onnxruntime", "iree"),
    "int8": ("litert", "openvino", "openvino_bf16", "onnxruntime", "iree"),
    "dynamic range": ("litert", "openvino", "iree"),
    "bf16": ("openvino_bf16",),
}
"""Who is compared with, by class. An int8 model's float part OpenVINO runs in bf16 unless told otherwise."""

Model = Mapping[str, Any]
"""What is known of one model: see `models.py`."""


def is_disturbed(model: Model) -> bool:
    """Whether something else was running when the model was measured."""
    return model.get("others", 0.0) > QUIET


def best_peer(model: Model, kind: str, threads: int) -> tuple[str, float] | None:
    """The fastest peer that is correct, and its seconds; None where there is none."""
    times = {
        name: engine["times"][str(threads)]
        for name in PEERS[kind]
        if (engine := model["engines"].get(name)) and is_correct(engine, kind) and str(threads) in engine["times"]
    }
    return min(times.items(), key=lambda item: item[1]) if times else None


def ratio(model: Model, threads: int, kind: str | None = None) -> float | None:
    """Our seconds over the best peer's, in the model's own class or as "bf16"; None where either is missing."""
    kind = kind or str(model["class"])
    ours = model["engines"].get("tosaic_bf16" if kind == "bf16" else "tosaic", {}).get("times", {})
    best = best_peer(model, kind, threads)
    return ours[str(threads)] / best[1] if best and str(threads) in ours else None


def twin_ratio(models: Mapping[str, Model], name: str, threads: int) -> float | None:
    """Our seconds of a quantised model over ours of the same model in f32."""
    twin = models.get(models[name].get("twin") or "", {"engines": {}})
    times = [model["engines"].get("tosaic", {}).get("times", {}).get(str(threads)) for model in (models[name], twin)]
    return times[0] / times[1] if None not in times else None


def scaling(model: Model) -> float | None:
    """How many times faster two threads are than one."""
    times = model["engines"].get("tosaic", {}).get("times", {})
    return times["1"] / times["2"] if {"1", "2"} <= set(times) else None


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    logarithms = [math.log(value) for value in values if value is not None]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def class_mean(models: Mapping[str, Model], kind: str, threads: int) -> float | None:
    """The geometric mean of the ratios of all models of a class; "bf16" are those of f32."""
    chosen = of_class(models, "f32" if kind == "bf16" else kind)
    return geometric_mean(ratio(models[name], threads, kind) for name in chosen)


def of_class(models: Mapping[str, Model], kind: str) -> Sequence[str]:
    """The names of the models of a class."""
    return [name for name, model in models.items() if model["class"] == kind]
