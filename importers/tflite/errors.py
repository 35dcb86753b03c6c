"""How a damaged model is reported: by the field that is wrong and the byte where that field is stored."""

from __future__ import annotations

from ...runtime.errors import MalformedFileError


class FieldError(MalformedFileError):
    """A field that is wrong: `path` as in `subgraphs[0].operators[12].inputs[1]`, and the byte where it is stored."""

    def __init__(self, path: str, problem: str, position: int | None = None) -> None:
        at = "" if position is None else f" (byte {position})"
        super().__init__(f"{path}{at}: {problem}" if path else f"{problem}{at}")
        self.path = path
        self.problem = problem
        self.position = position
