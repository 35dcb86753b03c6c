"""Figures in a JSON file that grows part by part: a run that was cut off, or of a few models, adds to it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTS = ("models", "calls", "batches", "machine")
"""What the file has: "models" by name, of the others one record each."""


def merge(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """`known` with what is new: models are replaced or added one by one, other parts as a whole; names in order."""
    merged = {**known, **new}
    models = {**known.get("models", {}), **new.get("models", {})}
    return {**merged, "models": dict(sorted(models.items()))}


def read(path: Path) -> dict[str, Any]:
    """What was measured so far."""
    return json.loads(path.read_text()) if path.exists() else {"models": {}}


def add(path: Path, new: Mapping[str, Any]) -> dict[str, Any]:
    """Merge into the file, which is replaced as a whole, and return what it holds now."""
    merged = merge(read(path), new)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(merged, indent=1) + "\n")
    os.replace(draft, path)
    return merged
