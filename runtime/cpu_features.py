"""What this machine's CPU can do, as LLVM names it, from /proc/cpuinfo alone: artifacts run without llvmlite."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_FIRST_PROCESSOR = 16384
"""Bytes of /proc/cpuinfo that are read; one processor's entry is about 2 KB, and all are alike."""

_LLVM_NAMES = {
    "x86_64": {
        "abm": "lzcnt",
        "avx_vnni": "avxvnni",
        "avx512_bf16": "avx512bf16",
        "avx512_bitalg": "avx512bitalg",
        "avx512_fp16": "avx512fp16",
        "avx512_vbmi2": "avx512vbmi2",
        "avx512_vnni": "avx512vnni",
        "avx512_vpopcntdq": "avx512vpopcntdq",
        "amx_bf16": "amx-bf16",
        "amx_int8": "amx-int8",
        "amx_tile": "amx-tile",
        "bmi1": "bmi",
        "lahf_lm": "sahf",
        "pclmulqdq": "pclmul",
        "pni": "sse3",
        "rdrand": "rdrnd",
        "sha_ni": "sha",
        "sse4_1": "sse4.1",
        "sse4_2": "sse4.2",
    },
    "aarch64": {
        "asimd": "neon",
        "asimddp": "dotprod",
        "asimdhp": "fullfp16",
        "atomics": "lse",
    },
}
"""Kernel names that differ from LLVM's, per machine; the others are the same."""

_FIELDS = {"x86_64": "flags", "aarch64": "Features", "riscv64": "isa"}

_RISCV_GENERAL = "imafd"
"""What "g" stands for."""


@functools.cache
def host_features() -> frozenset[str]:
    """The features of this CPU that the kernel enables, and the machine's name ("x86_64") as one more."""
    return features_in(_cpuinfo(), platform.machine())


def features_in(entry: Mapping[str, str], machine: str) -> frozenset[str]:
    """What an entry of /proc/cpuinfo of a `machine` says."""
    names = _LLVM_NAMES.get(machine, {})
    field = entry.get(_FIELDS.get(machine, ""), "")
    flags = _riscv_extensions(field) if machine == "riscv64" else field.split()
    return frozenset({machine, *(names.get(flag, flag) for flag in flags)})


def _riscv_extensions(isa: str) -> Iterator[str]:
    """Those of a string such as "rv64imafdcv_zicsr_zba": letters after the width, then names."""
    letters, *names = isa.lower().split("_")
    for letter in letters.removeprefix("rv64"):
        yield from _RISCV_GENERAL if letter == "g" else letter
    yield from names


@functools.cache
def host_name() -> str:
    """The CPU's model name, such as "AMD EPYC", or the machine's where the kernel does not tell."""
    return _cpuinfo().get("model name", platform.machine())


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo."""
    try:
        with _CPUINFO.open("rb") as stream:
            text = stream.read(_FIRST_PROCESSOR).decode(errors="replace")
    except OSError:
        return {}
    rows = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in rows}
