"""Contractions whose operands come in unusual orders of dimensions.

Targets compute result[(b,) m, n]; the sides may have their dimensions in any order, which their encodings say. A result
[n, m] is that of the contraction with its sides exchanged; a result with the batch elsewhere is transposed behind.
"""

from __future__ import annotations

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, DenseArrayBase, TensorType, i64
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.dialects.linalg.ops import FillOp, GenericOp, YieldOp
from xdsl.dialects.tensor import EmptyOp
from xdsl.ir import Block, OpResult, Region
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.rewriter import InsertPoint, Rewriter

from ..dialects.encoding import TILE_SIZES
from ..dialects.linalg import BatchMatmulOp, MatmulOp
from ..ir import erase, tensor_type
from ..sizes import Sizes, split


def orient(op: MatmulOp | BatchMatmulOp, sizes: Sizes) -> None:
    """Replace `op` by one whose loops are (b, m, n, k) and whose result is [(b,) m, n], if it is not such a one."""
    if op.indexing_maps is None:
        return
    roles = _roles([attribute.data for attribute in op.indexing_maps])
    if roles is None:
        return
    lhs, rhs, out = roles
    values = list(op.inputs)
    attributes = dict(op.attributes)
    if out.index("n") < out.index("m"):
        exchange = str.maketrans("mn", "nm")
        lhs, rhs, out = rhs.translate(exchange), lhs.translate(exchange), out.translate(exchange)
        values.reverse()
        hint = attributes.get(TILE_SIZES)
        if isinstance(hint, DenseArrayBase) and len(hint) == 3:
            m0, n0, k0 = hint.get_values()
            attributes[TILE_SIZES] = DenseArrayBase.from_list(i64, [n0, m0, k0])
    loops = "bmnk" if "b" in out else "mnk"
    wanted = loops[:-1]
    maps = ArrayAttr(AffineMapAttr(_map(loops, order)) for order in (lhs, rhs, wanted))
    if out == wanted and values == list(op.inputs) and maps == op.indexing_maps:
        return
    fill = op.init.op if isinstance(op.init, OpResult) else None
    if not isinstance(fill, FillOp):
        return
    extents = [sizes.of(op.result)[out.index(letter)] for letter in wanted]
    static, dynamic = split(extents)
    empty = EmptyOp(dynamic, TensorType(tensor_type(op.result).get_element_type(), static))
    init = FillOp(fill.inputs, [empty.tensor])
    new = type(op)(values[0], values[1], init.res[0])
    new.indexing_maps = maps
    new.attributes = attributes
    Rewriter.insert_op([empty, init, new], InsertPoint.before(op))
    result = new.result
    if out != wanted:
        transposed = _transposed(new, wanted, out, op, sizes)
        result = transposed.res[0]
    op.result.replace_all_uses_with(result)
    erase(op)


def _roles(maps: list[AffineMap]) -> tuple[str, str, str] | None:
    """The kind of loop that each dimension of (lhs, rhs, out) is: "b", "m", "n" or "k"."""
    positions = []
    for map in maps:
        if not all(isinstance(expr, AffineDimExpr) for expr in map.results):
            return None
        positions.append([expr.position for expr in map.results if isinstance(expr, AffineDimExpr)])
    lhs, rhs, out = positions
    letters: dict[int, str] = {}
    for loop in range(maps[0].num_dims):
        where = (loop in lhs, loop in rhs, loop in out)
        kind = {(True, True, True): "b", (True, False, True): "m", (False, True, True): "n", (True, True, False): "k"}
        if where not in kind:
            return None
        letters[loop] = kind[where]
    if sorted(letters.values()) != sorted("bmnk"[4 - len(letters) :]):
        return None
    first, second, third = ("".join(letters[loop] for loop in part) for part in positions)
    return first, second, third


def _map(loops: str, order: str) -> AffineMap:
    return AffineMap(len(loops), 0, tuple(AffineDimExpr(loops.index(letter)) for letter in order))


def _transposed(
    new: MatmulOp | BatchMatmulOp, order: str, wanted: str, old: MatmulOp | BatchMatmulOp, sizes: Sizes
) -> GenericOp:
    """The result of `new`, whose dimensions are `order`, with the dimensions of `old`, which are `wanted`."""
    type = tensor_type(old.result)
    body = Block(arg_types=[type.get_element_type()] * 2)
    body.add_op(YieldOp(body.args[0]))
    empty = EmptyOp(sizes.dynamic(old.result), type)
    maps = [AffineMapAttr(_map(wanted, order)), AffineMapAttr(_map(wanted, wanted))]
    parallel = [IteratorTypeAttr.parallel()] * len(wanted)
    generic = GenericOp([new.result], [empty.tensor], Region(body), maps, parallel, [type])
    Rewriter.insert_op([empty, generic], InsertPoint.before(old))
    return generic
