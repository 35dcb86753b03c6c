"""What is measured on a GPU: matrix products, models and the least program there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..matrices import matmul_text

PRODUCTS = {"f16": ("f16", None), "bf16": ("bf16", None), "tf32": ("f32", "tf32"), "int8": ("i8", None)}
"""Name -> element type of the operands, and the precision that is asked for."""

LEAST = """
func.func @main(%x: tensor<64xf32>) -> tensor<64xf32> {
  %y = arith.addf %x, %x : tensor<64xf32>
  return %y : tensor<64xf32>
}"""


@dataclass(frozen=True)
class Case:
    """One program. kind: "product", "model" or "call". text: MLIR, or model: the name of a model of the zoo.

    shapes: of the model's inputs, a batch in front; None for its own. size: side of the matrices, or the batch.
    goal: what our speed has to be of the peer's, at least.
    """

    name: str
    kind: str
    dtype: str
    size: int
    text: str | None = None
    model: str | None = None
    precision: str | None = None
    goal: float | None = None

    @property
    def flops(self) -> int:
        """Arithmetic operations of a product; 0 for the others."""
        return 2 * self.size**3 if self.kind == "product" else 0


def cases(tiny: bool) -> list[Case]:
    """All of them; tiny ones are for machines without a GPU, to see that the benchmark works."""
    found = [Case("steady call", "call", "f32", 64, text=LEAST)]
    for side in (32, 64) if tiny else (4096, 8192):
        for name, (element, precision) in PRODUCTS.items():
            text = matmul_text((side, side, side), element)
            found.append(Case(f"product {name} {side}", "product", name, side, text, None, precision, 0.80))
    if tiny:
        return [*found, Case("digits batch 1", "model", "int8", 1, model="digits_int8")]
    for batch in (1, 32):
        found.append(Case(f"bert_base batch {batch}", "model", "bf16", batch, None, "bert_base_f32", "bf16", 1.0))
    for batch in (1, 64):
        found.append(Case(f"resnet50 batch {batch}", "model", "bf16", batch, None, "resnet50_f32", "bf16", 1.0))
    return found


def artifact_path(folder: Path, case: Case) -> Path:
    """Where the compiled program of a case lies."""
    return folder / f"{case.name.replace(' ', '_')}.module"
