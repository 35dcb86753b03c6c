"""What the generics of an attention make of values in registers: the same on a CPU and on a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.linalg.ops import GenericOp

from ..attention import Stages
from .access import Access
from .body import Scope, emit_body
from .kernel import KernelContext
from .types import Value, lanes_of


class StageBodies:
    """Of one attention. Values are of `lanes` neighbouring columns; of one, they are scalars.

    `indices` are the batches, a row and a column.
    """

    def __init__(self, context: KernelContext, stages: Stages) -> None:
        self._context, self._f, self._stages = context, context.f, stages

    def changed(self, score: Value, indices: Sequence[Value]) -> Value:
        """What the chain makes of scores; themselves if there is none."""
        generic = self._stages.chain
        if generic is None:
            return score
        arguments = []
        for operand, map in zip(generic.inputs, generic.indexing_maps.data, strict=False):
            if operand is self._stages.scores.res[0]:
                arguments.append(score)
            else:
                access = Access.of(self._context.tensor(operand), map.data)
                arguments.append(access.load(self._f, indices, len(indices) - 1, lanes_of(score.type)))
        return self._evaluated(generic, arguments, indices, lanes_of(score.type))

    def weight(self, score: Value, greatest: Value) -> Value:
        """exp(score - greatest) as the body of `weights` says, narrow if it yields that; `greatest` is a scalar."""
        generic = self._stages.weights
        arguments = [greatest if operand is self._stages.greatest.res[0] else score for operand in generic.inputs]
        return self._evaluated(generic, arguments, [], lanes_of(score.type))

    def store(self, mixed: Value, total: Value, indices: Sequence[Value]) -> None:
        """Writes what becomes of elements of the second product and the total (a scalar) of their row."""
        generic, lanes = self._stages.result, lanes_of(mixed.type)
        arguments = [mixed if operand is self._stages.mixed.res[0] else total for operand in generic.inputs]
        result = self._evaluated(generic, arguments, indices, lanes)
        maps = [attribute.data for attribute in generic.indexing_maps.data]
        for output in self._context.results_of(generic)[0]:
            Access.of(output, maps[-1]).store(self._f, result, indices, len(indices) - 1, lanes)

    def _evaluated(self, generic: GenericOp, arguments: Sequence[Value], indices: Sequence[Value], lanes: int) -> Value:
        f, context, block = self._f, self._context, generic.body.block
        tensors = context.extracted_tensors(generic)
        lane_dim = len(indices) - 1 if indices else None
        scope = Scope(f, context.target, lanes, indices, lane_dim, tensors, None, context.scalars)
        unread = [f.undefined("i1")] * len(generic.outputs)
        (result,) = emit_body(scope, block, [*arguments, *unread])
        return f.splat(result, lanes) if lanes > 1 and not result.type.startswith("<") else result
