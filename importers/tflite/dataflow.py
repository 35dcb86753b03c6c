"""Checks that the operators of a subgraph can run in the order in which the file lists them."""

from __future__ import annotations

from .errors import FieldError
from .model import Subgraph


def check_dataflow(subgraph: Subgraph) -> None:
    """Every tensor is produced once, before it is used, and graph inputs and constants are not produced at all.

    The schema demands that operators are listed in execution order, so this also excludes cycles.
    Raises FieldError naming the operand.
    """
    known: set[int] = set()
    for position, tensor in enumerate(subgraph.inputs):
        if tensor.index in known:
            raise FieldError(f"{subgraph.path}.inputs[{position}]", f"tensor '{tensor.name}' is listed twice")
        known.add(tensor.index)
    for operator in subgraph.operators:
        for position, tensor in enumerate(operator.inputs):
            if tensor is not None and tensor.index not in known and tensor.data is None and tensor.representable:
                problem = f"tensor '{tensor.name}' is neither constant nor produced by an earlier operator"
                raise FieldError(f"{operator.path}.inputs[{position}]", problem)
        for position, tensor in enumerate(operator.outputs):
            if tensor.index in known:
                problem = f"tensor '{tensor.name}' already has a value"
                raise FieldError(f"{operator.path}.outputs[{position}]", problem)
            known.add(tensor.index)
    for position, tensor in enumerate(subgraph.outputs):
        if tensor.index not in known and tensor.data is None and tensor.representable:
            raise FieldError(f"{subgraph.path}.outputs[{position}]", f"tensor '{tensor.name}' is never produced")
