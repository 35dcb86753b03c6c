"""One step of a contraction along k: how a left broadcast and a right vector are multiplied into an accumulator.

The left side is read element by element (`panel` is the type it is read as) and broadcast, the right side comes in
vectors of [lanes, k0] elements from its tiles. Which instruction does it is decided here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute

from ..target import Target
from .conversions import float_cast, float_to_integer
from .emit import Function
from .types import BF16, F16, F32, I8, I16, I32, Value, bits_of, is_float, memory_type, vector_type


@dataclass(frozen=True)
class Product:
    """accumulator[lane] += sum over k0 of left[k] * right[lane, k], in the arithmetic of the accumulator's type.

    `panel` and `right` are the element types of the two sides in memory, `accumulator` that of the sums. With
    `instruction` one hardware instruction does all of k0; without one the k0 steps follow one another.

    Instructions of `rows` = 2 multiply two rows by half of the columns of a vector at once. While they do, what are the
    sums of the two rows in the end are those of the first and of the second half of the columns.
    """

    target: Target
    panel: str
    right: str
    accumulator: str
    k0: int
    lanes: int
    instruction: str | None = None
    rows: int = 1

    @property
    def sums(self) -> str:
        """The vector type of one accumulator register."""
        return vector_type(self.accumulator, self.lanes)

    @property
    def panel_step(self) -> int:
        """Bytes of the left side that one step consumes."""
        return self.k0 * bits_of(self.panel) // 8

    @property
    def right_step(self) -> int:
        """Bytes of the right side that one vector of one step consumes."""
        return self.lanes * self.k0 * bits_of(self.right) // 8

    def load_left(self, f: Function, pointer: Value) -> list[Value]:
        """The broadcast operands of one step: one, or k0 of them where no instruction takes all."""
        if self.instruction is None:
            step = bits_of(self.panel) // 8
            scalars = [f.load(self.panel, f.gep(pointer, i * step)) for i in range(self.k0)]
            return [f.splat(scalar, self.lanes) for scalar in scalars]
        group = f.load(I32, pointer, align=1)
        return [f.bitcast(f.splat(group, self.lanes), vector_type(self.panel, self.lanes * self.k0))]

    def load_two(self, f: Function, first: Value, second: Value) -> Value:
        """The left operand of one step of two rows."""
        upper, lower = (f.load(vector_type(self.panel, self.k0), pointer, align=1) for pointer in (first, second))
        return f.shuffle(upper, lower, range(2 * self.k0))

    def load_halves(self, f: Function, pointer: Value) -> list[Value]:
        """The right operands of one step for two rows, by halves of the columns."""
        type = vector_type(self.right, self.lanes // 2 * self.k0)
        return [f.load(type, f.gep(pointer, half * self.right_step // 2)) for half in range(2)]

    def two_rows(self, f: Function, first: Value, second: Value) -> list[Value]:
        """The sums of each of two rows from those of halves of their columns, [row, column] each."""
        half = self.lanes // 2
        columns = [*range(half), *range(self.lanes, self.lanes + half)]
        return [f.shuffle(first, second, [row * half + column for column in columns]) for row in range(2)]

    def load_right(self, f: Function, pointer: Value) -> list[Value]:
        """The vector operands of one step, matching `load_left`."""
        vector = f.load(vector_type(self.right, self.lanes * self.k0), pointer)
        wide = widen(f, self.target, vector, self.panel)
        if self.instruction is not None or self.k0 == 1:
            return [wide]
        if self.lanes == 1:
            return [f.extract(wide, i) for i in range(self.k0)]
        return [f.shuffle(wide, None, range(i, self.lanes * self.k0, self.k0)) for i in range(self.k0)]

    def accumulate(self, f: Function, sums: Value, left: list[Value], right: list[Value]) -> Value:
        for a, b in zip(left, right, strict=True):
            if self.instruction == "pmaddwd":
                sums = f.add(sums, f.instruction("pmaddwd", a, b))
            elif self.instruction == "vdpbf16ps":
                # Its last operand can be a broadcast from memory, as the left side is where one vector uses it.
                sums = f.instruction("vdpbf16ps", sums, b, a)
            elif self.instruction is not None:
                sums = f.instruction(self.instruction, sums, a, b)
            elif is_float(self.accumulator):
                sums = f.fma(a, b, sums)
            else:
                wide = [
                    x if bits_of(x.type) == bits_of(sums.type) else f.cast("sext", x, self.accumulator) for x in (a, b)
                ]
                sums = f.add(sums, f.mul(*wide))
        return sums


def accumulator_type(result: Attribute) -> str:
    """The machine type that sums of `result` are kept in.

    16-bit floats are summed in f32 and rounded once, at the end. Narrow integers are summed in i32, which is the same
    modulo any smaller power of two.
    """
    type = memory_type(result)
    return {F16: F32, BF16: F32, I8: I32, I16: I32}.get(type, type)


def select_product(
    target: Target, lhs: Attribute, rhs: Attribute, result: Attribute, n0: int, k0: int, lhs_offset: int
) -> Product:
    """The fastest exact way `target` has of multiplying these types out of tiles of [n0, k0]."""
    left, right, accumulator = memory_type(lhs), memory_type(rhs), accumulator_type(result)
    lanes = gcd(n0, target.vector_bits // bits_of(accumulator))
    if lanes * bits_of(accumulator) >= 128:
        if (left, right, accumulator, k0, lhs_offset) == (I8, I8, I32, 4, 128) and target.vnni:
            return Product(target, I8, I8, I32, k0, lanes, "vpdpbusd")
        if (left, right, accumulator, k0, lhs_offset) == (I8, I8, I32, 4, 0) and target.has("dotprod"):
            return Product(target, I8, I8, I32, k0, lanes, "sdot")
        if (left, right, accumulator, k0, lhs_offset) == (I8, I8, I32, 8, 0) and target.has("i8mm"):
            return Product(target, I8, I8, I32, k0, lanes, "smmla", rows=2)
        if (left, right, accumulator, k0) == (I8, I8, I32, 2) and target.has("sse2"):
            return Product(target, I16, I8, I32, k0, lanes, "pmaddwd")
        if (left, right, accumulator, k0, lhs_offset) == (I16, I16, I32, 2, 0) and target.has("sse2"):
            return Product(target, I16, I16, I32, k0, lanes, "pmaddwd")
        if (left, right, accumulator, k0) == (BF16, BF16, F32, 2) and target.bf16:
            return Product(target, BF16, BF16, F32, k0, lanes, "vdpbf16ps")
        if (left, right, accumulator, k0) == (BF16, BF16, F32, 4) and target.has("bf16"):
            return Product(target, BF16, BF16, F32, k0, lanes, "bfmmla", rows=2)
        if (left, right, accumulator, k0) == (BF16, BF16, F32, 2) and target.has("bf16"):
            return Product(target, BF16, BF16, F32, k0, lanes, "bfdot")
    if (left, right, accumulator, k0) == (I8, I8, I32, 1):
        # 16 by 16 bits to 32 is an instruction nearly everywhere.
        return Product(target, I16, I8, I32, k0, lanes)
    # Everything else multiplies in the accumulator's own type.
    return Product(target, accumulator, right, accumulator, k0, lanes)


def product_of(target: Target, left: TensorType, right: TensorType, result: TensorType, offset: int) -> Product:
    """The product that the tiles of `right`, [..., n0, k0], were made for."""
    n0, k0 = right.get_shape()[-2:]
    lhs, rhs, sums = (type.get_element_type() for type in (left, right, result))
    return select_product(target, lhs, rhs, sums, n0, k0, offset)


def widen(f: Function, target: Target, value: Value, element: str) -> Value:
    """Every lane as an `element`: exactly where that can represent all values of the source type.

    Elsewhere as linalg casts operands: integers keep their low bits, floats are rounded to nearest even.
    """
    if is_float(value.type):
        if not is_float(element):
            return float_to_integer(f, value, element, signed=True)
        return float_cast(f, target, value, element)
    if is_float(element):
        return f.cast("sitofp", value, element)
    return f.cast("sext" if bits_of(element) > bits_of(value.type) else "trunc", value, element)


def narrow(f: Function, target: Target, value: Value, element: str) -> Value:
    """Sums as elements of the result: rounded to nearest even, or modulo its width."""
    return widen(f, target, value, element)
