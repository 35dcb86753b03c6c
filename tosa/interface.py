"""What tells the names and signs by which users know arguments and results: attributes that other tools ignore."""

from __future__ import annotations

IDENTIFIER = "ml_program.identifier"
"""The attribute (a StringAttr) that holds the name users know an argument or result by."""

UNSIGNED = "ml_program.unsigned"
"""Marks (a UnitAttr) signless integers that users know as unsigned ones: TOSA 1.0 has no types for these."""
