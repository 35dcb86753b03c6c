"""Fuzzers of everything a user can hand over, besides .tflite files (`tests/importers/fuzz.py`)."""
