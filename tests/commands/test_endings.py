"""However a command is ended, and whatever its standard streams are: one line at most, and no file half-written."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEPLOY = [sys.executable, "-m", "tosaic.runtime"]
IMPORT = [sys.executable, "-m", "tosaic.importers"]
MODEL = Path(__file__).parents[2] / "models" / "digits" / "digits_f32.tflite"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", range(3))
def test_signals_end_compiling_silently(number: signal.Signals, moment: int, tmp_path: Path) -> None:
    """At random moments from the first imports on; before them the interpreter is on its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [*DEPLOY, MODEL, "-o", tmp_path / "out.module"], env=environment, stderr=subprocess.PIPE, text=True
    )
    time.sleep(0.15 + random.Random(f"{number}{moment}").random())
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode in (0, 128 + number) and error in ("", _times(error))
    assert not [path for path in tmp_path.rglob(".tosaic-*")]


def _times(error: str) -> str:
    """`error` if it is how long the phases took, which a command that was ready already tells."""
    return error if error.strip().endswith("in total") else ""


def test_a_closed_standard_stream_is_told() -> None:
    without_output = subprocess.run(f"{_shell(IMPORT)} {MODEL} >&-", shell=True, capture_output=True, text=True)
    assert without_output.returncode == 1 and without_output.stderr == "tosa-import: standard output is closed\n"
    without_input = subprocess.run(f"{_shell(DEPLOY)} <&-", shell=True, capture_output=True, text=True)
    assert without_input.returncode == 2
    assert without_input.stderr == "deploy: standard input is empty: the command before the pipe wrote nothing\n"


def test_a_pipe_may_be_given_as_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", f"{_shell(IMPORT)} {MODEL} > {tmp_path}/pipe"])
    result = subprocess.run(
        [*DEPLOY, tmp_path / "pipe", "--no-cache", "-o", tmp_path / "out.module"], capture_output=True, text=True
    )
    assert writer.wait() == 0
    assert (result.returncode, result.stderr) == (0, "") and (tmp_path / "out.module").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bogus"], "deploy: No such option: --bogus (deploy --help lists the options)"),
        (["--threads", "many"], "deploy: Invalid value for '--threads': "),
        (["--input"], "deploy: Option '--input' requires an argument. (deploy --help lists the options)"),
    ],
)
def test_usage_errors_are_one_line(arguments: list[str], message: str) -> None:
    result = subprocess.run([*DEPLOY, *arguments], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith(message) and result.stderr.count("\n") == 1


def _shell(command: list[str]) -> str:
    return " ".join(command)
