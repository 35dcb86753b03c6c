"""What every level of the lowering means: evaluation of functions and operations with numpy.

It is the oracle of the phases' numerical-equivalence tests and runs the constant evaluation. Understood are func,
`tosa.const`, tensor, linalg (named, generic, pack, unpack), `tiled`, `encoding` (sets and unsets change no value),
`dispatch.region`, and in bodies arith, math and `tosa.apply_scale`.

Tensors are numpy arrays whose dtype holds the element type (`tosaic.tosa.elements.numpy_dtype`), scalars are 0-d.
Integers wrap as LLVM's do. Float contractions are computed in the accumulator's type in an unspecified order.
"""

from . import bodies, contractions, generics, tensors  # noqa: F401  (registers the meanings)
from .interpreter import Array, evaluate, evaluate_op

__all__ = ["Array", "evaluate", "evaluate_op"]
