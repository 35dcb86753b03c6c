"""The TOSA 1.0 dialect: every operator of the specification as one class; `Tosa` is the xDSL dialect.

A class is named after its operator (`conv2d` is `Conv2DOp`) and holds operands, attributes, verification, shape
inference (`infer`) and numpy meaning (`meaning`). Names of operators, operands and attributes are those of MLIR 22.
"""

from __future__ import annotations

from xdsl.ir import Dialect

from .activation import ClampOp, ErfOp, SigmoidOp, TanhOp
from .attributes import NanModeAttr, ResizeModeAttr, RoundingModeAttr
from .base import TosaOp
from .base import constant as constant
from .base import constant_shape as constant_shape
from .binary import (
    AddOp,
    ArithmeticRightShiftOp,
    BitwiseAndOp,
    BitwiseOrOp,
    BitwiseXorOp,
    IntDivOp,
    LogicalAndOp,
    LogicalLeftShiftOp,
    LogicalOrOp,
    LogicalRightShiftOp,
    LogicalXorOp,
    MaximumOp,
    MinimumOp,
    MulOp,
    PowOp,
    SelectOp,
    SubOp,
    TableOp,
)
from .comparison import EqualOp, GreaterEqualOp, GreaterOp
from .control_flow import CondIfOp, WhileLoopOp, YieldOp
from .conversion import CastOp, RescaleOp
from .convolution import Conv2DOp, Conv3DOp, DepthwiseConv2DOp, MatMulOp, TransposeConv2DOp
from .data import ConstOp, CustomOp, IdentityOp
from .elementwise import ElementwiseOp as ElementwiseOp
from .fourier import FFT2DOp, RFFT2DOp
from .gather import GatherOp, ScatterOp
from .image import ResizeOp
from .layout import ConcatOp, PadOp, ReshapeOp, ReverseOp, SliceOp, TileOp, TransposeOp
from .pooling import AvgPool2DOp, MaxPool2DOp
from .reduction import (
    ArgMaxOp,
    ReduceAllOp,
    ReduceAnyOp,
    ReduceMaxOp,
    ReduceMinOp,
    ReduceProductOp,
    ReduceSumOp,
)
from .shape import (
    AddShapeOp,
    AssertEqualShapeOp,
    ConcatShapeOp,
    ConstShapeOp,
    DimOp,
    DivCeilShapeOp,
    DivFloorShapeOp,
    Exp2ShapeOp,
    Log2CeilShapeOp,
    Log2FloorShapeOp,
    MaxShapeOp,
    MinShapeOp,
    ModShapeOp,
    MulShapeOp,
    SliceShapeOp,
    SubShapeOp,
)
from .types import ShapeType
from .unary import (
    AbsOp,
    BitwiseNotOp,
    CeilOp,
    ClzOp,
    CosOp,
    ExpOp,
    FloorOp,
    LogicalNotOp,
    LogOp,
    NegateOp,
    ReciprocalOp,
    RsqrtOp,
    SinOp,
)
from .variable import VariableOp, VariableReadOp, VariableWriteOp

OPERATIONS: list[type[TosaOp]] = [
    # tensor operators
    ArgMaxOp, AvgPool2DOp, Conv2DOp, Conv3DOp, DepthwiseConv2DOp, FFT2DOp, MatMulOp, MaxPool2DOp, RFFT2DOp,
    TransposeConv2DOp,
    # activation
    ClampOp, ErfOp, SigmoidOp, TanhOp,
    # element-wise
    AddOp, ArithmeticRightShiftOp, BitwiseAndOp, BitwiseOrOp, BitwiseXorOp, IntDivOp, LogicalAndOp, LogicalLeftShiftOp,
    LogicalRightShiftOp, LogicalOrOp, LogicalXorOp, MaximumOp, MinimumOp, MulOp, PowOp, SubOp, TableOp,
    AbsOp, BitwiseNotOp, CeilOp, ClzOp, CosOp, ExpOp, FloorOp, LogOp, LogicalNotOp, NegateOp, ReciprocalOp, RsqrtOp,
    SinOp, SelectOp, EqualOp, GreaterOp, GreaterEqualOp,
    # reduction
    ReduceAllOp, ReduceAnyOp, ReduceMaxOp, ReduceMinOp, ReduceProductOp, ReduceSumOp,
    # data layout, gather and scatter, image
    ConcatOp, PadOp, ReshapeOp, ReverseOp, SliceOp, TileOp, TransposeOp, GatherOp, ScatterOp, ResizeOp,
    # conversion, data nodes, custom
    CastOp, RescaleOp, ConstOp, IdentityOp, CustomOp,
    # control flow and variables
    CondIfOp, WhileLoopOp, YieldOp, VariableOp, VariableReadOp, VariableWriteOp,
    # shapes
    AddShapeOp, AssertEqualShapeOp, ConcatShapeOp, ConstShapeOp, DimOp, DivCeilShapeOp, DivFloorShapeOp, Exp2ShapeOp,
    Log2CeilShapeOp, Log2FloorShapeOp, MaxShapeOp, MinShapeOp, ModShapeOp, MulShapeOp, SliceShapeOp, SubShapeOp,
]  # fmt: skip

Tosa = Dialect("tosa", list(OPERATIONS), [NanModeAttr, ResizeModeAttr, RoundingModeAttr, ShapeType])
