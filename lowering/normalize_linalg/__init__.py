"""normalize-linalg: hand-written linear algebra becomes the few forms that all later phases know.

Afterwards the host blocks of each function (its body, and those of its loops and branches) hold:

- of linalg: fill, matmul and batch_matmul (operands in any order of dimensions, by `indexing_maps`), conv_2d_nhwc_fhwc,
  depthwise_conv_2d_nhwc_hwcm, pooling_nhwc_max and _sum (these four of static shape), mmt4d, batch_mmt4d, pack, unpack
  and generic. A generic that is a matrix product is a matmul. All but generics start from zero, maxima from the least
  value; what else there was to start from is combined behind.
- a parallel generic reads no output, runs in the order of the first, and captures its scalars; constants lie inside;
- of tensor: empty, pad with a constant, concat, extract_slice and insert_slice of full rank, collapse_shape,
  expand_shape, extract, from_elements, dim. Constant tensors are `tosa.const`;
- scf, and arith and math on scalars. Arguments and results of functions are tensors; calls are inlined.

What MLIR allows and this compiler does not is refused here, with the line it stands on.
"""

from __future__ import annotations

from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.linalg.ops import FillOp, GenericOp
from xdsl.ir import Operation
from xdsl.ir.affine import AffineMap

from ...tosa.dialect.types import shape_of
from ..dialects.linalg import BatchMatmulOp, BatchMmt4dOp, MatmulOp, Mmt4dOp, NamedOp, StructuredOp
from ..dialects.linalg.named import SpaceOp
from ..ir import erase_dead, functions, host_blocks
from ..sizes import Sizes
from .accumulators import separate_accumulator
from .calls import inline_calls
from .checks import check_program
from .contractions import lower_contraction
from .editor import Editor
from .elementwise import is_tensor_arithmetic, lower_tensor_arithmetic
from .named_ops import expand_named, is_unsigned, settle_named
from .outs import settle_fill, settle_generic
from .scalars import lift_scalars
from .tensor_ops import TENSOR_OPERATIONS
from .windows import has_static_shapes, lower_window, sums_exactly

__all__ = ["normalize_linalg"]


def normalize_linalg(module: ModuleOp) -> None:
    """Rewrite `module` in place. Raises UnsupportedError that names the operation and where it stands."""
    check_program(module)
    inline_calls(module)
    for function in functions(module):
        lift_scalars(function)
        _normalize(function)


def _normalize(function: func.FuncOp) -> None:
    sizes = Sizes()
    for block in host_blocks(function):
        op = block.first_op
        while op is not None:
            behind, in_front = op.next_op, op.prev_op
            if _rewrite(op, Editor(op, sizes)):  # what took its place may have to be rewritten as well
                op = in_front.next_op if in_front is not None else block.first_op
            else:
                op = behind
    for block in reversed(host_blocks(function)):
        erase_dead(block)


def _rewrite(op: Operation, edit: Editor) -> bool:
    """Bring `op` nearer to the forms above; whether anything took its place."""
    block = op.parent
    if is_tensor_arithmetic(op):
        lower_tensor_arithmetic(op, edit)
    elif isinstance(op, StructuredOp):
        if not (isinstance(op, SpaceOp) and lower_window(op, edit)):
            expand_named(op, edit)
    elif isinstance(op, NamedOp):
        if not _is_known(op):
            expand_named(op, edit)
        else:
            settle_named(op)
            separate_accumulator(op, edit)
    elif type(op) in TENSOR_OPERATIONS:
        TENSOR_OPERATIONS[type(op)](op, edit)
    elif isinstance(op, FillOp):
        settle_fill(op, edit)
    elif isinstance(op, GenericOp) and not lower_contraction(op, edit):
        settle_generic(op, edit)
        return False
    return op.parent is not block


def _is_known(op: NamedOp) -> bool:
    """Whether later phases know `op` as it is; else it becomes a generic, perhaps to come back as another."""
    if is_unsigned(op) or not sums_exactly(op):
        return False
    if isinstance(op, MatmulOp | BatchMatmulOp):
        maps = op.indexing_maps_of_operands()
        ranks = [len(shape_of(value)) for value in op.operands]
        rank = len(maps[2].results)
        return ranks == [rank] * 3 and maps[2].results == AffineMap.identity(rank + 1).results[:rank]
    return isinstance(op, Mmt4dOp | BatchMmt4dOp) or has_static_shapes(op)
