"""The generated parts of the documentation are current."""

from __future__ import annotations

from docs.generate import pages


def test_generated_pages_are_current() -> None:
    for path, content in pages().items():
        assert path.read_text(encoding="utf-8") == content, f"{path.name} is out of date: run python -m docs.generate"
