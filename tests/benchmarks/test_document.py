"""Figures that grow in a file, and the page that is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import store, tables
from benchmarks.document import PAGE, draw, fill

from .figures import figures


def test_models_are_merged_one_by_one_and_other_parts_as_a_whole() -> None:
    known = {"models": {"b": {"x": 1, "y": 2}, "a": {"x": 1}}, "calls": {"old": 1}, "machine": 1}
    merged = store.merge(known, {"models": {"b": {"x": 3}}, "calls": {"new": 2}})
    assert merged == {"models": {"a": {"x": 1}, "b": {"x": 3}}, "calls": {"new": 2}, "machine": 1}
    assert list(merged["models"]) == ["a", "b"]
    assert known["models"]["b"] == {"x": 1, "y": 2}


def test_a_run_adds_to_what_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert store.read(path) == {"models": {}}
    store.add(path, {"models": {"one": {"x": 1}}})
    store.add(path, {"models": {"two": {"x": float("inf")}}})
    assert store.read(path)["models"] == {"one": {"x": 1}, "two": {"x": float("inf")}}


def test_times_of_wrong_peers_are_crossed_out() -> None:
    rows = tables.models(figures(), "f32").splitlines()
    assert "| 1000.00 / 600.00 | ~~500.00 / 300.00~~ | - | - | **0.80 / 0.67** LiteRT |" in rows[2]
    assert len(rows) == 4


def test_what_else_was_running_is_told() -> None:
    assert "Something else was running" not in tables.summary(figures())
    disturbed = figures()
    disturbed["models"]["second_f32"]["others"] = 0.8
    assert "Something else was running while these were measured: second_f32." in tables.summary(disturbed)


def test_dispatches_are_sorted_by_their_share_of_the_limit() -> None:
    (row,) = [row for row in tables.rooflines(figures()).splitlines() if "second_f32" in row]
    assert row == "| second_f32 | 2 | 0.40 | 0.29 | 73% | 75% | 0% | 0% | 25% |"


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ("matmul 12544x96 i32, k 16, weights 3x4x32x4 i8", "matmul"),
        ("conv_2d 3x3/2 1x112x112x32 f32", "conv_2d 3x3/2"),
        ("depthwise 5x5 1x7x7x960x1 i32 + 6 element-wise", "depthwise 5x5"),
        ("12 elementwise 1x128", "elementwise"),
    ],
)
def test_kinds_of_dispatches_have_no_sizes(description: str, kind: str) -> None:
    assert tables.kind_of(description) == kind


def test_the_page_is_filled_between_its_marks_and_again() -> None:
    page = PAGE.read_text(encoding="utf-8")
    once = fill(page, figures())
    assert "first_int8 in int8, 2 threads, of the best peer: 2.000" in once
    assert "| Tosaic | 3.0 | 4.0 |" in once
    assert "Of the best peer's: 1.20, wanted 1.1." in once
    assert "- odd: ?" in once
    assert fill(once, figures()) == once
    assert fill(once, {**figures(), "calls": {}}) != once


def test_the_picture_shows_every_model(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for path in paths:
        draw(figures(), path)
    drawn = paths[0].read_text()
    assert drawn == paths[1].read_text()
    assert drawn.count("first_f32") == 2  # f32 and bf16; text is drawn as paths beside a comment that has it
