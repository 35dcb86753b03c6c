"""What a target's resolver is told about a matmul or convolution: sizes and element types, nothing of the IR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import mul

from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Attribute
from xdsl.ir.affine import AffineDimExpr, AffineMap

from .dialects.encoding import CONSTANT_RHS, LHS, RESULT, RHS, UNKNOWN, EncodingAttr


@dataclass(frozen=True)
class Contraction:
    """result[m, n] = sum over k of lhs[m, k] * rhs[k, n], `batch` times.

    A convolution counts its output pixels as rows (`m`) and its window as `k`; `row_run` is the length over which
    consecutive rows lie evenly spaced in memory: the output width of a convolution, `m` itself for a matmul. A size
    that only a call knows is UNKNOWN. `multiply_type` is what the sides may be rounded to as they are multiplied, None
    where that is not allowed. A `constant_rhs` is packed at compile time.
    """

    op_type: str
    lhs: Attribute
    rhs: Attribute
    result: Attribute
    batch: int
    m: int
    n: int
    k: int
    row_run: int
    multiply_type: Attribute | None = None
    constant_rhs: bool = False

    @property
    def is_integer(self) -> bool:
        return isinstance(self.lhs, IntegerType)

    @property
    def flops(self) -> int:
        """Multiplications plus additions, if all sizes are known."""
        return 2 * self.batch * self.m * self.n * self.k

    def supposing(self, size: int) -> Contraction:
        """The same with `size` in the place of everything that is not known."""
        batch, m, n, k, row_run = (
            size if extent == UNKNOWN else extent for extent in (self.batch, self.m, self.n, self.k, self.row_run)
        )
        return replace(self, batch=batch, m=m, n=n, k=k, row_run=row_run)

    @staticmethod
    def of(encoding: EncodingAttr) -> Contraction:
        """Read a contraction off the encoding of any of its operands.

        A dimension that only the left side and the result have counts rows, one that only the right side and the
        result have counts columns, one that all three have is a batch, and the rest is summed over.
        """
        dims_of = [_dimensions(attribute.data) for attribute in encoding.user_indexing_maps]
        sizes = [size.data for size in encoding.iteration_sizes]
        groups: dict[str, list[int]] = {"batch": [], "m": [], "n": [], "k": []}
        for dim, size in enumerate(sizes):
            in_lhs, in_rhs, in_result = (dim in dims_of[operand] for operand in (LHS, RHS, RESULT))
            if not in_result:
                groups["k"].append(size)
            elif in_lhs and in_rhs:
                groups["batch"].append(size)
            else:
                groups["m" if in_lhs else "n"].append(size)
        batch, m, n, k = map(_product, groups.values())
        op_type = encoding.op_type.data
        lhs, rhs, result = encoding.element_types
        row_run = groups["m"][-1] if op_type == "conv_2d" else m
        hints = encoding.hints.data
        multiply_type, constant_rhs = hints.get("multiply_type"), CONSTANT_RHS in hints
        return Contraction(op_type, lhs, rhs, result, batch, m, n, k, row_run, multiply_type, constant_rhs)


def _product(sizes: Sequence[int]) -> int:
    return UNKNOWN if UNKNOWN in sizes else reduce(mul, sizes, 1)


def _dimensions(map: AffineMap) -> set[int]:
    return {expr.position for result in map.results for expr in result.dfs() if isinstance(expr, AffineDimExpr)}
