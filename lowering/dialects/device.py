"""Devices in programs: which there are, where operations and values belong, and where values are brought.

    device.declare @fast = "cpu@x86-64-v4:1"
    device.declare @slow = "reference"

    func.func @main(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
      %0 = linalg.exp {device.affinity = @fast} ins(...) outs(...)
      %1 = device.transfer %0 to @slow : tensor<?x8xf32>

The attribute `device.affinity` names the device that computes an operation; on an argument or result of a function,
where it comes in or is wanted. What has none is placed by the cost model.
"""

from __future__ import annotations

from typing import ClassVar

from xdsl.dialects.builtin import (
    FlatSymbolRefAttrConstr,
    ModuleOp,
    StringAttr,
    SymbolNameConstraint,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Dialect, SSAValue
from xdsl.irdl import (
    BaseAttr,
    IRDLOperation,
    VarConstraint,
    irdl_op_definition,
    operand_def,
    prop_def,
    result_def,
    traits_def,
)
from xdsl.traits import HasParent, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from ...runtime.device_spec import parse_device
from ...runtime.errors import ArgumentError

AFFINITY = "device.affinity"
"""The discardable attribute that says which device an operation, argument or result belongs to."""


@irdl_op_definition
class DeclareOp(IRDLOperation):
    """A device of the program: a symbol for what --devices would list."""

    name = "device.declare"

    sym_name = prop_def(SymbolNameConstraint())
    spec = prop_def(StringAttr)

    assembly_format = "$sym_name `=` $spec attr-dict"
    traits = traits_def(SymbolOpInterface(), HasParent(ModuleOp))

    def __init__(self, name: str, spec: str) -> None:
        super().__init__(properties={"sym_name": StringAttr(name), "spec": StringAttr(spec)})

    def verify_(self) -> None:
        try:
            parse_device(self.spec.data)
        except ArgumentError as error:
            raise VerifyException(f"device.declare @{self.sym_name.data}: {error}") from error


@irdl_op_definition
class TransferOp(IRDLOperation):
    """`source` where the device `device` can read it; nothing is copied where it can anyway."""

    name = "device.transfer"

    _T: ClassVar = VarConstraint("T", BaseAttr(TensorType))

    source = operand_def(_T)
    device = prop_def(FlatSymbolRefAttrConstr)
    result = result_def(_T)

    assembly_format = "$source `to` $device attr-dict `:` type($source)"
    traits = traits_def(Pure())

    def __init__(self, source: SSAValue, device: str) -> None:
        super().__init__(operands=[source], properties={"device": SymbolRefAttr(device)}, result_types=[source.type])


DeviceDialect = Dialect("device", [DeclareOp, TransferOp])
