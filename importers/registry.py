"""What every frontend's legalisations share: the table of functions, and the context that one of them gets.

A legalisation turns one operator of a source framework into TOSA operations. It is a function registered under the
framework's own operator name; it gets the operator and a context, and returns the TOSA value(s) that stand for the
operator's output(s):

    @legalize("RELU")
    def relu(op: Operator, context: Context) -> SSAValue:
        x = context.value(op.input(0))
        return context.add(tosa.ClampOp(x, min_val=0.0, max_val=math.inf))

There is no second list of supported operators: what is registered is what is supported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np
from xdsl.builder import Builder
from xdsl.dialects.builtin import DYNAMIC_INDEX, TensorType
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint

from ..tosa import dialect as tosa
from ..tosa.elements import ElementsAttr, numpy_dtype

Array = np.ndarray[Any, Any]

DYNAMIC = -1
"""An extent that is not known before run time: in shapes here, as in the files and in `tosa.const_shape`."""
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """The extents of a tensor value; DYNAMIC where they are not known."""
    assert isinstance(value.type, TensorType)
    return tuple(DYNAMIC if extent == DYNAMIC_INDEX else extent for extent in value.type.get_shape())


def tensor_type(element_type: Attribute, shape: Sequence[int]) -> TensorType[Attribute]:
    """The type of a tensor whose extents may be DYNAMIC, for which MLIR has a number of its own."""
    return TensorType(element_type, [DYNAMIC_INDEX if extent == DYNAMIC else extent for extent in shape])


class Unsupported(Exception):
    """Raised inside a legalisation: valid, but not something we can express. The importer collects all of them."""


class Registry(Generic[FunctionT]):
    """The operators of one framework, from name to legalisation; used as a decorator."""

    def __init__(self, framework: str) -> None:
        self.framework = framework
        self._functions: dict[str, FunctionT] = {}

    def __call__(self, *names: str) -> Callable[[FunctionT], FunctionT]:
        """Register the decorated function for the operators called `names`."""

        def register(function: FunctionT) -> FunctionT:
            for name in names:
                if name in self._functions:
                    raise ValueError(f"{self.framework} operator {name} has two legalisations")
                self._functions[name] = function
            return function

        return register

    def get(self, name: str) -> FunctionT | None:
        return self._functions.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._functions))


class TosaBuilder:
    """Appends TOSA operations to a block. Constants go to its beginning, each distinct one once."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._builder = Builder(InsertPoint.at_end(block))
        self._constants: dict[Attribute, SSAValue] = {}
        self._shapes: dict[tuple[int, ...], SSAValue] = {}
        self._last_constant: Operation | None = None

    def add(self, operation: Operation) -> SSAValue:
        """Append an operation that has one result, and return that result; its type was inferred by the operation."""
        self._builder.insert(operation)
        (result,) = operation.results
        return result

    def constant(self, array: Array | np.generic | float | int, type: TensorType | None = None) -> SSAValue:
        """A `tosa.const` holding `array`, which is shared, not copied; `type` only for what numpy lacks (i4, i48)."""
        values = ElementsAttr.from_array(np.asarray(array), type)
        if values not in self._constants:
            self._constants[values] = self._add_first(tosa.ConstOp(values))
        return self._constants[values]

    def splat(self, value: float | np.generic, like: SSAValue) -> SSAValue:
        """A constant of one element that broadcasts against `like`: its element type, its rank, every dimension 1."""
        assert isinstance(like.type, TensorType)
        return self.constant(np.full((1,) * len(shape_of(like)), value, numpy_dtype(like.type.get_element_type())))

    def shape(self, dims: Sequence[int]) -> SSAValue:
        """A `tosa.const_shape`, of type !tosa.shape<len(dims)>, such as reshape, tile, pad and slice take."""
        key = tuple(int(dim) for dim in dims)
        if key not in self._shapes:
            self._shapes[key] = self._add_first(tosa.ConstShapeOp(list(key)))
        return self._shapes[key]

    def zero_point(self, value: int, element_type: Attribute) -> SSAValue:
        """The one-element tensor that zero-point operands are: `tensor<1xelement_type>`."""
        type = TensorType(element_type, [1])
        return self.constant(np.full((1,), value, numpy_dtype(element_type)), type)

    def unsupported(self, reason: str) -> NoReturn:
        """Give up on this operator. `reason` says what is not supported and, where known, what would help.

        The importer adds the operator and its tensor names, goes on with the next operator and reports all at once.
        """
        raise Unsupported(reason)

    def _add_first(self, operation: Operation) -> SSAValue:
        """Insert behind the last constant, so that all constants stand in order before what uses them."""
        if self._last_constant is not None:
            self._block.insert_ops_after([operation], self._last_constant)
        elif self._block.first_op is not None:
            self._block.insert_ops_before([operation], self._block.first_op)
        else:
            self._block.add_op(operation)
        self._last_constant = operation
        (result,) = operation.results
        return result
