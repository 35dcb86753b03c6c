"""Generics that multiply and add become `linalg.matmul` or `linalg.batch_matmul`, whatever order their operands are in.

The loops of a contraction are of four kinds: batch (both inputs and the output have them), rows (left and output),
columns (right and output) and sums (both inputs). Loops of a kind that run side by side in every operand count as one,
through a collapsing reshape; a kind that is missing, as the rows of a vector, becomes a loop of extent one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IndexType, TensorType, i1
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.ir import OpResult, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap

from ...tosa.dialect.types import element_of
from ..dialects.encoding import with_sides_exchanged
from ..dialects.linalg import BatchMatmulOp, MatmulOp
from ..sizes import Size, product
from .accumulators import filled_with
from .editor import Editor
from .named_ops import settle_named

_KINDS = "bmnk"
_CASTS = (arith.ExtFOp, arith.ExtSIOp)


def lower_contraction(op: GenericOp, edit: Editor) -> bool:
    """Replace `op` if it is a contraction of two tensors; whether it was."""
    if not _multiplies_and_adds(op):
        return False
    sides = _sides(op)
    if sides is None:
        return False
    lhs, rhs, out = sides
    init = edit.fill(0, edit.empty([*out.sizes(edit)], element_of(out.value)))
    batched = "b" in out.order
    loops = "bmnk" if batched else "mnk"
    maps = [_map(loops, side.order) for side in (lhs, rhs, out)]
    matmul = (BatchMatmulOp if batched else MatmulOp)(lhs.matrix(edit), rhs.matrix(edit), init)
    matmul.indexing_maps = ArrayAttr(AffineMapAttr(map) for map in maps)
    settle_named(matmul)
    exchanged = lhs.value is not op.inputs[0]
    matmul.attributes |= with_sides_exchanged(op.attributes) if exchanged else op.attributes
    sums = out.restored(edit, edit.insert(matmul).result)
    if not filled_with(out.value, 0):
        output = edit.empty_like(out.value)
        sums = edit.elementwise([out.value, sums], output, lambda b, start, total, _out: b.add(start, total))
    edit.replace(sums)
    return True


def _multiplies_and_adds(op: GenericOp) -> bool:
    """Whether the body adds, to what the output holds, the product of both inputs cast to its type."""
    if len(op.inputs) != 2 or len(op.outputs) != 1:
        return False
    block = op.body.block
    lhs, rhs, out = block.args
    if out.type == i1 or isinstance(out.type, IndexType):
        return False
    last = block.last_op
    assert isinstance(last, YieldOp)
    total = _producer(last.operands[0], (arith.AddfOp, arith.AddiOp))
    if total is None or out not in total.operands:
        return False
    summand = total.operands[1] if total.operands[0] is out else total.operands[0]
    product = _producer(summand, (arith.MulfOp, arith.MuliOp))
    if product is None:
        return False
    factors = {_uncast(value) for value in product.operands}
    return factors == {lhs, rhs} and lhs.type != i1 and rhs.type != i1


def _producer(value: SSAValue, kinds: tuple[type, ...]) -> arith.AddfOp | None:
    op = value.op if isinstance(value, OpResult) else None
    return op if isinstance(op, kinds) else None  # pyright: ignore[reportReturnType]


def _uncast(value: SSAValue) -> SSAValue:
    op = value.op if isinstance(value, OpResult) else None
    return op.operands[0] if isinstance(op, _CASTS) else value


@dataclass(frozen=True)
class _Side:
    """An operand of the matmul: a tensor, and for each kind of loop, in the order of its dimensions, how many it has.

    `order` has a letter for each dimension of the matrix that it becomes; `groups` are the dimensions of the tensor
    that each stands for, none for a loop of extent one that it lacks.
    """

    value: SSAValue
    order: str
    groups: tuple[tuple[int, ...], ...]

    def matrix(self, edit: Editor) -> SSAValue:
        """The operand as the matmul reads it."""
        collapsed = edit.collapse(self.value, [list(group) for group in self.groups if group])
        if all(self.groups):
            return collapsed
        return edit.expand(collapsed, self._unit_groups(), list(self.sizes(edit)))

    def restored(self, edit: Editor, matrix: SSAValue) -> SSAValue:
        """What the matmul made, in the dimensions of the tensor."""
        if not all(self.groups):
            matrix = edit.collapse(matrix, self._unit_groups())
        groups = [list(group) for group in self.groups if group]
        return edit.expand(matrix, groups, edit.sizes.of(self.value))

    def sizes(self, edit: Editor) -> Sequence[Size]:
        """The extents of the matrix."""
        sizes = edit.sizes.of(self.value)
        return [product((sizes[dim] for dim in group), edit.anchor) for group in self.groups]

    def _unit_groups(self) -> list[list[int]]:
        """For each group of the tensor, the dimensions of the matrix: its own, and ones of extent one in front."""
        groups: list[list[int]] = []
        pending: list[int] = []
        for dim, group in enumerate(self.groups):
            pending.append(dim)
            if group:
                groups.append(pending)
                pending = []
        if groups:
            groups[-1] += pending
        return groups


def _sides(op: GenericOp) -> tuple[_Side, _Side, _Side] | None:
    """The operands in the order left, right, output; None if this is no contraction that a matmul can express."""
    if not all(isinstance(value.type, TensorType) for value in op.operands):
        return None
    positions = [_positions(attribute.data) for attribute in op.indexing_maps]
    first, second, out = positions
    if first is None or second is None or out is None:
        return None
    kinds: dict[int, str] = {}
    for loop, iterator in enumerate(op.iterator_types):
        where = (loop in first, loop in second, loop in out)
        kind = _KIND_BY_OPERANDS.get(where)
        if kind is None or (kind == "k") != (iterator.data is IteratorType.REDUCTION):
            return None
        kinds[loop] = kind
    if "k" not in kinds.values():
        return None
    letters = [[kinds[loop] for loop in dims] for dims in positions if dims is not None]
    if "n" in letters[2] and "m" in letters[2] and letters[2].index("n") < letters[2].index("m"):
        kinds = {loop: {"m": "n", "n": "m"}.get(kind, kind) for loop, kind in kinds.items()}
        first, second = second, first
        values = [op.inputs[1], op.inputs[0], op.outputs[0]]
    else:
        values = [*op.inputs, op.outputs[0]]
    sides: list[_Side] = []
    batched = "b" in kinds.values()
    for value, dims, needed in zip(values, (first, second, out), ("mk", "kn", "mn"), strict=True):
        side = _side(value, dims, kinds, ("b" if batched else "") + needed)
        if side is None:
            return None
        sides.append(side)
    runs = [_runs(dims, kinds) for dims in (first, second, out)]
    if any(len({run[kind] for run in runs if kind in run}) > 1 for kind in _KINDS):
        return None  # loops of one kind stand in different orders
    lhs, rhs, result = sides
    if result.order != ("b" if batched else "") + "mn":
        return None
    return lhs, rhs, result


_KIND_BY_OPERANDS = {
    (True, True, True): "b",
    (True, False, True): "m",
    (False, True, True): "n",
    (True, True, False): "k",
}


def _positions(map: AffineMap) -> list[int] | None:
    """The loop of each dimension; None if one is not a loop, or a loop is there twice."""
    loops = [expr.position for expr in map.results if isinstance(expr, AffineDimExpr)]
    return loops if len(loops) == len(map.results) == len(set(loops)) else None


def _runs(dims: Sequence[int], kinds: dict[int, str]) -> dict[str, tuple[int, ...]]:
    return {kind: tuple(dim for dim in dims if kinds[dim] == kind) for kind in {kinds[dim] for dim in dims}}


def _side(value: SSAValue, dims: Sequence[int], kinds: dict[int, str], needed: str) -> _Side | None:
    """An operand with its dimensions grouped by kind; None where those of a kind do not stand side by side."""
    order = ""
    groups: list[tuple[int, ...]] = []
    for dim, loop in enumerate(dims):
        kind = kinds[loop]
        if order and order[-1] == kind:
            groups[-1] = (*groups[-1], dim)
        elif kind in order:
            return None
        else:
            order += kind
            groups.append((dim,))
    for index, kind in enumerate(needed):
        if kind not in order:
            at = index if order == needed.replace(kind, "") else len(order)
            order = order[:at] + kind + order[at:]
            groups.insert(at, ())
    return _Side(value, order, tuple(groups))


def _map(loops: str, order: str) -> AffineMap:
    return AffineMap(len(loops), 0, tuple(AffineDimExpr(loops.index(kind)) for kind in order))
