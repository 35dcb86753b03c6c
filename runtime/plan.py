"""The plan of a program as a graph: which dispatch runs on which device, what flows between, what was predicted.

It is read off the program itself, so that it is told of every artifact: dispatches from the steps of its segments, and
what they hand each other from the buffers they share and from the host program around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .api import Function, Program
from .artifact import BufferReference, Segment, Step
from .host_program.instructions import NONE, Execute, For, HostProgram, If, Instruction, Transfer, While
from .measure import Profile
from .rates import Rates

HOST = "host"
"""What is said to be the device of inputs and outputs."""

_CONTRACTIONS = ("matmul", "batch_matmul", "conv_2d", "mmt4d", "batch_mmt4d")
_WINDOWS = ("depthwise", "max_pool", "sum_pool")


@dataclass(frozen=True)
class Node:
    """A dispatch, or an input or output, which has no step.

    predicted, measured: seconds; None where the rates of the device are not known, sizes are not, or nothing was run.
    """

    device: str
    text: str
    step: Step | None = None
    predicted: float | None = None
    measured: float | None = None


@dataclass(frozen=True)
class Edge:
    """A value that node `source` makes and `target` reads, by their numbers. size: bytes, -1 if unknown.

    transfer: whether it is brought from one device to another.
    """

    source: int
    target: int
    size: int
    transfer: bool


@dataclass
class Plan:
    """A signature as a graph. The first nodes are its dispatches, in the order of the program's steps."""

    signature: str
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        """Those of the dispatches, in the order in which they come up."""
        return list(dict.fromkeys(node.device for node in self.nodes if node.step is not None))

    def transfers_to(self, target: int) -> list[Edge]:
        return [edge for edge in self.edges if edge.target == target and edge.transfer]


def make_plan(
    program: Program, function: Function, rates: Mapping[str, Rates] | None = None, profile: Profile | None = None
) -> Plan:
    """The graph of `function`.

    rates: of devices, by name, for predictions. profile: what was measured of the function.
    """
    segments = function.executor.segments
    steps = [(device, step) for device, segment in segments for step in segment.steps]
    measured = [row.duration() for row in profile.steps] if profile is not None else [None] * len(steps)
    plan = Plan(function.signature.name)
    for (device, step), seconds in zip(steps, measured, strict=True):
        plan.nodes.append(Node(device, step.description, step, _predicted(step, (rates or {}).get(device)), seconds))
    signatures = [signature.name for signature in program.artifact.signatures]
    host = program.variant.programs[signatures.index(function.signature.name)]
    _Reader(plan, host, [segment for _, segment in segments]).read(function)
    return plan


def _predicted(step: Step, rates: Rates | None) -> float | None:
    if rates is None or not step.bytes:
        return None
    kind = step.description.split(" ")[0]
    classes = (kind in _CONTRACTIONS, kind in _WINDOWS)
    products, windows, other = (step.flops * of_class for of_class in (*classes, not any(classes)))
    return rates.seconds(products, windows, other, step.bytes, step.dtype)


Makers = dict[int, int]
"""The nodes that make a value, each with the bytes that come from it."""


class _Reader:
    """Follows values through a host program; `makers` tells who makes what is in each register."""

    def __init__(self, plan: Plan, program: HostProgram, segments: Sequence[Segment]) -> None:
        self.plan = plan
        self.program = program
        executes = [op for block in program.blocks for op in block.instructions if isinstance(op, Execute)]
        self.first: dict[int, int] = {}
        self.segments: dict[int, Segment] = {}
        count = 0
        for execute, segment in zip(executes, segments, strict=True):
            self.first[id(execute)], self.segments[id(execute)] = count, segment
            count += len(segment.steps)
        self.makers: dict[int, Makers] = {}

    def read(self, function: Function) -> None:
        plan = self.plan
        main = self.program.blocks[0]
        for register, tensor in zip(main.arguments, function.inputs, strict=True):
            plan.nodes.append(Node(HOST, f"input {tensor}"))
            self.makers[register] = {len(plan.nodes) - 1: -1 if tensor.type.dynamic_dims else tensor.nbytes}
        yielded = self._block(0)
        for makers, tensor in zip(yielded, function.outputs, strict=True):
            plan.nodes.append(Node(HOST, f"output {tensor}"))
            self._connect(makers, len(plan.nodes) - 1)
        plan.edges = list(dict.fromkeys(plan.edges))

    def _block(self, number: int) -> list[Makers]:
        """Follow a block; who makes what it yields."""
        block = self.program.blocks[number]
        for instruction in block.instructions:
            self._instruction(instruction)
        return [self.makers.get(register, {}) for register in block.yields]

    def _enter(self, number: int, arguments: Iterable[Makers]) -> list[Makers]:
        self.makers.update(zip(self.program.blocks[number].arguments, arguments, strict=False))
        return self._block(number)

    def _instruction(self, instruction: Instruction) -> None:
        match instruction:
            case Execute():
                self._execute(instruction)
            case Transfer():
                self.makers[instruction.result] = self.makers.get(instruction.tensor, {})
            case For(inits=inits, block=block, results=results):
                yielded = self._enter(block, [{}, *map(self._of, inits)])
                self._join(results, yielded, map(self._of, inits))
            case If(then=then, otherwise=otherwise, results=results):
                self._join(results, self._block(then), self._block(otherwise))
            case While(inits=inits, before=before, after=after, results=results):
                _, *passed = self._enter(before, map(self._of, inits))
                self._enter(after, passed)
                self._join(results, passed)
            case _:
                read = [*getattr(instruction, "tensors", ()), getattr(instruction, "tensor", None)]
                makers = [self._of(register) for register in read if register is not None]
                if makers:
                    self.makers[getattr(instruction, "result", NONE)] = _together(makers)

    def _of(self, register: int) -> Makers:
        return self.makers.get(register, {})

    def _join(self, results: Sequence[int], *values: Iterable[Makers]) -> None:
        for result, makers in zip(results, zip(*values, strict=True), strict=True):
            self.makers[result] = _together(makers)

    def _execute(self, execute: Execute) -> None:
        first, segment = self.first[id(execute)], self.segments[id(execute)]
        written: list[tuple[BufferReference, int]] = []
        for number, step in enumerate(segment.steps, start=first):
            inputs, outputs = _split(step, written)
            for buffer in inputs:
                if buffer.space == "input":
                    self._connect(self._of(execute.inputs[buffer.index]), number)
                else:
                    self._connect(dict.fromkeys(_latest(buffer, written), buffer.size), number)
            written += [(buffer, number) for buffer in outputs]
        for index, result in enumerate(execute.results):
            self.makers[result] = {
                number: buffer.size for buffer, number in written if buffer.space == "output" and buffer.index == index
            }

    def _connect(self, makers: Makers, target: int) -> None:
        for source, size in makers.items():
            here, there = self.plan.nodes[source].device, self.plan.nodes[target].device
            self.plan.edges.append(Edge(source, target, size, HOST not in (here, there) and here != there))


def _together(makers: Iterable[Makers]) -> Makers:
    return {node: size for each in makers for node, size in each.items()}


def _split(
    step: Step, written: Sequence[tuple[BufferReference, int]]
) -> tuple[Sequence[BufferReference], Sequence[BufferReference]]:
    """(what a step reads, what it writes). The results come last: one, and those before it that nothing wrote yet."""
    first = len(step.buffers) - 1
    while first > 0:
        buffer = step.buffers[first - 1]
        if buffer.space not in ("arena", "output") or _latest(buffer, written):
            break
        first -= 1
    return step.buffers[:first], step.buffers[first:]


def _latest(buffer: BufferReference, written: Sequence[tuple[BufferReference, int]]) -> list[int]:
    """The steps that wrote what `buffer` holds, which may be parts."""
    found: list[int] = []
    for other, number in reversed(written):
        if (other.space, other.index, other.slot) != (buffer.space, buffer.index, buffer.slot):
            continue
        if buffer.size < 0 or other.size < 0:
            if other.offset == buffer.offset:
                return [number]
        elif other.offset < buffer.offset + buffer.size and buffer.offset < other.offset + other.size:
            found.append(number)
            if other.offset <= buffer.offset and buffer.offset + buffer.size <= other.offset + other.size:
                break
    return found
