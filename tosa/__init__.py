"""TOSA: the dialect, its text and FlatBuffer forms, its numpy meaning, and its simplification."""

from __future__ import annotations

from .canonicalize import canonicalize as canonicalize
from .interpreter import evaluate as evaluate
from .io import read as read
from .io import write as write
