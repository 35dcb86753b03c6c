"""Several processes assemble what one would, whatever becomes of them."""

from __future__ import annotations

import os
import sys

import pytest
from tosaic.lowering.codegen import assemble as module
from tosaic.lowering.codegen.assemble import assemble, assemble_all
from tosaic.lowering.codegen.emit import Function
from tosaic.lowering.target import resolve_target

TARGET = resolve_target("x86-64-v3")


def _texts(count: int) -> list[str]:
    texts = []
    for number in range(count):
        f = Function(f"fill{number}", [("ptr", "out")], linkage="hidden")
        for lane in range(number + 1):
            f.store(f.const("<8 x float>", number + lane), f.gep(f.arguments[0], 32 * lane))
        texts.append(f.text())
    return texts


@pytest.fixture(autouse=True)
def three_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processors there are, and for the shortest texts."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(module, "_WORTH_A_PROCESS", 1)


def test_every_text_has_its_own_object() -> None:
    texts = _texts(12)
    assert assemble_all(texts, TARGET) == [assemble(text, TARGET) for text in texts]


def test_another_process_gives_the_same_objects() -> None:
    texts = _texts(3)
    objects: list[bytes | None] = [None] * 3
    module._delegate(texts, [0, 1, 2], objects, TARGET)
    assert objects == [assemble(text, TARGET) for text in texts]


@pytest.mark.parametrize("executable", ["/nowhere/python", "/bin/false"])
def test_processes_that_fail_cost_nothing_but_time(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    texts = _texts(4)
    alone = [assemble(text, TARGET) for text in texts]
    monkeypatch.setattr(sys, "executable", executable)
    assert assemble_all(texts, TARGET) == alone


def test_a_wrong_text_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="expected top-level entity"):
        assemble_all([*_texts(4), "nonsense"], TARGET)
