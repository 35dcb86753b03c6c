"""One kernel for every distinct dispatch: regions that compute the same on other buffers share their code."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from xdsl.ir import Attribute, Block, SSAValue

from .codegen import Kernel, compile_region
from .cost import root_name
from .dialects.dispatch import RegionOp
from .target import Target


class Kernels:
    """The kernels of one target, by name."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.by_name: dict[str, Kernel] = {}
        self._names: dict[Hashable, str] = {}

    def name_of(self, region: RegionOp) -> str:
        """The name of the kernel of `region`, compiled if no region before had the same body."""
        key = structure(region.body.block)
        if key not in self._names:
            name = f"{root_name(region)}_{len(self._names)}"
            self.by_name[name] = compile_region(region, self.target, name)
            self._names[key] = name
        return self._names[key]

    def scratch_bytes(self, name: str) -> int:
        """Per thread, of the kernel of that name."""
        return self.by_name[name].scratch_bytes


def structure(block: Block) -> Hashable:
    """What a block computes, whatever its values are called: equal for two blocks exactly if they are alike."""
    return _structure(block, {})


def _structure(block: Block, numbers: dict[SSAValue, int]) -> Hashable:
    for argument in block.args:
        numbers[argument] = len(numbers)
    operations = []
    for op in block.ops:
        operands = tuple(numbers[value] for value in op.operands)
        bodies = tuple(_structure(inner, numbers) for region in op.regions for inner in region.blocks)
        types = tuple(result.type for result in op.results)
        operations.append((op.name, operands, _sorted(op.properties), _sorted(op.attributes), types, bodies))
        for result in op.results:
            numbers[result] = len(numbers)
    return (tuple(argument.type for argument in block.args), tuple(operations))


def _sorted(attributes: Mapping[str, Attribute]) -> Hashable:
    return tuple(sorted(attributes.items(), key=lambda item: item[0]))
