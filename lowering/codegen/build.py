"""Kernels and segments to the machine code of an artifact."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...runtime.artifact import Image, Segment
from ..target import Target
from .assemble import assemble_all
from .entry import emit_entries
from .image import link
from .kernel import Kernel

_MODULE = 64 * 1024
"""Characters of IR that make a module: enough that LLVM's cost for each does not count, few enough to share out."""


def build_image(segments: Sequence[Segment], kernels: Mapping[str, Kernel], target: Target) -> Image:
    """The image that runs `segments`, whose steps name `kernels`.

    Which kernels are a module depends on them alone: the same program gives the same code, however many processors
    the machine that compiles it has.
    """
    entry, entries = emit_entries(segments, kernels, target)
    modules = [*_modules(kernel.text for kernel in kernels.values()), entry]
    linked = link(assemble_all(modules, target))
    offsets = {name: linked.symbols[symbol] for name, symbol in entries.items()}
    return Image(target.name, target.features, linked.code, offsets, tuple(segments))


def _modules(texts: Iterable[str]) -> Iterator[str]:
    """One text after the other, joined until they are a module."""
    module = ""
    for text in texts:
        module = f"{module}\n{text}"
        if len(module) >= _MODULE:
            yield module
            module = ""
    if module:
        yield module
