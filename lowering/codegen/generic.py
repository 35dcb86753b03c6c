"""`linalg.generic` over parallel loops only: element-wise operations, broadcasts, transposes, gathers."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import math
from xdsl.dialects.builtin import IndexType
from xdsl.dialects.linalg.ops import GenericOp, IndexOp
from xdsl.ir import Block

from ..target import Target
from .access import Access
from .body import Scope, emit_body
from .extent import magnitude
from .kernel import KernelContext
from .lanes import Lanes
from .nest import loop_sizes, simplify
from .parallel import emit_parallel
from .types import BF16, F16, Value, bits_of, register_type

_FUNCTION_CYCLES = 20
"""What an elementary function costs relative to an addition, roughly."""

_CHEAP = (
    *(math.AbsFOp, math.AbsIOp, math.CopySignOp, math.FmaOp, math.SqrtOp, math.RsqrtOp, math.CtPopOp),
    *(math.CeilOp, math.FloorOp, math.TruncOp, math.RoundOp, math.RoundEvenOp, math.CountLeadingZerosOp),
)
"""Those of the math dialect that are an instruction or two."""


def emit_generic(context: KernelContext, generic: GenericOp) -> int:
    """Emits a generic whose loops are all parallel and write each element once. It needs no scratch memory."""
    maps = [attribute.data for attribute in generic.indexing_maps.data]
    count, block = len(generic.inputs), generic.body.block
    operands = zip([*generic.inputs, *generic.outputs], maps, block.args, strict=True)
    # The initial contents of the results are seldom read.
    inputs = [Access.of(context.tensor(value), map) for value, map, argument in operands if argument.uses]
    outputs = context.results_of(generic)
    accesses = [Access.of(out, map) for outs, map in zip(outputs, maps[count:], strict=True) for out in outs]
    sizes = loop_sizes(context, generic)
    order = sorted(range(len(sizes)), key=lambda loop: magnitude(accesses[0].strides[loop]), reverse=True)
    nest = simplify(sizes, [*inputs, *accesses], keep=indexed_loops(block), order=order)
    tensors = context.extracted_tensors(generic)

    def compute(lanes: Lanes, values: list[Value]) -> Sequence[Value]:
        loop = None if lanes.loop is None else nest.original_loop(lanes.loop)
        indices = nest.original_indices(lanes.indices)
        scope = Scope(context.f, context.target, lanes.count, indices, loop, tensors, lanes.mask, context.scalars)
        loaded = iter(values)
        arguments = [next(loaded) if argument.uses else context.f.undefined("i1") for argument in block.args]
        results = emit_body(scope, block, arguments)
        return [result for result, outs in zip(results, outputs, strict=True) for _ in outs]

    lanes = vector_lanes(block, context.target)
    emit_parallel(context, nest, len(inputs), compute, lanes=lanes, cycles_per_vector=body_cycles(block))
    return 0


def indexed_loops(block: Block) -> set[int]:
    """The loops whose index the body asks for."""
    return {op.dim.value.data for op in block.ops if isinstance(op, IndexOp)}


def vector_lanes(block: Block, target: Target) -> int:
    """How many iterations fill a vector register with the widest elements the body computes with."""
    values = [*block.args, *(result for op in block.ops for result in op.results)]
    types = [register_type(value.type) for value in values if not isinstance(value.type, IndexType)]
    # f16 and bf16 are computed in f32.
    widest = max((32 if type in (F16, BF16) else bits_of(type) for type in types), default=32)
    return target.vector_bits // max(widest, 8)


def body_cycles(block: Block) -> float:
    """A rough count of cycles for one vector, to tell work worth sharing."""
    functions = sum(op.dialect_name() == "math" and not isinstance(op, _CHEAP) for op in block.ops)
    return functions * (_FUNCTION_CYCLES - 1) + len(block.ops) + len(block.args)
