"""What a record holds of an operation besides operands, results and blocks: its name there, and its attributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from xdsl.dialects import arith, func, tensor
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    ArrayAttr,
    DenseArrayBase,
    DenseIntOrFPElementsAttr,
    IntegerAttr,
    IntegerType,
    TensorType,
)
from xdsl.dialects.linalg.attrs import IteratorType, IteratorTypeAttr
from xdsl.dialects.linalg.ops import GenericOp, IndexOp
from xdsl.ir import Attribute, Operation
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ...runtime.reference.evaluator import Array, Scope, meaning_of
from ...runtime.reference.records import Operation as Record
from ...tosa.dialect import ConstOp
from ...tosa.dialect.base import TosaOp
from ...tosa.elements import numpy_dtype
from ...tosa.interpreter import evaluate_operation
from ..dialects import linalg, tiled
from ..dialects.arith import LiftedOp
from ..dialects.dispatch import CheckOp
from ..dialects.linalg.relayout import PackOp, UnpackOp
from ..dialects.linalg.shaped import SoftmaxOp
from ..dialects.linalg.structured import RegionOp, ScalarFunctionOp
from ..dialects.scalar import ApplyScaleOp
from ..dialects.tensor import GatherOp

Attributes: TypeAlias = dict[str, Any]

_TRANSLATORS: dict[type[Operation], Callable[[Any], Attributes]] = {}
_T = TypeVar("_T", bound=Callable[[Any], Attributes])

_TOSA = "tosa operator"
"""Stands for every operator of TOSA, which has its meaning in `tosaic.tosa`."""

_OPERATORS = {
    AffineBinaryOpKind.Add: "+",
    AffineBinaryOpKind.Mul: "*",
    AffineBinaryOpKind.Mod: "mod",
    AffineBinaryOpKind.FloorDiv: "floordiv",
    AffineBinaryOpKind.CeilDiv: "ceildiv",
}


def attributes_of(operation: Operation) -> tuple[str, Attributes]:
    """The name and the attributes of the record for `operation`."""
    name = operation.name
    kind = type(operation)
    translate = _TRANSLATORS.get(kind) or next(
        (_TRANSLATORS[base] for base in kind.__mro__ if base in _TRANSLATORS), None
    )
    if isinstance(operation, ScalarFunctionOp):
        name = "linalg.structured"
    elif isinstance(operation, RegionOp):
        name = "linalg.generic"
    elif isinstance(operation, TosaOp) and not isinstance(operation, ConstOp | ApplyScaleOp):
        name = _TOSA
    return name, translate(operation) if translate is not None else {}


def translates(*kinds: type[Operation]) -> Callable[[_T], _T]:
    """Registers the decorated function as what makes the attributes of operations of `kinds`."""

    def register(function: _T) -> _T:
        _TRANSLATORS.update(dict.fromkeys(kinds, function))
        return function

    return register


@meaning_of(_TOSA)
def _evaluate_tosa(record: Record, operands: Sequence[Array], _: Scope) -> Sequence[Array]:
    return evaluate_operation(record.attributes["operator"], operands)


@translates(TosaOp)
def _tosa(operation: TosaOp) -> Attributes:
    return {"operator": operation}


@translates(ConstOp)
def _tosa_constant(operation: ConstOp) -> Attributes:
    return {"value": operation.array}


@translates(ApplyScaleOp)
def _apply_scale(operation: ApplyScaleOp) -> Attributes:
    return {"double_round": operation.double_round}


@translates(arith.ConstantOp)
def _constant(operation: arith.ConstantOp) -> Attributes:
    value: Any = operation.value
    if isinstance(value, DenseIntOrFPElementsAttr):
        type = cast("TensorType[Attribute]", value.type)
        elements = np.asarray(value.get_values())
        dtype = numpy_dtype(type.get_element_type())
        if elements.size == 1:
            return {"value": np.full(type.get_shape(), elements[0], dtype)}
        return {"value": elements.astype(dtype).reshape(type.get_shape())}
    if hasattr(value, "array"):  # tosa.elements
        return {"value": value.array}
    return {"value": value.value.data}


@translates(arith.CmpiOp)
def _compare_integers(operation: arith.CmpiOp) -> Attributes:
    return {"predicate": operation.predicate.value.data, "element": _element(operation.lhs.type)}


@translates(arith.CmpfOp)
def _compare_floats(operation: arith.CmpfOp) -> Attributes:
    return {"predicate": operation.predicate.value.data}


@translates(
    *(arith.ExtFOp, arith.TruncFOp, arith.SIToFPOp, arith.FPToSIOp, arith.UIToFPOp, arith.FPToUIOp),
    *(arith.ExtSIOp, arith.ExtUIOp, arith.TruncIOp, arith.IndexCastOp),
)
def _cast(operation: Operation) -> Attributes:
    return {"element": _element(operation.operands[0].type)}


@translates(LiftedOp)
def _lifted(operation: LiftedOp) -> Attributes:
    predicate = operation.attributes.get("predicate")
    attributes: Attributes = {"element": _element(operation.operands[0].type)}
    return attributes | {"predicate": predicate.value.data} if isinstance(predicate, IntegerAttr) else attributes


@translates(CheckOp)
def _check(operation: CheckOp) -> Attributes:
    return {"message": operation.message.data}


@translates(GatherOp)
def _gather(operation: GatherOp) -> Attributes:
    return {"dims": operation.dims}


@translates(func.CallOp)
def _call(operation: func.CallOp) -> Attributes:
    return {"callee": operation.callee.string_value()}


@translates(IndexOp)
def _index(operation: IndexOp) -> Attributes:
    return {"dim": operation.dim.value.data}


@translates(GenericOp)
def _generic(operation: GenericOp) -> Attributes:
    return _loops([map.data for map in operation.indexing_maps], list(operation.iterator_types))


@translates(RegionOp)
def _region(operation: RegionOp) -> Attributes:
    return _loops(*operation.loops())


@translates(ScalarFunctionOp)
def _scalar_function(operation: ScalarFunctionOp) -> Attributes:
    return {
        **_loops(*operation.loops()),
        "function": operation.function,
        "unsigned": operation.unsigned,
        "elements": [_element(operand.type) for operand in operation.operands],
    }


@translates(SoftmaxOp)
def _softmax(operation: SoftmaxOp) -> Attributes:
    return {"dimension": operation.dimension.value.data}


@translates(linalg.MatmulOp, linalg.BatchMatmulOp)
def _matmul(operation: linalg.MatmulOp | linalg.BatchMatmulOp) -> Attributes:
    return {
        **_loops(operation.indexing_maps_of_operands(), operation.ITERATORS),
        "function": "multiply_add",
        "unsigned": False,
        "elements": [_element(operand.type) for operand in operation.operands],
    }


@translates(linalg.Conv2DNhwcFhwcOp, linalg.DepthwiseConv2DNhwcHwcmOp, linalg.PoolingNhwcMaxOp, linalg.PoolingNhwcSumOp)
def _window(operation: linalg.Conv2DNhwcFhwcOp) -> Attributes:
    return {"strides": operation.stride_values, "dilations": operation.dilation_values}


@translates(PackOp, UnpackOp)
def _relayout(operation: PackOp | UnpackOp) -> Attributes:
    outer = operation.outer_dims_perm
    attributes: Attributes = {
        "positions": operation.tiled_dims,
        "tiles": [None if size == DYNAMIC_INDEX else size for size in operation.tile_sizes],
        "outer": _integers(outer) if outer is not None else [],
    }
    return attributes | {"padded": operation.padding_value is not None} if isinstance(operation, PackOp) else attributes


@translates(tiled.MatmulOp)
def _tiled_matmul(operation: tiled.MatmulOp) -> Attributes:
    columns = cast("TensorType[Attribute]", operation.result.type).get_shape()[-1]
    return {"columns": columns, "lhs_offset": _integer(operation.lhs_offset)}


@translates(tiled.Conv2DOp)
def _tiled_conv_2d(operation: tiled.Conv2DOp) -> Attributes:
    return {
        "kernel": _integers(operation.kernel),
        "strides": _integers(operation.strides),
        "dilations": _integers(operation.dilations),
        "pad": _integers(operation.pad),
        "pad_value": operation.pad_value.value.data if operation.pad_value is not None else 0,
        "lhs_offset": _integer(operation.lhs_offset),
    }


@translates(tensor.CollapseShapeOp)
def _collapse(operation: tensor.CollapseShapeOp) -> Attributes:
    return {"groups": _groups(operation)}


@translates(tensor.ExpandShapeOp)
def _expand(operation: tensor.ExpandShapeOp) -> Attributes:
    return {"groups": _groups(operation), "shape": _sizes(operation.static_output_shape)}


@translates(tensor.ConcatOp)
def _concat(operation: tensor.ConcatOp) -> Attributes:
    return {"dim": operation.dim.value.data}


@translates(tensor.ExtractSliceOp, tensor.InsertSliceOp)
def _slice(operation: tensor.ExtractSliceOp | tensor.InsertSliceOp) -> Attributes:
    return {
        "offsets": _sizes(operation.static_offsets),
        "sizes": _sizes(operation.static_sizes),
        "strides": _sizes(operation.static_strides),
    }


@translates(tensor.PadOp)
def _pad(operation: tensor.PadOp) -> Attributes:
    return {"low": _sizes(operation.static_low), "high": _sizes(operation.static_high)}


def _loops(maps: Sequence[AffineMap], iterators: Sequence[IteratorTypeAttr]) -> Attributes:
    kinds = ["parallel" if kind.data is IteratorType.PARALLEL else "reduction" for kind in iterators]
    return {"maps": [_map(map) for map in maps], "iterators": kinds}


def _map(map: AffineMap) -> list[Any]:
    return [map.num_dims, [_expression(result) for result in map.results]]


def _expression(expression: AffineExpr) -> Any:
    match expression:
        case AffineConstantExpr(value):
            return value
        case AffineDimExpr(position):
            return ["d", position]
        case AffineBinaryOpExpr(kind, left, right):
            return [_OPERATORS[kind], _expression(left), _expression(right)]
        case _:
            raise NotImplementedError(f"{expression} in an indexing map")


def _element(type: Attribute) -> str:
    return str(cast("TensorType[Attribute]", type).get_element_type() if isinstance(type, TensorType) else type)


def _groups(operation: tensor.CollapseShapeOp | tensor.ExpandShapeOp) -> list[list[int]]:
    groups = cast("ArrayAttr[ArrayAttr[IntegerAttr]]", operation.reassociation)
    return [[dim.value.data for dim in group] for group in groups]


def _integer(attribute: IntegerAttr | None) -> int:
    return attribute.value.data if attribute is not None else 0


def _integers(values: DenseArrayBase) -> list[int]:
    return list(cast("DenseArrayBase[IntegerType]", values).get_values())


def _sizes(values: DenseArrayBase) -> list[int | None]:
    return [None if value == DYNAMIC_INDEX else value for value in _integers(values)]
