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
from .kernel import KernelContext
from .nest import loop_sizes, simplify
from .parallel import Lanes, emit_parallel
from .types import BF16, F16, Value, bits_of, register_type

_FUNCTION_CYCLES = 20
"""What an elementary function costs relative to an addition, roughly."""

_FUNCTIONS = (math.ExpOp, math.LogOp, math.TanhOp, math.ErfOp, math.SinOp, math.CosOp, math.PowFOp)


def emit_generic(context: KernelContext, generic: GenericOp) -> int:
    """Emits a generic whose loops are all parallel. It needs no scratch memory."""
    maps = [attribute.data for attribute in generic.indexing_maps.data]
    inputs = [Access.of(context.tensor(value), map) for value, map in zip(generic.inputs, maps, strict=False)]
    outputs = context.results_of(generic)
    written = maps[len(inputs) :]
    accesses = [Access.of(out, map) for outs, map in zip(outputs, written, strict=True) for out in outs]
    block = generic.body.block
    sizes = loop_sizes(context, generic)
    order = sorted(range(len(sizes)), key=lambda loop: -accesses[0].strides[loop])
    nest = simplify(sizes, [*inputs, *accesses], keep=indexed_loops(block), order=order)
    tensors = context.extracted_tensors(generic)

    def compute(lanes: Lanes, values: list[Value]) -> Sequence[Value]:
        loop = None if lanes.loop is None else nest.original_loop(lanes.loop)
        indices = nest.original_indices(lanes.indices)
        scope = Scope(context.f, context.target, lanes.count, indices, loop, tensors, lanes.mask)
        # The initial contents of the results are never read.
        unused = [context.f.undefined("i1")] * len(outputs)
        results = emit_body(scope, block, [*values, *unused])
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
    return sum(_FUNCTION_CYCLES if isinstance(op, _FUNCTIONS) else 1 for op in block.ops) + len(block.args)
