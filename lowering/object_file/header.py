"""The C header of an object file: one documented function per signature, the sizes of all buffers, their shapes."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.artifact import ALIGNMENT, Image, TensorInfo
from .interface import Function, Parameter
from .wrapper import MISALIGNED

_TYPES = {
    "bool": "uint8_t",
    "float16": "uint16_t",
    "bfloat16": "uint16_t",
    "float32": "float",
    "float64": "double",
    "complex64": "float",
}
"""C types of elements; integers are called as in <stdint.h>."""

_REMARKS = {
    "bool": ", each 0 or 1",
    "float16": ", as their bits",
    "bfloat16": ", as their bits",
    "complex64": ", each two floats",
}


def write_header(prefix: str, functions: Sequence[Function], image: Image) -> str:
    """The text of the header. It is C99 and C++, and includes nothing but <stdint.h>."""
    guard = f"{prefix.upper()}_H"
    features = " ".join(image.features)
    parts = [
        f"/* {prefix}: a compiled program, in {prefix}.o. Written by Tosaic.\n"
        f" *\n"
        f" * Code for {image.target}. The CPU must have: {features}.\n"
        f" * Nothing else is needed: no library, no allocation, no threads, no system calls. A call runs on the\n"
        f" * thread that makes it. Calls may overlap if each has a workspace and outputs of its own.\n"
        f" *\n"
        f" * Tensors are dense and row-major, and aligned as their element type. A workspace is memory that a call\n"
        f" * may use as it likes; what it holds before and afterwards does not matter. Functions return 0, or\n"
        f" * {MISALIGNED} without having done anything if the workspace is null or not aligned.\n"
        f" */",
        f"#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        f"/* The address of a workspace must be a multiple of it. */\n#define {prefix.upper()}_ALIGNMENT {ALIGNMENT}\n",
        *(_function(function) for function in functions),
        f"#ifdef __cplusplus\n}}\n#endif\n\n#endif /* {guard} */\n",
    ]
    return "\n".join(parts)


def _function(function: Function) -> str:
    symbol, parameters = function.symbol, (*function.inputs, *function.outputs)
    lines = [f"/* {_comment(function.signature.name)}", " *"]
    for role, group in (("input", function.inputs), ("output", function.outputs)):
        for parameter in group:
            lines.append(f" * {parameter.name}: {role}, {_described(parameter.tensor)}")
    lines.append(f" * workspace: {symbol.upper()}_WORKSPACE_BYTES bytes")
    lines.append(" */")
    lines.append(f"#define {symbol.upper()}_WORKSPACE_BYTES {function.workspace_bytes}")
    for parameter in parameters:
        lines += _sizes(symbol, parameter)
    declared = [f"const {_type(p.tensor)} *{p.name}" for p in function.inputs]
    declared += [f"{_type(p.tensor)} *{p.name}" for p in function.outputs]
    lines.append(f"int {symbol}({', '.join([*declared, 'void *workspace'])});\n")
    return "\n".join(lines)


def _sizes(symbol: str, parameter: Parameter) -> list[str]:
    """Macros and the array of one tensor's sizes; one without dimensions has no array, as C has none of length 0."""
    name = f"{symbol}_{parameter.name}"
    lines = [
        f"#define {name.upper()}_BYTES {parameter.tensor.nbytes}",
        f"#define {name.upper()}_RANK {len(parameter.shape)}",
    ]
    if parameter.shape:
        sizes = ", ".join(map(str, parameter.shape))
        lines.append(f"static const int64_t {name}_shape[{len(parameter.shape)}] = {{{sizes}}};")
    return lines


def _type(tensor: TensorInfo) -> str:
    return _TYPES.get(tensor.dtype, f"{tensor.dtype}_t")


def _described(tensor: TensorInfo) -> str:
    return _comment(f"{tensor.type}{_REMARKS.get(tensor.dtype, '')} ({tensor.name})")


def _comment(text: str) -> str:
    """Text that does not end a comment."""
    return text.replace("*/", "* /").replace("\n", " ")
