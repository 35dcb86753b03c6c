"""The linalg dialect as Tosaic reads it and uses it.

Every phase from form-dispatches on knows the contractions (`MatmulOp`, `BatchMatmulOp`, `Mmt4dOp`, `BatchMmt4dOp`,
`Conv2DNhwcFhwcOp`, `DepthwiseConv2DNhwcHwcmOp`), the poolings and `PackOp` / `UnpackOp`, and from
`xdsl.dialects.linalg.ops` `GenericOp`, `YieldOp`, `IndexOp`, `FillOp`. xDSL's own matmul and convolutions refuse
mixed element types (i8 x i8 -> i32, f32 x f16 -> f32). The other named operations, `StructuredOp`, are for hand-written
programs: normalize-linalg turns them into these.

`Linalg`, the dialect to register for parsing, holds all. Spellings are those of MLIR 22 and older ones. The operations
here work on tensors only; a named one carries no region: MLIR's custom form rebuilds it from the element types, and its
generic form repeats it.
"""

from __future__ import annotations

from typing import TypeAlias

from xdsl.dialects.linalg import ops as xdsl_linalg
from xdsl.dialects.linalg.attrs import IteratorTypeAttr
from xdsl.ir import Dialect

from .attributes import BinaryFnAttr, ElementwiseKindAttr, TypeFnAttr, UnaryFnAttr
from .base import PARALLEL as PARALLEL
from .base import REDUCTION as REDUCTION
from .base import NamedOp as NamedOp
from .base import affine_map as affine_map
from .base import dims as dims
from .contractions import BatchMatmulOp as BatchMatmulOp
from .contractions import BatchMmt4dOp as BatchMmt4dOp
from .contractions import MatmulOp as MatmulOp
from .contractions import Mmt4dOp as Mmt4dOp
from .named import NAMED_OPERATIONS
from .relayout import PackOp as PackOp
from .relayout import UnpackOp as UnpackOp
from .shaped import SHAPED_OPERATIONS
from .structured import StructuredOp as StructuredOp
from .syntax import FillSyntax, GenericSyntax
from .windows import Conv2DNhwcFhwcOp as Conv2DNhwcFhwcOp
from .windows import DepthwiseConv2DNhwcHwcmOp as DepthwiseConv2DNhwcHwcmOp
from .windows import PoolingNhwcMaxOp as PoolingNhwcMaxOp
from .windows import PoolingNhwcSumOp as PoolingNhwcSumOp

PlainContraction: TypeAlias = MatmulOp | BatchMatmulOp | Conv2DNhwcFhwcOp
"""The contractions of tensors in rows, for which targets choose layouts: see `set_encodings`."""

Linalg = Dialect(
    "linalg",
    [
        GenericSyntax,
        xdsl_linalg.YieldOp,
        xdsl_linalg.IndexOp,
        FillSyntax,
        MatmulOp,
        BatchMatmulOp,
        Mmt4dOp,
        BatchMmt4dOp,
        Conv2DNhwcFhwcOp,
        DepthwiseConv2DNhwcHwcmOp,
        PoolingNhwcMaxOp,
        PoolingNhwcSumOp,
        PackOp,
        UnpackOp,
        *NAMED_OPERATIONS,
        *SHAPED_OPERATIONS,
    ],
    [IteratorTypeAttr, TypeFnAttr, UnaryFnAttr, BinaryFnAttr, ElementwiseKindAttr],
)
