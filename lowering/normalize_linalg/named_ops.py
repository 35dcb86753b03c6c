"""Named operations become the generic that they are short for."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith
from xdsl.dialects.builtin import TensorType
from xdsl.dialects.linalg.ops import YieldOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.utils.exceptions import VerifyException

from ...runtime.errors import UnsupportedError
from ...tosa.dialect.types import element_of, is_float, shape_of
from ...tosa.source import described
from ..dialects.linalg import PARALLEL, REDUCTION, NamedOp, StructuredOp
from ..dialects.linalg.attributes import TypeFnAttr
from ..dialects.linalg.contractions import MappedContractionOp
from ..dialects.linalg.named import MULTIPLY_ADD
from ..dialects.linalg.shaped import SoftmaxOp
from ..dialects.linalg.structured import RegionOp, ScalarFunctionOp
from ..dialects.linalg.windows import PoolingNhwcMaxOp, PoolingNhwcSumOp, WindowOp
from ..tosa_to_linalg.body import Body
from .editor import Editor
from .scalar_functions import NoSuchFunction, apply


def expand_named(op: StructuredOp | NamedOp, edit: Editor) -> None:
    """Replace `op`. Raises UnsupportedError where its function is not defined for its elements."""
    if isinstance(op, SoftmaxOp):
        edit.replace(_softmax(op, edit))
    elif isinstance(op, RegionOp):
        _with_region(op, edit)
    elif isinstance(op, ScalarFunctionOp):
        maps, iterators = op.loops()
        body = _body(op, op.function, op.unsigned)
        edit.replace(*edit.generic_of(op.inputs, op.outputs, maps, iterators, body))
    else:
        assert isinstance(op, NamedOp)
        body = _body(op, named_function(op), is_unsigned(op))
        edit.anchor.attributes.pop("cast", None)
        maps = op.indexing_maps_of_operands()
        edit.replace(*edit.generic_of(op.inputs, op.outputs, maps, op.ITERATORS, body))


def settle_named(op: NamedOp) -> None:
    """Say what programs may leave out, and leave out the maps that an operation has anyway."""
    if isinstance(op, WindowOp):
        op.set_steps(op.stride_values, op.dilation_values)
    elif isinstance(op, MappedContractionOp) and op.indexing_maps is not None:
        maps = op.indexing_maps
        op.indexing_maps = None
        if op.get_indexing_maps() != maps:
            op.indexing_maps = maps


def named_function(op: NamedOp) -> str:
    """What a named operation that later phases know computes, as a key of `scalar_functions`."""
    if isinstance(op, PoolingNhwcMaxOp):
        return "pooled_max"
    return "pooled_sum" if isinstance(op, PoolingNhwcSumOp) else MULTIPLY_ADD


def is_unsigned(op: Operation) -> bool:
    """Whether a program asks for integers to be cast as unsigned ones."""
    return op.get_attr_or_prop("cast") == TypeFnAttr("cast_unsigned")


def _body(op: StructuredOp | NamedOp, function: str, unsigned: bool) -> Region:
    types = [element_of(value) if isinstance(value.type, TensorType) else value.type for value in op.operands]
    block = Block(arg_types=types)
    try:
        value = apply(Body(block), function, list(block.args), types[-1], unsigned)
    except (NoSuchFunction, VerifyException) as error:
        raise UnsupportedError("the program cannot be compiled:", [f"{described(op)}: {error}"]) from error
    block.add_op(YieldOp(value))
    return Region(block)


def _with_region(op: RegionOp, edit: Editor) -> None:
    maps, iterators = op.loops()
    region = op.detach_region(op.body)
    block = region.block
    for value in [*op.inputs, *op.outputs][len(block.args) :]:  # linalg.map may leave out what it does not read
        block.insert_arg(element_of(value), len(block.args))
    edit.replace(*edit.generic_of(op.inputs, op.outputs, maps, iterators, region))


def _softmax(op: SoftmaxOp, edit: Editor) -> SSAValue:
    """As MLIR decomposes it: shifted by the maximum, so that no exponential overflows."""
    (source,) = op.inputs
    element = element_of(op.outputs[0])
    if not is_float(element):
        raise UnsupportedError("the program cannot be compiled:", [f"{described(op)}: elements must be floats"])
    rank, dim = len(shape_of(source)), op.dimension.value.data
    identity = AffineMap.identity(rank)
    without = AffineMap(rank, 0, tuple(expr for index, expr in enumerate(identity.results) if index != dim))
    iterators = [REDUCTION if index == dim else PARALLEL for index in range(rank)]
    sizes = [size for index, size in enumerate(edit.sizes.of(source)) if index != dim]

    def reduced(value: SSAValue, start: float, combine: type[arith.MaximumfOp | arith.AddfOp]) -> SSAValue:
        init = edit.fill(start, edit.empty(sizes, element))
        return edit.generic(
            [value], init, [identity, without], iterators, lambda b, x, total: b.append(combine(x, total))
        )

    def combined(first: SSAValue, second: SSAValue, function: Callable[..., SSAValue]) -> SSAValue:
        output = edit.empty_like(source, element)
        return edit.generic([first, second], output, [identity, without, identity], [PARALLEL] * rank, function)

    largest = reduced(source, float("-inf"), arith.MaximumfOp)
    exponentials = combined(source, largest, lambda b, x, m, _out: b.exp(b.sub(x, m)))
    return combined(exponentials, reduced(exponentials, 0.0, arith.AddfOp), lambda b, x, s, _out: b.divide(x, s))
