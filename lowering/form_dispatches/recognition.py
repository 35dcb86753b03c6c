"""Recognising attention among the operations of a host block: softmax(f(Q K^T)) V."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from xdsl.dialects import arith
from xdsl.dialects import math as math_dialect
from xdsl.dialects.builtin import DYNAMIC_INDEX, FloatAttr, f32
from xdsl.dialects.linalg.attrs import IteratorType
from xdsl.dialects.linalg.ops import GenericOp, YieldOp
from xdsl.dialects.tensor import CollapseShapeOp, ExpandShapeOp
from xdsl.ir import Block, Operation, OpResult, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from ..dialects.linalg import BatchMatmulOp
from ..ir import expand, reassociation_of, shape_of, tensor_type
from .clusters import AFFINITY
from .elementwise import identity_operands, is_elementwise
from .merge import splat_constant

_FEWEST_ROWS = 16
"""With fewer rows packing the right sides would not be earned back."""
_WHOLE = 16
"""Columns, depth and width are multiples of this: of a vector on every target, so that no tile has an edge."""


@dataclass(frozen=True)
class Operand:
    """A tensor and, for each of its dimensions, which of (batches..., row, column) of a matrix it is."""

    source: SSAValue
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Attention:
    query: Operand
    key: Operand
    value: Operand
    scores: SSAValue
    """What the chain reads: the first product with its batches apart."""
    chain: list[GenericOp]
    exponent: list[GenericOp]
    """The subtraction of the greatest, and the exponential."""
    greatest: SSAValue
    weights: SSAValue
    total: SSAValue
    product: BatchMatmulOp
    batches: tuple[int, ...]

    @property
    def changed(self) -> SSAValue:
        return self.chain[-1].res[0] if self.chain else self.scores

    @staticmethod
    def of(product: BatchMatmulOp) -> Attention | None:
        """The attention whose last operation is `product`, if that is what it is."""
        if not _starts_from_zero(product):
            return None
        quotient = _split(product.inputs[0])
        softmax = _softmax(quotient) if quotient is not None else None
        if softmax is None or not _only_read_by(quotient, product):
            return None
        changed, greatest, exponent, weights, total = softmax
        batches = tuple(shape_of(weights)[:-2])
        chain = _chain(changed)
        if chain is None:
            return None
        scores = _scores(chain, changed)
        first = _matmul_behind(scores)
        if first is None or not _starts_from_zero(first):
            return None
        query = _operand(first, 0, batches)
        key = _operand(first, 1, batches)
        value = _operand(product, 1, batches)
        if query is None or key is None or value is None:
            return None
        found = Attention(query, key, value, scores, chain, exponent, greatest, weights, total, product, batches)
        return found if found.pays else None

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Rows, columns, depth and width of one batch."""
        rows, columns = shape_of(self.weights)[-2:]
        depth = math.prod(shape_of(self.query.source)) // (math.prod(self.batches) * rows)
        return rows, columns, depth, shape_of(self.product.result)[-1]

    @property
    def pays(self) -> bool:
        tensors = [operand.source for operand in (self.query, self.key, self.value)]
        if any(DYNAMIC_INDEX in shape_of(value) for value in (*tensors, self.weights, self.product.result)):
            return False
        rows, columns, depth, width = self.sizes
        whole = columns % _WHOLE == 0 and depth % (2 * _WHOLE) == 0 and width % _WHOLE == 0
        return whole and rows >= _FEWEST_ROWS and all(tensor_type(t).get_element_type() == f32 for t in tensors)


# Finding it


def _starts_from_zero(op: BatchMatmulOp) -> bool:
    zero = splat_constant(op.init)
    return isinstance(zero, FloatAttr) and zero.value.data == 0.0 and AFFINITY not in op.attributes


def _only_read_by(value: SSAValue | None, reader: Operation) -> bool:
    """Whether `value` has one use, which is `reader` or a reshape for it alone."""
    while value is not None and value.has_one_use():
        user = next(iter(value.uses)).operation
        if user is reader:
            return True
        value = user.result if isinstance(user, CollapseShapeOp | ExpandShapeOp) else None
    return False


def _split(value: SSAValue) -> SSAValue | None:
    """The tensor [batches..., rows, columns] that the operand [B, rows, columns] of a batch_matmul is."""
    if isinstance(value.owner, CollapseShapeOp):
        *batches, rows, columns = reassociation_of(value.owner)
        return value.owner.src if len(batches) == 1 and len(rows) == len(columns) == 1 else None
    return value


def _generic(value: SSAValue) -> GenericOp | None:
    op = value.op if isinstance(value, OpResult) else None
    return op if isinstance(op, GenericOp) and len(op.res) == 1 and AFFINITY not in op.attributes else None


def _body_of(op: GenericOp) -> list[Operation]:
    """The scalar operations of a body, constants and the terminator left out."""
    return [inner for inner in op.body.block.ops if not isinstance(inner, arith.ConstantOp | YieldOp)]


def _operands_of(op: GenericOp, kind: type[Operation]) -> list[SSAValue] | None:
    """The operands of the generic by which its only scalar operation, a `kind`, is computed, in its order."""
    body = _body_of(op)
    if len(body) != 1 or not isinstance(body[0], kind):
        return None
    arguments: list[SSAValue] = list(op.body.block.args)
    return [op.operands[arguments.index(value)] for value in body[0].operands if value in arguments]


def _reads_row(op: GenericOp, value: SSAValue) -> bool:
    """Whether `op` reads `value`, [..., rows, 1], at the row of each element."""
    loops = len(op.iterator_types)
    row = (*(AffineDimExpr(loop) for loop in range(loops - 1)), AffineConstantExpr(0))
    return op.indexing_maps.data[list(op.inputs).index(value)].data.results == row


def _reduction(value: SSAValue, kind: type[Operation], start: float) -> SSAValue | None:
    """What `value`, [..., rows, 1], reduces over its last dimension by a `kind`."""
    op = _generic(value)
    initial = splat_constant(op.outputs[0]) if op is not None else None
    if op is None or len(op.inputs) != 1 or not isinstance(initial, FloatAttr) or initial.value.data != start:
        return None
    kinds = [iterator.data for iterator in op.iterator_types]
    if kinds != [IteratorType.PARALLEL] * (len(kinds) - 1) + [IteratorType.REDUCTION]:
        return None
    operands = _operands_of(op, kind)
    in_place = op.indexing_maps.data[0].data == AffineMap.identity(len(kinds))
    kept = (*(AffineDimExpr(loop) for loop in range(len(kinds) - 1)), AffineConstantExpr(0))
    whole = in_place and op.indexing_maps.data[1].data.results == kept
    return op.inputs[0] if whole and operands is not None and set(operands) == {*op.inputs, *op.outputs} else None


Softmax = tuple[SSAValue, SSAValue, list[GenericOp], SSAValue, SSAValue]


def _softmax(value: SSAValue) -> Softmax | None:
    """(x, max x, the operations of exp(x - max x), their result, its sum) if `value` is a softmax over rows of x."""
    op = _generic(value)
    factors = _operands_of(op, arith.MulfOp) if op is not None else None
    if op is None or factors is None or len(factors) != 2 or not is_elementwise(op):
        return None
    weights, inverse = factors if op.operands.index(factors[0]) in identity_operands(op) else factors[::-1]
    exponential, reciprocal = _generic(weights), _generic(inverse)
    if exponential is None or reciprocal is None or not _reads_row(op, inverse):
        return None
    divided = _operands_of(reciprocal, arith.DivfOp)
    if divided is None or len(divided) != 1 or not _is_one_over(reciprocal) or not inverse.has_one_use():
        return None
    total = divided[0]
    if _reduction(total, arith.AddfOp, 0.0) is not weights or not total.has_one_use():
        return None
    differences = _operands_of(exponential, math_dialect.ExpOp)
    difference = _generic(differences[0]) if differences else None
    terms = _operands_of(difference, arith.SubfOp) if difference is not None else None
    if difference is None or terms is None or len(terms) != 2 or not is_elementwise(difference):
        return None
    changed, greatest = terms
    if _reduction(greatest, arith.MaximumfOp, -math.inf) is not changed or not _reads_row(difference, greatest):
        return None
    uses = [value.uses.get_length() for value in (changed, greatest, difference.res[0], weights)]
    if uses != [2, 1, 1, 2] or not is_elementwise(exponential):
        return None
    return changed, greatest, [difference, exponential], weights, total


def _is_one_over(op: GenericOp) -> bool:
    (division,) = _body_of(op)
    one = division.operands[0].owner
    constant = one.value if isinstance(one, arith.ConstantOp) else None
    return isinstance(constant, FloatAttr) and constant.value.data == 1.0 and is_elementwise(op)


def _matmul_behind(value: SSAValue) -> BatchMatmulOp | None:
    """The product that `value` is, or is with its batches apart, if it is read nowhere else."""
    op = value.owner
    if isinstance(op, ExpandShapeOp):
        _, *matrix = reassociation_of(op)
        product = op.src.owner
        single = [len(group) for group in matrix] == [1, 1] and op.src.has_one_use()
        return product if single and isinstance(product, BatchMatmulOp) else None
    return op if isinstance(op, BatchMatmulOp) else None


def _chain(value: SSAValue) -> list[GenericOp] | None:
    """The element-wise operations, first to last, that make `value` of a product."""
    if _matmul_behind(value) is not None:
        return []
    op = _generic(value)
    if op is None or not is_elementwise(op):
        return None
    for index in identity_operands(op):
        before = _chain(op.inputs[index])
        if before is not None and op.inputs[index].has_one_use():
            return [*before, op]
    return None


def _scores(chain: Sequence[GenericOp], changed: SSAValue) -> SSAValue:
    if not chain:
        return changed
    return next(value for value in chain[0].inputs if _matmul_behind(value) is not None)


def _operand(product: BatchMatmulOp, index: int, batches: tuple[int, ...]) -> Operand | None:
    """Operand `index` of `product` seen through the reshape that joins its batches and a transposition."""
    value = product.inputs[index]
    count = len(batches)
    # Dimensions (batch, row, column) of the operand's matrices.
    read = [expr.position for expr in cast("list[AffineDimExpr]", product.get_indexing_maps().data[index].data.results)]
    if read[0] != 0:
        return None
    own = {0: (1, 3), 1: (3, 2)}[index]  # loops (batch, m, n, k) of the product: rows and columns of this operand
    matrix = [own.index(position) for position in read[1:]]
    dims = (*range(count), *(count + position for position in matrix))
    source = _split(value)
    if source is None or tuple(shape_of(source)[:count]) != batches:
        if count == 1:
            return None
        groups = [list(range(count)), [count], [count + 1]]
        view = expand(value, groups, [*batches, *shape_of(value)[1:]])
        cast(Block, product.parent).insert_op_before(view, product)
        return Operand(view.result, dims)
    op = _generic(source)
    if op is not None and is_transposition(op):
        read_by = [expr.position for expr in cast("list[AffineDimExpr]", op.indexing_maps.data[0].data.results)]
        return Operand(op.inputs[0], tuple(dims[position] for position in read_by))
    return Operand(source, dims)


def is_transposition(op: GenericOp) -> bool:
    """Whether `op` does nothing but reorder the dimensions of its operand."""
    terminator = cast(Operation, op.body.block.last_op)
    loops = len(op.iterator_types)
    if len(op.inputs) != 1 or list(terminator.operands) != [op.body.block.args[0]] or _body_of(op):
        return False
    read, written = (attribute.data for attribute in op.indexing_maps.data)
    positions = [expr.position for expr in read.results if isinstance(expr, AffineDimExpr)]
    return written == AffineMap.identity(loops) and sorted(positions) == list(range(loops)) == list(
        range(len(read.results))
    )
