"""Ratios to the best correct peer, their means, and the goals they have to reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.goals import Goal, batch_ratio, goals, missed
from benchmarks.standings import best_peer, class_mean, geometric_mean, of_class, ratio, scaling, twin_ratio

from .figures import engine, figures, model

MODELS = {name: record for name, record in figures()["models"].items() if "refused" not in record}


def test_a_peer_that_is_wrong_is_not_the_best() -> None:
    assert best_peer(MODELS["first_f32"], "f32", 1) == ("litert", 1.0)
    assert ratio(MODELS["first_f32"], 1) == pytest.approx(0.8)
    assert ratio(MODELS["first_f32"], 2) == pytest.approx(0.4 / 0.6)


def test_bf16_is_compared_with_bf16() -> None:
    assert ratio(MODELS["first_f32"], 1, "bf16") == pytest.approx(0.8)
    assert ratio(MODELS["second_f32"], 1, "bf16") is None


def test_the_best_peer_may_change_with_the_threads() -> None:
    best = [best_peer(MODELS["first_int8"], "int8", threads) for threads in (1, 2)]
    assert best == [("litert", 0.5), ("openvino_bf16", 0.1)]


def test_without_peers_there_is_no_ratio() -> None:
    assert ratio(model("f32", tosaic=engine(1, 1)), 1) is None
    assert ratio(model("f32", litert=engine(1, 1)), 1) is None


def test_means_are_geometric_and_leave_out_what_is_missing() -> None:
    assert geometric_mean([0.5, None, 2.0]) == pytest.approx(1.0)
    assert geometric_mean([None]) is None
    assert class_mean(MODELS, "f32", 1) == pytest.approx(math.sqrt(0.8 * 0.5))
    assert class_mean(MODELS, "bf16", 1) == pytest.approx(0.8)
    assert of_class(MODELS, "int8") == ["first_int8"]


def test_twins_and_threads() -> None:
    assert twin_ratio(MODELS, "first_int8", 1) == pytest.approx(0.3 / 0.8)
    assert twin_ratio(MODELS, "first_f32", 1) is None
    assert scaling(MODELS["first_f32"]) == pytest.approx(2.0)


def test_a_goal_that_was_not_measured_is_missed() -> None:
    assert not Goal("x", None, 1.0).is_met
    assert Goal("x", 1.0, 1.0).is_met
    assert not Goal("x", 1.001, 1.0).is_met
    assert Goal("x", 1.85, 1.85, at_least=True).is_met


def test_what_is_missed_is_listed_by_name() -> None:
    assert missed(figures()) == [
        "first_int8 in int8, 2 threads, of the best peer: 2.000, wanted at most 1",
        "geometric mean of int8, 2 threads, of the best peers: 2.000, wanted at most 0.75",
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda f: f["models"]["first_int8"].update(exact=False), "first_int8: equal to the reference bit for bit"),
        (lambda f: f["models"]["first_int8"]["engines"].update(tosaic=engine(0.9, 0.1)), "of its own time in f32"),
        (lambda f: f["models"]["second_f32"]["compile"].update(cold=5.0), "second_f32: time to compile"),
        (lambda f: f["models"]["second_f32"]["size"].update(artifact=101), "second_f32: artifact, of the .tflite"),
        (lambda f: f["models"]["second_f32"]["engines"]["tosaic"].update(load=0.02), "second_f32: time to load"),
        (lambda f: f["models"]["second_f32"]["engines"]["tosaic"].update(rss=10**8), "second_f32: added peak memory"),
        (lambda f: f.pop("calls"), "a call of three small layers, us: not measured"),
        (lambda f: f.pop("batches"), "images a second in batches, of the best peer's: not measured"),
    ],
)
def test_every_goal_can_be_missed(change: Callable[[dict[str, Any]], object], text: str) -> None:
    changed = figures()
    before = set(missed(changed))
    change(changed)
    assert any(text in line for line in set(missed(changed)) - before)


def test_batches_are_compared_at_their_best_sizes() -> None:
    assert batch_ratio(figures()) == pytest.approx(1.2)
    assert batch_ratio({"batches": {"rates": {"tosaic": {"1": 3.0}}}}) is None


def test_models_that_are_not_compiled_have_no_goals() -> None:
    assert not any("odd" in goal.text for goal in goals(figures()))
