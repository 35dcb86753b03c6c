"""What programs mean, with numpy: the one implementation of the numerics of every operation below TOSA.

`records` are operations as plain Python values, `evaluator` runs blocks of them; one file per family of operations says
what they mean. The compiler translates its IR to these records (`tosaic.lowering.meaning`): to compute constants, and
as the oracle of tests. The device `reference` runs those of an artifact, which `file` writes, reads and verifies.

Tensors are numpy arrays whose dtype holds the element type (`records.dtype_of`), scalars are 0-d. Integers wrap at
their width as LLVM's do, odd widths included; division by zero gives zero, and leaves the dividend. Float contractions
are computed in the accumulator's type in an unspecified order.
"""

from . import contractions, control, elementwise, generics, layouts, structured, tensors  # noqa: F401  (registers the meanings)
from .evaluator import Array, Scope, evaluate_block, evaluate_operation
from .records import Block, Operation, ValueType

__all__ = ["Array", "Block", "Operation", "Scope", "ValueType", "evaluate_block", "evaluate_operation"]
