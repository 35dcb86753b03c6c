"""Loop nests over strided operands, brought to the fewest loops: unit loops gone, contiguous neighbours made one."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from xdsl.dialects.linalg.ops import GenericOp
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr

from .access import Access
from .arithmetic import i64
from .extent import Extent, product
from .kernel import KernelContext
from .types import Value


@dataclass(frozen=True)
class Nest:
    """Loops of the extents `sizes`, outermost first, and the operands they walk.

    `origin[d]` is the loop that stands for loop d of the operation that the nest was made from; None where that has
    a single iteration or was merged with a neighbour, which is only done to loops nobody asks the index of.
    """

    sizes: tuple[Extent, ...]
    accesses: tuple[Access, ...]
    origin: tuple[int | None, ...]

    def original_indices(self, indices: Sequence[Value]) -> list[Value]:
        """The indices of the operation's own loops (0 for those merged away)."""
        return [i64(0) if loop is None else indices[loop] for loop in self.origin]

    def original_loop(self, loop: int) -> int | None:
        return self.origin.index(loop) if loop in self.origin else None


def simplify(
    sizes: Sequence[Extent],
    accesses: Sequence[Access],
    *,
    keep: Set[int] = frozenset(),
    order: Sequence[int] | None = None,
) -> Nest:
    """The nest with loops in `order` (outermost first), those of one iteration dropped, neighbours merged.

    Loops of `keep`, and those that quasi-linear subscripts use, are left alone, but for those of one iteration.
    """
    keep = set(keep).union(*(expr.used_dims() for access in accesses for expr, _ in access.quasi))
    groups: list[list[int]] = []
    for loop in order if order is not None else range(len(sizes)):
        if sizes[loop] == 1:
            continue
        if groups and _merges(groups[-1][-1], loop, sizes, accesses, keep):
            groups[-1].append(loop)
        else:
            groups.append([loop])
    new_sizes = tuple(product(sizes[loop] for loop in group) for group in groups)
    origin: list[int | None] = [None] * len(sizes)
    for position, group in enumerate(groups):
        if len(group) == 1:
            origin[group[0]] = position
    renamed = [AffineConstantExpr(0) if new is None else AffineDimExpr(new) for new in origin]
    return Nest(new_sizes, tuple(_regrouped(access, groups, renamed) for access in accesses), tuple(origin))


def _merges(outer: int, inner: int, sizes: Sequence[Extent], accesses: Sequence[Access], keep: Set[int]) -> bool:
    if outer in keep or inner in keep:
        return False
    return all(access.strides[outer] == sizes[inner] * access.strides[inner] for access in accesses)


def _regrouped(access: Access, groups: list[list[int]], renamed: Sequence[AffineExpr]) -> Access:
    strides = tuple(access.strides[group[-1]] for group in groups)
    quasi = tuple((expr.replace_dims_and_symbols(renamed, []), stride) for expr, stride in access.quasi)
    return replace(access, strides=strides, quasi=quasi)


def loop_sizes(context: KernelContext, generic: GenericOp) -> tuple[Extent, ...]:
    """The extents of a generic's loops, each known from an operand that a loop walks directly."""
    sizes: dict[int, Extent] = {}
    operands = [*generic.inputs, *generic.outputs]
    for value, attribute in zip(operands, generic.indexing_maps.data, strict=True):
        for expression, size in zip(attribute.data.results, context.shape(value), strict=True):
            if isinstance(expression, AffineDimExpr):
                sizes[expression.position] = size
    return tuple(sizes[loop] for loop in range(len(generic.iterator_types)))
