"""The compiler, from TOSA to the plan that code generation works from, as one list of phases.

Each phase is a file (or folder) of the same name, has a golden test of the same name, and is verified after. Code
generation follows in `compile`, as its product is not IR.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xdsl.dialects.builtin import DYNAMIC_INDEX, FunctionType, ModuleOp, TensorType
from xdsl.utils.exceptions import VerifyException

from ..runtime.device import DeviceSpec
from ..runtime.errors import ArgumentError, TosaicError
from ..runtime.rates import Rates
from ..tosa import dialect as tosa
from . import tosa_to_linalg
from .assign_devices import assign_devices, split_dispatches
from .const_eval import const_eval
from .dump import dump
from .form_dispatches import form_dispatches
from .form_segments import form_segments
from .fuse_rows import fuse_rows
from .fuse_strips import fuse_strips
from .hoist_encodings import hoist_encodings
from .ir import functions, input_name
from .materialize_encodings import materialize_encodings
from .normalize_linalg import normalize_linalg
from .plan_memory import plan_memory
from .plan_memory.constants import ConstantPool
from .program_checks import check_program
from .reduce_precision import reduce_precision
from .set_encodings import set_encodings
from .specialize_encodings import specialize_encodings
from .target import Target
from .verification import Verifier

DUMP_VARIABLE = "TOSAIC_DUMP_IR"
"""The environment variable that names a folder for the IR after every phase, whoever runs the compiler."""


@dataclass(frozen=True)
class Options:
    """What phases may depend on besides the module.

    `targets` has the target of the code of each device, by name; `constants` receives what the artifact will hold;
    `precision` names faster arithmetic for contractions (see `reduce_precision`); `rates` of devices, by name, and
    `place`, the user's pins, decide where dispatches run (see `assign_devices`).
    """

    devices: tuple[DeviceSpec, ...]
    targets: Mapping[str, Target]
    constants: ConstantPool = field(default_factory=ConstantPool)
    precision: str | None = None
    rates: Mapping[str, Rates] = field(default_factory=dict)
    place: str | None = None


@dataclass(frozen=True)
class Phase:
    """A rewrite of the whole module, in place."""

    name: str
    run: Callable[[ModuleOp, Options], None]


PHASES = (
    Phase("tosa-to-linalg", lambda module, _: tosa_to_linalg.run(module)),
    Phase("normalize-linalg", lambda module, _: normalize_linalg(module)),
    Phase("form-dispatches", lambda module, _: form_dispatches(module)),
    Phase("reduce-precision", lambda module, options: reduce_precision(module, options.precision, options.targets)),
    Phase(
        "split-dispatches",
        lambda module, options: split_dispatches(
            module, options.devices, options.targets, options.rates, options.place
        ),
    ),
    Phase("set-encodings", lambda module, _: set_encodings(module)),
    Phase("hoist-encodings", lambda module, _: hoist_encodings(module)),
    Phase(
        "assign-devices",
        lambda module, options: assign_devices(module, options.devices, options.targets, options.rates, options.place),
    ),
    Phase("specialize-encodings", lambda module, options: specialize_encodings(module, options.targets)),
    Phase("materialize-encodings", lambda module, options: materialize_encodings(module, options.targets)),
    Phase("const-eval", lambda module, _: const_eval(module)),
    Phase("fuse-strips", lambda module, options: fuse_strips(module, options.targets)),
    Phase("fuse-rows", lambda module, options: fuse_rows(module, options.targets)),
    Phase("form-segments", lambda module, options: form_segments(module, options.devices[0].name)),
    Phase("plan-memory", lambda module, options: plan_memory(module, options.constants, options.targets)),
)

WINDOWED = (
    tosa.AvgPool2DOp,
    tosa.Conv2DOp,
    tosa.Conv3DOp,
    tosa.DepthwiseConv2DOp,
    tosa.MaxPool2DOp,
    tosa.TransposeConv2DOp,
)
"""Operators of models that slide a window over an image."""

Report = Callable[[str, float], None]
"""Called with the name of each phase and the seconds it took, verification included."""

Observe = Callable[[str, ModuleOp], None]
"""Called with the name of each phase and the module as the phase left it."""


class PhaseError(TosaicError):
    """A phase went wrong in a way that is no fault of the program: a bug, in one line with what helps to find it."""

    def __init__(self, phase: str, error: Exception, folder: str | Path | None) -> None:
        what = "left invalid IR" if isinstance(error, VerifyException) else "failed"
        hint = f"the IR is in {folder}" if folder else f"set {DUMP_VARIABLE} to a folder to see the IR"
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        super().__init__(f"phase {phase} {what}: {reason} ({hint})")


def dump_folder(dump_dir: str | Path | None) -> str | Path | None:
    """Where the IR goes after each phase: what was asked for, else what the environment says."""
    return dump_dir or os.environ.get(DUMP_VARIABLE)


def run(
    module: ModuleOp,
    options: Options,
    *,
    stop_after: str | None = None,
    dump_dir: str | Path | None = None,
    report: Report | None = None,
    observe: Observe | None = None,
    phases: Sequence[Phase] = PHASES,
    verify_each: bool = True,
) -> None:
    """Run the phases on `module`, in place, up to and including `stop_after`, and verify what each leaves.

    verify_each: without it only the last is verified, which takes a quarter less time; what a phase before has broken
    then shows later, where another phase fails or the last leaves it, and a second run with it tells which it was.

    The IR after each goes to `dump_dir` (or to the folder that TOSAIC_DUMP_IR names) as `NN-phase.mlir`, the elements
    of big constants left out. Raises TosaicError for what the program or the arguments cause, such as ArgumentError for
    a model of dynamic shapes or an unknown phase, and PhaseError for bugs.
    """
    names = [phase.name for phase in phases]
    if stop_after is not None and stop_after not in names:
        raise ArgumentError(f"unknown phase {stop_after!r}; the phases are: {', '.join(names)}")
    folder = dump_folder(dump_dir)
    check_program(module)
    require_static_shapes(module)
    verifier = Verifier()
    for number, phase in enumerate(phases, start=1):
        begin = time.perf_counter()
        try:
            phase.run(module, options)
            if verify_each or phase is phases[-1] or phase.name == stop_after:
                verifier.verify(module)
        except (TosaicError, MemoryError):
            raise
        except Exception as error:
            raise PhaseError(phase.name, error, folder) from error
        finally:
            if folder:
                dump(module, Path(folder), f"{number:02}-{phase.name}.mlir")
        if report is not None:
            report(phase.name, time.perf_counter() - begin)
        if observe is not None:
            observe(phase.name, module)
        if phase.name == stop_after:
            return


def require_static_shapes(module: ModuleOp) -> None:
    """Raise ArgumentError naming the inputs whose dimensions are not known of models with convolutions or poolings.

    These have fast kernels for known sizes only, and a model's sizes are easily fixed. Programs in linalg say what they
    want to leave open.
    """
    for function in functions(module):
        if not any(isinstance(op, WINDOWED) for op in function.body.block.ops):
            continue
        signature: FunctionType = function.function_type
        for position, type in enumerate(signature.inputs):
            if isinstance(type, TensorType) and DYNAMIC_INDEX in type.get_shape():
                shape = "x".join("?" if size == DYNAMIC_INDEX else str(size) for size in type.get_shape())
                name = input_name(function, position)
                raise ArgumentError(f"input {name!r} has dynamic shape {shape}: fix it with --shape {name}={shape}")
