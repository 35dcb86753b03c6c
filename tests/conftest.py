"""Where tests find data that the repository does not carry.

`TOSAIC_SHARED` (default `../shared` beside the repository) holds real trained models and third-party suites;
`TOSAIC_ZOO` holds the generated model zoo. A test that needs either skips with a reason where it is absent: a user's
clone has neither.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TOSAIC_SHARED", ROOT.parent / "shared"))

# A phase that leaves invalid IR is found even where a later one mends it.
os.environ["TOSAIC_VERIFY_EACH"] = "1"

# A shell without job control starts background processes with Ctrl-C ignored, and Python and its children keep that:
# tests of interruption need it as a user has it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real trained models."""
    folder = SHARED / "models"
    if not folder.is_dir():
        pytest.skip(f"no real models at {folder}: set TOSAIC_SHARED")
    return folder


@pytest.fixture(scope="session")
def zoo_model() -> Callable[[str], Path]:
    """A function from a zoo model's name, such as "mobilenet_v2_int8", to its .tflite file."""

    def find(name: str) -> Path:
        zoo = os.environ.get("TOSAIC_ZOO")
        if zoo is None:
            pytest.skip("the generated model zoo is not there: set TOSAIC_ZOO (see CONTRIBUTING.md)")
        path = Path(zoo) / f"{name}.tflite"
        if not path.exists():
            pytest.skip(f"{path} is not in the zoo")
        return path

    return find
