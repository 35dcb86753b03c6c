"""Dispatch regions written as text, compiled and held against their numpy meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from tosaic.lowering.codegen import compile_region
from tosaic.lowering.dialects.dispatch import Dispatch, RegionOp
from tosaic.lowering.dialects.math import Math
from tosaic.lowering.dialects.scalar import ApplyScaleOp
from tosaic.lowering.meaning import evaluate_op
from tosaic.lowering.target import Target
from tosaic.tosa.dialect.attributes import RoundingModeAttr
from tosaic.tosa.elements import numpy_dtype
from xdsl.context import Context
from xdsl.dialects.arith import Arith
from xdsl.dialects.builtin import Builtin, IntegerType, ModuleOp, TensorType
from xdsl.dialects.linalg import Linalg
from xdsl.dialects.tensor import Tensor
from xdsl.ir import Attribute, Operation
from xdsl.parser import Parser

from ..codegen.harness import Array, Code, run_kernel, targets


def parse_region(inputs: Sequence[str], results: Sequence[str], body: str, *operations: type[Operation]) -> RegionOp:
    """A region with arguments %0, %1, ... of the tensor types `inputs`; `body` ends in `dispatch.yield`.

    An input that starts with a colon is a scalar (":index"). `operations` are classes to load besides those of the
    usual dialects.
    """
    kinds = [type[1:] if type.startswith(":") else f"tensor<{type}>" for type in inputs]
    kinds += ["index"] * sum(type.count("?") for type in results)
    arguments = ", ".join(f"%{i}: {kind}" for i, kind in enumerate(kinds[: len(inputs)]))
    operands = ", ".join(f"%operand{i}" for i in range(len(kinds)))
    makers = "\n".join(f'%operand{i} = "test.op"() : () -> {kind}' for i, kind in enumerate(kinds))
    outputs = ", ".join(f"tensor<{type}>" for type in results)
    block = f"^bb0({arguments}):\n{body}"
    text = f'{makers}\n"dispatch.region"({operands}) ({{\n{block}\n}}) : ({", ".join(kinds)}) -> ({outputs})'
    context = Context(allow_unregistered=True)
    for dialect in (Builtin, Arith, Linalg, Math, Tensor, Dispatch):
        context.load_dialect(dialect)
    for operation in (ApplyScaleOp, *operations):
        context.load_op(operation)
    context.load_attr_or_type(RoundingModeAttr)
    module = Parser(context, text).parse_module()
    region = next(op for op in module.body.block.ops if isinstance(op, RegionOp))
    region.verify()
    _alive.append(module)
    return region


_alive: list[ModuleOp] = []
"""Keeps parsed modules: a region does not own the operations that make its operands."""


def elementwise(inputs: Sequence[str], results: Sequence[str], maps: Sequence[str], body: str, loops: int) -> RegionOp:
    """A region of one parallel generic. Its block arguments are %a0, %a1, ..., `body` ends in `linalg.yield`."""
    return parse_region(inputs, results, generic_text(inputs, results, maps, body, ["parallel"] * loops))


def generic_text(
    inputs: Sequence[str], results: Sequence[str], maps: Sequence[str], body: str, iterators: Sequence[str]
) -> str:
    dims = ", ".join(f"d{i}" for i in range(len(iterators)))
    attributes = ", ".join(f"affine_map<({dims}) -> ({map})>" for map in maps)
    kinds = ", ".join(f'"{kind}"' for kind in iterators)
    scalars = [type.rsplit("x", 1)[-1] for type in (*inputs, *results)]
    block = ", ".join(f"%a{i}: {scalar}" for i, scalar in enumerate(scalars))
    empties = "\n".join(f"%e{i} = tensor.empty() : tensor<{type}>" for i, type in enumerate(results))
    ins = ", ".join(f"%{i}" for i in range(len(inputs))) + " : " + ", ".join(f"tensor<{type}>" for type in inputs)
    outs = ", ".join(f"%e{i}" for i in range(len(results))) + " : " + ", ".join(f"tensor<{t}>" for t in results)
    types = ", ".join(f"tensor<{type}>" for type in results)
    arrow = f"-> {types}"
    names = ", ".join(f"%r#{i}" if len(results) > 1 else "%r" for i in range(len(results)))
    return (
        f"{empties}\n%r{f':{len(results)}' if len(results) > 1 else ''} = linalg.generic "
        f"{{indexing_maps = [{attributes}], iterator_types = [{kinds}]}} "
        f"{f'ins({ins})' if inputs else ''} outs({outs}) {{\n^bb0({block}):\n{body}\n}} {arrow}\n"
        f'"dispatch.yield"({names}) : ({types}) -> ()'
    )


def random_arrays(region: RegionOp, seed: int = 0) -> list[Array]:
    """Inputs for a region of known sizes: all values of narrow integers, floats of some magnitude."""
    rng = np.random.default_rng(seed)
    types = [cast("TensorType[Attribute]", value.type) for value in region.inputs]
    return [random_array(rng, type.get_element_type(), type.get_shape()) for type in types]


def random_array(rng: np.random.Generator, element: Attribute, shape: Sequence[int]) -> Array:
    """Elements of a type: see `random_arrays`."""
    dtype = numpy_dtype(element)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.kind in "iu":
        bits = element.width.data if isinstance(element, IntegerType) else 64
        return rng.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1, shape, dtype=np.int64, endpoint=True).astype(
            dtype
        )
    return (rng.normal(size=shape) * 3).astype(dtype)


def check(
    region: RegionOp,
    arrays: Sequence[Array] | None = None,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    on: Sequence[Target] | None = None,
    threads: Sequence[int] = (1, 3),
) -> list[Array]:
    """Runs the region's kernel on every target and compares with its meaning; exactly, unless told otherwise."""
    arrays = random_arrays(region) if arrays is None else arrays
    sizes = [np.asarray(0)] * len(region.result_dims)  # what the region makes tells its sizes
    expected: list[Array] = [np.asarray(result) for result in evaluate_op(region, [*arrays, *sizes])]
    tensors, scalars = kernel_arguments(region, arrays, expected)
    for target in on or targets():
        kernel = compile_region(region, target, "kernel")
        code = Code(kernel.text, target=target)
        for count in threads:
            for at_end in (True, False):
                garbage = [np.frombuffer(b"\x5a" * e.nbytes, np.uint8).view(e.dtype).reshape(e.shape) for e in expected]
                results = run_kernel(
                    code,
                    "kernel",
                    tensors,
                    garbage,
                    scalars=scalars,
                    threads=count,
                    scratch_bytes=kernel.scratch_bytes,
                    at_end=at_end,
                )
                for result, exact in zip(results, expected, strict=True):
                    _compare(result, exact, rtol, atol, f"{target.name}, {count} threads")
    return expected


def kernel_arguments(
    region: RegionOp, arrays: Sequence[Array], results: Sequence[Array]
) -> tuple[list[Array], list[int]]:
    """The arrays and the scalars that the region's kernel is called with, as `Kernel` says."""
    placed = [(value.type, array) for value, array in zip(region.inputs, arrays, strict=True)]
    tensors = [(type, array) for type, array in placed if isinstance(type, TensorType)]
    scalars = [_bits(array) for type, array in placed if not isinstance(type, TensorType)]
    outputs = zip(region.result_types, results, strict=True)
    for type, array in [*tensors, *outputs]:
        shape = cast("TensorType[Attribute]", type).get_shape()
        assert len(shape) == array.ndim and all(a in (b, -1) or a < 0 for a, b in zip(shape, array.shape, strict=True))
        scalars += [size for known, size in zip(shape, array.shape, strict=True) if known < 0]
    return [array for _, array in tensors], scalars


def _bits(scalar: Array) -> int:
    """A scalar in the low bytes of an i64; those above hold anything."""
    raw = np.asarray(scalar).tobytes()
    return int.from_bytes(raw + b"\x5a" * (8 - len(raw)), "little", signed=True)


def _compare(result: Array, exact: Array, rtol: float, atol: float, where: str) -> None:
    def wide(array: Any) -> Array:
        with np.errstate(invalid="ignore"):  # signalling NaN
            return array.astype(np.float64) if array.dtype.kind not in "biu" else array

    if rtol or atol:
        np.testing.assert_allclose(wide(result), wide(exact), rtol=rtol, atol=atol, err_msg=where)
    else:
        np.testing.assert_array_equal(wide(result), wide(exact), err_msg=where)
