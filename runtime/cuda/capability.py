"""Compute capabilities: which code a GPU runs, and which is best for it.

PTX for a capability runs on GPUs of that and of every later one; with an "a" behind it on those of exactly that one.
"""

from __future__ import annotations

import re

OLDEST = (7, 5)
"""Turing: the first with the tensor cores that kernels are written for."""

CAPABILITIES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100")
"""What can be compiled for, as LLVM spells them."""

DEFAULT = "sm_80"
"""What is compiled for where there is no GPU."""


def parse_capability(name: str) -> tuple[int, int, bool]:
    """Major, minor and whether it is of one architecture only, of a name such as "sm_90a"; zeros for no such name."""
    match = re.fullmatch(r"sm_(\d+)(\d)(a?)", name)
    return (int(match[1]), int(match[2]), bool(match[3])) if match else (0, 0, False)


def best_for(capability: tuple[int, int]) -> str:
    """Of CAPABILITIES the one that makes the most of a GPU; the oldest for one that is older."""
    fitting = [name for name in CAPABILITIES if why_not(name, capability) is None]
    return max(fitting, key=parse_capability, default=CAPABILITIES[0])


def gpu_here(number: int) -> str | None:
    """What to compile for to run on a GPU of this machine; None where there is none."""
    from .nvidia import capability_here

    capability = capability_here(number)
    return None if capability is None else best_for(capability)


def why_not(name: str, capability: tuple[int, int]) -> str | None:
    """Why a GPU of `capability` cannot run code for `name`; None if it can."""
    major, minor, exact = parse_capability(name)
    here = f"sm_{capability[0]}{capability[1]}"
    if exact and (major, minor) != capability:
        return f"code for {name} runs on compute capability {major}.{minor} only, and this GPU is {here}"
    if (major, minor) > capability:
        return f"code for {name} needs compute capability {major}.{minor} or later, and this GPU is {here}"
    return None
