"""Does something in a child process with bounded time and memory, so that whatever it breaks is told and survived."""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from types import FrameType

import numpy as np
import tosaic.lowering
from tosaic.lowering.pipeline import PhaseError
from tosaic.runtime import Artifact, load
from tosaic.runtime.artifact import TensorInfo
from tosaic.runtime.errors import TosaicError
from xdsl.dialects.builtin import ModuleOp

TIME_LIMIT_S = 60
MEMORY_LIMIT_BYTES = 8 << 30
RUN_BYTES = 64 << 20
"""Programs whose inputs and outputs need more are loaded, but not run."""

_FAILED = 100
_OUTCOMES = ("done", "MalformedFileError", "UnsupportedError", "ArgumentError", "DeviceError", "DeviceLostError")


class Failure(Exception):
    """The child crashed, took too long, or raised something that is no error of the user; the text tells what."""


def outcome(action: Callable[[], object]) -> str:
    """ "done" or the name of the TosaicError that `action` raised, in a fork of this process. Raises Failure."""
    with tempfile.TemporaryFile() as report:
        child = os.fork()
        if child == 0:
            _be_child(action, report.fileno())
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if 0 <= code < len(_OUTCOMES):
            return _OUTCOMES[code]
        report.seek(0)
        text = report.read().decode(errors="replace")
    raise Failure(f"{f'killed by {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'}\n{text}")


def _be_child(action: Callable[[], object], report: int) -> None:
    """Never returns: the parent's clean-up is not the child's to do."""
    code = _FAILED
    try:
        os.dup2(report, sys.stderr.fileno())
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGALRM, _show_and_die)
        signal.alarm(TIME_LIMIT_S)
        action()
        code = 0
    except PhaseError as error:
        traceback.print_exception(error.__cause__ or error)
    except TosaicError as error:
        code = _OUTCOMES.index(type(error).__name__)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _show_and_die(number: int, frame: FrameType | None) -> None:
    traceback.print_stack(frame)
    sys.stderr.flush()
    os._exit(_FAILED)


def compile_and_run(module: ModuleOp) -> None:
    """Compile for this machine, and run every signature. Raises what these raise."""
    run(tosaic.lowering.compile(module, devices=["cpu:2"]))


def run(artifact: Artifact) -> None:
    """Load and run every signature on numbers that are as wild as those of a user may be."""
    chance = np.random.default_rng(0)
    with load(artifact) as program:
        for function in program.signatures.values():
            if sum(tensor.nbytes for tensor in (*function.inputs, *function.outputs)) > RUN_BYTES:
                continue
            size = int(chance.integers(0, 5))
            function.run([_wild_array(tensor, size, chance) for tensor in function.inputs])


def _wild_array(tensor: TensorInfo, size: int, chance: np.random.Generator) -> np.ndarray:
    """Any bits; `size` mostly where the program leaves it open."""
    open_sizes = (size, size, size, size + 1)
    shape = [int(chance.choice(open_sizes)) if known is None else known for known in tensor.shape]
    dtype = np.dtype(np.uint8) if tensor.dtype == "bool" else tensor.numpy_dtype
    data = chance.bytes(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape).astype(tensor.numpy_dtype)
