"""Fuzzers of everything a user can hand over: `models` mutates .tflite files, `formats` all the rest."""
